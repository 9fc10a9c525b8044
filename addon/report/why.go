package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Style is how times are told: to a reader who looks now ("6m"), or in what is
// written down and read later ("since 12:04:10Z").
type Style struct {
	Since, Until func(time.Time) string
}

// Written is the style of what is read later.
var Written = Style{
	Since: func(t time.Time) string { return "since " + t.UTC().Format(clockTime) },
	Until: func(t time.Time) string { return "until " + t.UTC().Format(clockTime) },
}

const clockTime = "15:04:05Z"

// At is the style of what is read now.
func At(now time.Time) Style {
	return Style{
		Since: func(t time.Time) string { return Round(now.Sub(t)) },
		Until: func(t time.Time) string { return Round(t.Sub(now)) + " left" },
	}
}

// Round renders a duration as people say it: 40s, 6m, 3h20m.
func Round(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Minute && d >= 2*time.Minute, d >= 10*time.Minute && d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
}

// namesToTell is how many runs a reason names.
const namesToTell = 5

// Why says in words where a run stands. refusal is what its last start was
// answered, if that is known.
func Why(is queue.Standing, all queue.Standings, refusal string, style Style) string {
	const pac = "Pipelines-as-Code"
	switch is.Why {
	case queue.Running:
		if is.Slot == queue.NoSlot {
			return "running without a slot"
		}
		return fmt.Sprintf("running in slot %d", is.Slot)
	case queue.SlotsTaken:
		return "waiting for a slot: " + inUse(all, style)
	case queue.LimitLowered:
		return fmt.Sprintf("has slot %d, but the limit of %d is taken up by others: waits until they are done", is.Slot, all.Limit)
	case queue.WithoutOrder:
		return fmt.Sprintf("waiting for %s to write its execution order, %s", pac, style.Until(is.Until))
	case queue.Preparing:
		return fmt.Sprintf("waiting for %s to make %s, %s", pac, is.Run.Owed, style.Until(is.Until))
	case queue.BehindPreparing:
		return fmt.Sprintf("waiting for %s, which comes first in the same event and which %s is still preparing", is.By.Name, pac)
	case queue.BackOff:
		return fmt.Sprintf("could not be started, attempt %d%s: waits %s", is.Run.Attempt, because(refusal), style.Until(is.Until))
	case queue.Superseded:
		return fmt.Sprintf("superseded by %s: is being cancelled", is.By.Name)
	case queue.HandedBack:
		if is.Run.Held() {
			return "goes back to " + pac + " once what runs is over"
		}
		return "handed back to " + pac
	case queue.Refused:
		return "could not be started" + because(refusal) + ": gives its slot to the next"
	case queue.Starting:
		switch {
		case refusal != "":
			return "is being started, which fails so far" + because(refusal)
		case is.Slot == queue.NoSlot:
			return "is next to be started"
		}
		return "is being started"
	default:
		return string(is.Why)
	}
}

func because(refusal string) string {
	if refusal == "" {
		return ""
	}
	return ", refused with: " + refusal
}

// inUse names what occupies the limit: what has a unit of it, and what comes before
// the first in line.
func inUse(all queue.Standings, style Style) string {
	var users, next names
	for _, r := range all.Runs {
		switch began := r.Run.Began; {
		case !r.Occupies():
		case r.Why == queue.Starting && r.Slot == queue.NoSlot:
			next.add(r.Run.Name)
		case began.IsZero():
			users.add(r.Run.Name)
		default:
			users.add(fmt.Sprintf("%s (%s)", r.Run.Name, style.Since(began)))
		}
	}
	switch {
	case users.count == 0 && next.count == 0:
		return fmt.Sprintf("none of %d is free yet", all.Limit)
	case users.count == 0:
		return "first to be started: " + next.String()
	case next.count == 0:
		return fmt.Sprintf("%d of %d in use by %s", users.count, all.Limit, users)
	default:
		return fmt.Sprintf("%d of %d in use by %s; first to be started: %s", users.count, all.Limit, users, next)
	}
}

// names are the first few of many, and a count of all.
type names struct {
	few   []string
	count int
}

func (n *names) add(name string) {
	if n.count++; n.count <= namesToTell {
		n.few = append(n.few, name)
	}
}

func (n names) String() string {
	text := strings.Join(n.few, ", ")
	if more := n.count - len(n.few); more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}
