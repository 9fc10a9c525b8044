// Package inspect takes one look at every queue of a cluster, with nothing but the
// right to read: Repositories, Leases and runs become the snapshots that the
// replicas decide on, and [queue.Stand] says of each where its runs stand.
//
// Guaranteed: nothing is written, and no replica is asked, so it works when the
// add-on does not.
//
// Not guaranteed: that the look is of one instant. Slots are read before runs, as
// the replicas do it. Since when a claim has been tried only a replica knows, so
// none is seen to expire.
package inspect
