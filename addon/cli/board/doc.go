// Package board shows a queue to people: its slots with their holders, who waits
// in which position, what has finished and what else happened.
//
// It is pure. Whoever watches the queue fills in a [Board]; [Painter.Paint] makes
// a picture of it that fits a terminal, [Changes] makes the lines that tell the
// same where there is no terminal.
package board
