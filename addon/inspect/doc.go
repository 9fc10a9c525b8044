// Package inspect takes one look at every queue of a cluster, with nothing but the right to read.
// Repositories, Leases and runs become the snapshots that the replicas decide on, and [queue.Stand]
// says where the runs of each stand.
//
// Guaranteed: it writes nothing and asks no replica, so it works when the add-on does not.
//
// Not guaranteed: that the look is of one instant. Slots are read before runs, as the replicas do.
// Only a replica knows since when it has tried to start a run, so no claim is seen to expire.
package inspect
