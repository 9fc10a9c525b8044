// Package store names the backends: where the slots of the queues are kept. Each backend is a
// package below this one; storetest has what all of them promise.
package store

// Backend is where slots are kept.
type Backend string

const (
	// Lease keeps slots in Leases, which any number of replicas share.
	Lease Backend = "lease"
	// Memory keeps slots in the process of the replica that leads the queue.
	Memory Backend = "memory"
)

// Backends are all there are.
var Backends = []Backend{Lease, Memory}
