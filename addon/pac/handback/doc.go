// Package handback gives every queue back to Pipelines-as-Code for good, before the product is
// uninstalled.
//
// Replicas hand queues back by themselves once their configuration says so, and first wait until no
// run that they started is running. An uninstall cannot wait for ever: after a while it hands the
// remaining runs back at once. PAC's queue does not count the runs that are still running then, so
// a Repository may be above its limit until they are done.
//
// Guaranteed: afterwards every queued run with a readable order is PAC's, or the error names those
// that are not, and no Lease of a slot is left. It may be repeated.
package handback
