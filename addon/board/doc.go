// Package board serves the queues as web pages, and the same as JSON.
//
// Guaranteed: it writes nothing to the cluster, and a reader costs no request to the API server
// (but for the questions who it is and what it may see, where that is asked); what one page shows
// is made once for all its readers; a slow reader holds up no other; the number of readers, and
// what each may send, is bounded.
//
// Not guaranteed: that a page is of this instant. It follows within [least] and what rendering
// takes.
package board
