// Package picture draws a queue for a terminal: its slots with their holders, the runs in line, the
// runs that are done, and other events.
//
// It is pure. A caller that watches the queue fills in a [Picture]; [Painter.Paint] paints it so
// that it fits a terminal, and [Changes] makes lines that tell the same without one.
package picture
