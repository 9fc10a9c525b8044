// Package history records what happens to the queues of a cluster: every watch event of
// PipelineRuns, Leases, Repositories and RunQueues, in the order of their resourceVersions. Nothing
// is sampled: a state that lasted a millisecond is in the record.
//
// Record watches through the API server, RecordEtcd watches etcd itself and misses nothing while
// API servers come and go. A hole in the record is an error of the recorder, never silence. The
// record answers three questions: what a queue looks like now (View, Wait), whether it ever broke
// an invariant (Audit), and what happened to it, for people (Text).
package history
