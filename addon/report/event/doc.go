// Package event writes what happens to queues as Kubernetes events on runs, Repositories and the
// ConfigMap. The normal flow makes Normal events only; a Warning is something that a person should
// look at.
//
// [Observer] derives the events from what a replica sees and does, [Recorder] writes them. Events
// are a courtesy: one may be lost or repeated, and nothing waits for it.
package event
