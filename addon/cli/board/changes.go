package board

import "fmt"

// Changes tells, in one line each and in the order of the queue, what happened
// between two looks at it. A run that went through several states in between gets
// a line for the last one. New events come first.
func Changes(before, after Board) []string {
	var lines []string
	tell := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf("+%-7s %s", Age(after.Now.Sub(after.Began)), fmt.Sprintf(format, args...)))
	}
	for _, e := range after.Events[len(before.Events):] {
		mark := " "
		if e.Alarm {
			mark = "!"
		}
		lines = append(lines, fmt.Sprintf("+%-7s%s%s", Age(e.At.Sub(after.Began)), mark, e.Text))
	}
	was := make(map[string]Run, len(before.Runs))
	for _, r := range before.Runs {
		was[r.Name] = r
	}
	position := 0
	for _, r := range after.Runs {
		if r.State == Waiting {
			position++
		}
		old, known := was[r.Name]
		if known && old.State == r.State && old.Placed == r.Placed {
			continue
		}
		switch r.State {
		case Waiting:
			if !r.Placed {
				continue // its position is told when there is one
			}
			tell("%s waits, position %d", r.Name, position)
		case Claimed:
			// The start follows within milliseconds and names the slot.
		case Running:
			tell("%s started in %s after waiting %s; %d of %s running, %d waiting",
				r.Name, slotName(r.Slot), Age(r.Took), len(after.In(Running)), limitText(after), len(after.In(Waiting)))
		case Finished:
			tell("%s %s; %d of %d finished", r.Name, outcome(r), len(after.In(Finished)), after.total())
		}
	}
	return lines
}

func slotName(slot int) string {
	if slot == NoSlot {
		return "no slot"
	}
	return fmt.Sprintf("slot %d", slot)
}

func outcome(r Run) string {
	switch {
	case r.Wrong != "" && r.Took == 0:
		return r.Wrong + " without having run"
	case r.Wrong != "":
		return r.Wrong + " after " + Age(r.Took)
	default:
		return "succeeded after " + Age(r.Took)
	}
}

func limitText(b Board) string {
	if b.Limit == 0 {
		return "any number"
	}
	return fmt.Sprint(int(b.Limit))
}
