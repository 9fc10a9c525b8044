// Package storetest is what every [engine.Store] must pass: [Run] is the
// conformance suite, through the interface alone.
//
// It proves the contract that the engine's safety rests on: of the writes that
// name one observed version (or absence) at most one happens, the others are
// told [engine.ErrStale] and leave no trace, and every listing shows slots as
// they were written.
package storetest
