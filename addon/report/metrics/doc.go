// Package metrics counts what a replica sees and does, for Prometheus.
//
// Every replica reports every queue as it sees it, leader or not; what the series
// of a queue say is therefore taken as the maximum over replicas, never summed up.
// Counters and histograms are of what this replica did itself, and are summed up.
// A queue's series end with the queue; above a number of queues that can be
// configured, one series for all takes their place.
//
// Requests to the API server, the work queue and the Go runtime are knative's to
// count, and it does.
//
// Nothing here reads from a cluster, waits, or decides anything.
package metrics
