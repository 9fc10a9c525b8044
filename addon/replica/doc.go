// Package replica is one replica of the product: it says which queues the replica works on, when it
// looks at a queue again, and what it does when the place of the slots changes. Informers, the work
// queue and the election are the caller's, and so is the clock: addon/controller brings those of a
// cluster, the simulation brings its own.
//
// Guaranteed: a queue that this replica does not act on is not written to; with slots in memory,
// only the leader acts; after a change of the backend or of the hand-back, nothing is done for
// [Changeover]; after a stale or failed pass the queue is looked at again without any event.
//
// Not guaranteed: that only one replica acts on a queue. Leadership keeps replicas out of each
// other's way, and no invariant rests on it unless slots are in memory.
package replica
