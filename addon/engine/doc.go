// Package engine brings one queue forward: it observes, lets [queue.Decide]
// decide, carries the actions out, and reports.
//
// Guaranteed: every write carries the version it was decided on; an error never
// counts as proof that nothing was written, the next look at the cluster tells;
// a slot's absence and a holder's absence are confirmed past the caches before
// anything rests on them. Any number of engines may work on the same queue at
// once: they cost each other refused writes, never the limit.
//
// Not guaranteed: that a pass finishes the work. The caller repeats it on every
// change, at the time the pass asks for, and after an error.
package engine
