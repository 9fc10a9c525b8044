// Package pac is the contract with Pipelines-as-Code and Tekton: how a PipelineRun reads as a run
// of a queue, what limit a Repository sets, and the patches by which a run is started, fenced,
// cancelled or handed back. It is the only package that knows PAC's annotations.
//
// PAC itself is not modified. It offers a door for an external queue: it reports any of its runs
// that starts, no matter who starts it (pkg/reconciler/reconciler.go, ReconcileKind), and it leaves
// a run alone for as long as its execution-order annotation is missing
// (pkg/reconciler/queue_pipelineruns.go). The hold moves that annotation to [HeldOrder] at
// admission.
package pac
