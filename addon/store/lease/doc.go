// Package lease keeps slots in coordination.k8s.io/v1 Leases, one per slot, in the Repository's
// namespace and owned by the Repository, so that they are garbage-collected with it. The holder is
// the run's name: `kubectl get leases` reads as the slot table.
//
// Guaranteed: every write carries the UID and resourceVersion that it was decided on (or the
// object's absence), so of several writers one wins and the others get [engine.ErrStale]. Objects
// are written whole, which also repairs edits by hand.
//
// Not guaranteed: that a Lease deleted by hand is noticed before its slot is given away again. The
// engine's fresh look before every creation covers that.
package lease
