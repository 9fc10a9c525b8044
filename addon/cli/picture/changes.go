package picture

import (
	"fmt"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Changes tells what happened between two looks at a queue, a line for each event and each run
// in queue order. A run that went through several states in between gets a line for the last
// one. New events come first.
func Changes(before, after Picture) []string {
	var lines []string
	tell := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf("+%-7s %s", report.Tick(after.Now.Sub(after.Began)), fmt.Sprintf(format, args...)))
	}
	for _, e := range after.Events[len(before.Events):] {
		mark := " "
		if e.Alarm {
			mark = "!"
		}
		lines = append(lines, fmt.Sprintf("+%-7s%s%s", report.Tick(e.At.Sub(after.Began)), mark, e.Text))
	}
	was := make(map[string]Run, len(before.Runs))
	for _, r := range before.Runs {
		was[r.Name] = r
	}
	position := 0
	for _, r := range after.Runs {
		if r.State == queue.StateQueued {
			position++
		}
		old, known := was[r.Name]
		if known && old.State == r.State && old.Placed == r.Placed {
			continue
		}
		switch r.State {
		case queue.StateQueued:
			if !r.Placed {
				continue // a line follows when its position is known
			}
			tell("%s queued, position %d", r.Name, position)
		case queue.StateClaimed:
			// The start follows within milliseconds and names the slot.
		case queue.StateStarted:
			tell("%s started in %s after waiting %s; %d started (limit %s), %d queued",
				r.Name, slotName(r.Slot), report.Tick(r.Took), len(after.In(queue.StateStarted)), after.Limit,
				len(after.In(queue.StateQueued)))
		case queue.StateDone:
			tell("%s %s; %d of %d done", r.Name, ending(r), len(after.In(queue.StateDone)), after.total())
		}
	}
	return lines
}

func slotName(slot int) string {
	if slot == queue.NoSlot {
		return "no slot"
	}
	return fmt.Sprintf("slot %d", slot)
}

// ending tells how a run ended, and after how long.
func ending(r Run) string {
	if r.Outcome != report.Succeeded && r.Took == 0 {
		return string(r.Outcome) + " before it ran"
	}
	return fmt.Sprintf("%s after %s", r.Outcome, report.Tick(r.Took))
}
