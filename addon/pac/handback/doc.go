// Package handback gives every queue back to Pipelines-as-Code for good: it is
// what happens before the product is uninstalled.
//
// Replicas do it by themselves once their configuration says so, and wait for that
// until nothing runs that they have started. An uninstall cannot wait for ever:
// what is left after a while is returned at once. PAC's queue does not count what
// is still running then, so a Repository may be above its limit until that is over.
//
// Guaranteed: every queued run whose order can be read is PAC's afterwards, or the
// error says which is not, and no Lease of a slot is left. It may be repeated.
package handback
