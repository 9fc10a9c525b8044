// Package doctor says what is wrong with an installation and its queues, and what
// repairs it.
//
// Everything is read first ([Doctor.read]); each check is then a pure function of what was
// read. What a working replica would put right by itself is looked at twice, and counts
// only if it is still so. What may not be read is said, and is no finding.
//
// A repair neither starts a run nor gives a slot away, and is conditional on what was
// seen: see [Repair]. Everything else is left to the add-on, to helm or to people.
package doctor
