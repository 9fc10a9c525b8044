// Package event writes what happens to queues as Kubernetes events on runs, Repositories, RunQueues
// and the ConfigMap. The normal flow makes Normal events only; a Warning is something that a person
// should look at.
//
// [Observer] derives the events from what a replica sees and does, [Recorder] writes them. Events
// are a courtesy: one may be lost or repeated, and nothing waits for it.
//
// Guaranteed: no more is written than the pace allows, and no more waits to be written than fits
// into a bounded outbox. Namespaces take turns, and one with more events than can be written loses
// its own only. In a namespace, Warnings go before all other events, and their reasons take turns.
// While events wait, one of the usual course of a run (Queued, SlotAcquired, Started) makes way for
// the next; all others are written, with the time at which they happened.
package event
