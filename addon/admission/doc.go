// Package admission is the hold as an admission webhook, for clusters that have no
// MutatingAdmissionPolicy (before Kubernetes 1.36). What it does to a PipelineRun
// is decided in addon/pac; the chart's policy does the same.
//
// Guaranteed, as long as one replica can be reached: every write that the API
// server sends here comes back with PAC's execution order moved, whichever replica
// answers, as often as it is asked, dry run or not. Nothing is looked at or changed
// but annotations, and the answer rests on nothing but the request: no client is
// used for it. A replica says that it is ready once it can be called the way the API
// server does, and when it is told to end it serves until nobody calls any more.
// That goes on when certificates are renewed, or the Secret with them is deleted by
// hand: a new one is trusted before it is shown, and the old one until some time
// after.
//
// Not guaranteed: that the API server asks. Which writes reach the webhook, and that
// they fail when it cannot be reached, is said by the MutatingWebhookConfiguration,
// which the chart makes; only its caBundle is written here. When a write of an order
// fails so, the run stays queued and is brought in by its creation time
// (config: order-grace).
//
// The protocol and the certificates are knative.dev/pkg's. Its reconciler for the
// certificates is not used: it leaves a deleted Secret deleted, waits for the lease of
// a dead leader to run out, lets requests fail while it renews, and by being linked in
// has every process watch all Secrets of its namespace, webhook or not. Here every
// replica sees to one Secret and one configuration, and nobody leads: each write
// carries the version it was decided on, or can be repeated. Nor is its HTTP server:
// it waits for a pause in requests that on a busy cluster does not come.
package admission
