// Package pac is the contract with Pipelines-as-Code and Tekton: how a
// PipelineRun reads as a run of a queue, what limit a Repository sets, and the
// two patches by which a run is started or fenced. It is the only package that
// knows PAC's annotations.
//
// PAC itself is not modified. Its door for an external queue is that it reports
// any of its runs that starts, whoever started it (pkg/reconciler/reconciler.go,
// ReconcileKind), and that it leaves a run alone as long as its execution-order
// annotation is missing (pkg/reconciler/queue_pipelineruns.go); the hold moves
// that annotation to [HeldOrder] at admission.
package pac
