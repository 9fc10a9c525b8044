// Package report is what people see of a queue: events on runs and
// Repositories. In normal flow there are only Normal events; a Warning is
// something that a person should look at.
package report
