// Package page makes HTML of queues. It is pure: a page depends on what it is given only.
//
// Guaranteed: whatever an object is named and says, it is text on a page and nothing else; each
// page has a bounded number of rows; a page works without JavaScript, and names no other host but
// the console's.
package page
