// Package handback gives every queue back to Pipelines-as-Code for good, before the product is
// uninstalled.
//
// Replicas hand queues back by themselves once their configuration says so, and first wait until no
// run that they started is running. An uninstall cannot wait for ever: after a while it hands the
// remaining runs back at once. PAC's queue does not count the runs that are still running then, so
// a Repository may be above its limit until they are done.
//
// The hold goes before the first run is handed back, and with it the part of the guard that keeps
// PAC from starting queued runs. PAC's watcher tries to start such a run at once; if it were
// refused, it would free its own slot and try the run again later, behind the others (seen: the
// fifth run of an event starts before the second). It also starts the other runs that the order
// lists, whether or not they have been handed back, so a mark on each run would come too late. The
// rest of the guard stays for as long as the product is installed, so that no client but PAC starts
// a queued run meanwhile.
//
// Guaranteed: afterwards every queued run with a readable order is PAC's, or the error names some
// that are not, and no Lease of a slot is left. Memory is bounded, whatever is queued. It may be
// interrupted anywhere and repeated.
package handback
