// Package controller wires the product to a cluster the way knative does it:
// informers, one work queue keyed by queue, leader buckets, live configuration.
//
// Every replica watches everything. The leader of a key's bucket acts on it at
// once; the others act when recovery tells them to. Leadership only keeps
// replicas out of each other's way, no invariant rests on it.
package controller
