// Package runqueue reads RunQueues: what people want of queues besides their limits.
//
// Guaranteed: a RunQueue that cannot be used keeps no queue from going on; of a spec, what can be
// used is in force; what the cache keeps of the RunQueues of a namespace is bounded; conditions
// cannot cost more than a bound for each run.
//
// Not guaranteed: that a change is in force at once. It is once this replica's watch has shown it.
package runqueue
