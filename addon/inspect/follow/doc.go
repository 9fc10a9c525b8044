// Package follow keeps the queues of a cluster at hand, as package inspect shows them, for any
// number of readers: one watch of each kind of object, whatever is asked and however often.
//
// Guaranteed: it writes nothing; asking for a queue costs no request; what is kept of a namespace
// has a bound, and so has what is kept of runs that are over.
//
// Not guaranteed: that a queue is shown as of one instant, or that it is known what became of a run
// that was over before the first look. A slot whose holder no watch shows counts as taken.
package follow
