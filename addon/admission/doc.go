// Package admission serves the hold as an admission webhook, for clusters without
// MutatingAdmissionPolicy (before Kubernetes 1.36). Package pac decides what the hold does to a
// PipelineRun; the chart's policy does the same.
//
// Guaranteed, as long as the API server can reach one replica: every write that it sends here comes
// back with PAC's execution order moved, whichever replica answers, however often it asks, dry run
// or not. The webhook reads and changes nothing but annotations, and its answer depends on the
// request alone: it needs no client. A replica reports ready once it can be called the way the API
// server calls it, and after it is told to end, it keeps serving until its callers have had time to
// turn to another replica. Renewing a certificate, or deleting the Secret that holds it, interrupts
// nothing: a new authority is trusted before its certificate is presented, and the old authority
// stays trusted for a while after.
//
// Not guaranteed: that the API server calls. The MutatingWebhookConfiguration, which the chart
// creates, says which writes reach the webhook and that they fail when it cannot be reached; only
// its caBundle is written here. A run whose order could not be written for that reason stays queued
// and takes its place by creation time (config: order-grace).
//
// The admission protocol and the making of certificates are knative.dev/pkg's. Its reconciler for
// certificates is not used: it leaves a deleted Secret deleted, waits for the lease of a dead
// leader to run out, lets requests fail while it renews, and, once linked in, makes every process
// watch all Secrets of its namespace, with or without a webhook. Here every replica maintains one
// Secret and one configuration, and there is no leader: each write carries the version it was
// decided on, or is safe to repeat. Nor is knative's HTTP server used: it shuts down only after a
// pause in requests, which a busy cluster never grants.
package admission
