// Package memory keeps slots in the memory of one process, as PAC itself does, behind the same
// interface and the same decisions as Leases, for comparison and as a way back.
//
// Guaranteed: the contract of [engine.Store], for as long as all passes over a queue go through one
// Store. Nothing needs to survive a restart: adoption fills an empty store by giving a slot to
// every started run, and claims that were not carried out are made again.
//
// Not guaranteed: the limit, while more than one process is active. A process does not see the
// slots of another, so nothing refuses the second claim.
package memory
