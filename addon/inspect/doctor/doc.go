// Package doctor finds what is wrong with an installation and its queues, and says what repairs
// it: [Doctor] for an operator, [SelfTest] for helm test.
//
// Everything is read first ([Doctor.read]); each check is then a pure function of what was read
// ([Facts]). What a working replica repairs by itself is looked at twice and counts only if it is
// still there. What the caller may not read is listed as unseen and is no finding.
//
// A repair ([Doctor.Fix]) neither starts a run nor gives a slot away, and is conditional on the
// state that was seen. Everything else is left to the add-on, to helm or to operators.
package doctor
