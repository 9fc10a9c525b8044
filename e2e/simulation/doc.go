// Package simulation runs the product's own code, engine, recovery, stores and
// PAC contract, on a cluster that exists in one process: an API server of real
// objects, informers that lag, replicas that crash, requests that get lost, and
// people. One number, the seed, decides everything that happens, so whatever
// goes wrong can be watched again.
//
// Guaranteed: one seed is one history. Time, scheduling, network and people are
// drawn from the seed; only one goroutine runs at a time, and every request is a
// point at which another may go on. The API server is as strict as the real one
// where the product relies on it (versions, UIDs, creation by PUT, selectors,
// Tekton's validation, garbage collection).
//
// Not guaranteed: that what happens is likely, or that all that may happen does.
// Not simulated: knative's own machinery, which replica.go models in a few lines
// after addon/controller; and what the protocol says it does not survive, which
// exempt.go lists.
package simulation
