// Package suite is the list of end-to-end scenarios that every cluster must pass. A scenario is a
// plain function that reports failure by its error, so that any test can play it, and so that the
// negative control can see which error PAC's own queue produces.
//
// Scenarios reach the cluster through a Cluster: onstack.Cluster is the embedded stack, and
// onkube.Cluster any Kubernetes cluster by its kubeconfig. Package kind prepares such a cluster and
// plays the suite on it.
//
// Every scenario has a queue of its own, in a namespace and a Git repository of its own. It ends
// when its runs are done, PAC has reported each of them as a success, no Warning event has
// appeared, and an audit of every watch event of the queue has found no broken invariant.
package suite
