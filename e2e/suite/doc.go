// Package suite is the list of end-to-end scenarios, for any cluster: plain
// functions over a Cluster and the Git providers that its PAC serves. They say what
// went wrong by an error, so that any harness can play them, and the negative
// control can judge them.
//
// Every scenario has a queue of its own, in its own namespace, with its own Git
// repository. It ends with the runs done, PAC having reported each of them as a
// success, no Warning event, and an audit of the invariants over every watch event
// of the queue: nothing is sampled.
package suite
