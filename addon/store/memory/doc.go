// Package memory keeps slots in the memory of one process: the way PAC itself
// does it, behind the same interface and the same decisions as Leases, for
// comparison and as a way back.
//
// Guaranteed: what [engine.Store] asks for, as long as all passes over a queue go
// through one Store. Nothing needs to survive a restart: an empty store is
// filled by adoption, which gives a slot to every started run, and claims that
// were not carried out are made again.
//
// Not guaranteed: the limit, while more than one process is active. Slots of one
// are not seen by the other, so nothing refuses the second claim.
package memory
