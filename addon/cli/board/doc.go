// Package board shows a queue on a terminal: its slots with their holders, the runs in line,
// the runs that are done, and other events.
//
// It is pure. A caller that watches the queue fills in a [Board]; [Painter.Paint] makes a
// picture of it that fits a terminal, and [Changes] makes lines that tell the same without one.
package board
