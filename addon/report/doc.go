// Package report has the words for where a run stands, for whatever tells people: events,
// annotations, the debug view of a replica, and the command line.
//
// The packages below it are the observers of a replica; each tells people in a way of its own.
package report
