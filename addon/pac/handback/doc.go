// Package handback gives every queue back to Pipelines-as-Code for good, before the product is
// uninstalled.
//
// Replicas hand queues back by themselves once their configuration says so, and first wait until no
// run that they started is running. An uninstall cannot wait for ever: after a while it hands the
// remaining runs back at once. PAC's queue does not count the runs that are still running then, so
// a Repository may be above its limit until they are done.
//
// The guard goes along with the hold, before the first run is handed back. PAC's watcher tries to
// start such a run at once; if it were refused, it would free its own slot and try the run again
// later, behind the others (seen: the fifth run of an event starts before the second). The price is
// that a user may start a queued run by hand while the queues are handed back.
//
// Guaranteed: afterwards every queued run with a readable order is PAC's, or the error names some
// that are not, and no Lease of a slot is left. Memory is bounded, whatever is queued. It may be
// interrupted anywhere and repeated.
package handback
