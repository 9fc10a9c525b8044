// Package queue is the vocabulary and the rules of pac-lease-queue: which runs wait, which is next,
// and which slot goes to which run.
//
// A queue is one Repository with a limit N. A slot is one unit of that limit. A run is a
// PipelineRun: pending (held), claimed (a slot names it, it is still pending), started, done.
// [Decide] maps one snapshot of a queue to the actions that bring it forward. It has no clock, no
// client and no logger, so the same function serves the controller, the recovery loop, the
// simulation and the command line.
//
// Guaranteed, provided that every action is executed as its documentation says (with the observed
// version as a precondition of the write):
//
//   - Limit: a slot is given away only if its holder is done, gone or fenced, so at most N runs
//     that were started through slots are started and not done.
//   - Order: eligible runs get slots in queue order.
//   - Level-triggered: the actions follow from the snapshot alone. Any observer with an empty
//     memory derives the same next step, and repeating a step is harmless.
//
// Not guaranteed here: that the snapshot is fresh. A stale one costs a refused write, never the
// limit, with two exceptions that callers must close: a slot that does not exist has no version to
// refuse by, and the version of a damaged one says nothing about the run that it named. A decision
// that rests on either needs a snapshot read past every cache ([Decision.NeedsFresh]).
package queue
