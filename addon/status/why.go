package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Style is how times are told: to somebody who looks now ("6m"), or in what is
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
		return fmt.Sprintf("has slot %d, but more runs are going than the limit of %d allows since it was lowered: waits until they are done", is.Slot, all.Limit)
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
		return "handed back to " + pac
	case queue.Refused:
		return "could not be started" + because(refusal) + ": gives its slot to the next"
	default:
		if refusal != "" {
			return "is being started, which fails so far" + because(refusal)
		}
		return "is being started"
	}
}

func because(refusal string) string {
	if refusal == "" {
		return ""
	}
	return ", refused with: " + refusal
}

// inUse names what occupies the limit.
func inUse(all queue.Standings, style Style) string {
	var users []string
	count := 0
	for _, r := range all.Runs {
		if r.Why != queue.Running && r.Slot == queue.NoSlot {
			continue
		}
		if count++; count > namesToTell {
			continue
		}
		if began := r.Run.Began; !began.IsZero() {
			users = append(users, fmt.Sprintf("%s (%s)", r.Run.Name, style.Since(began)))
		} else {
			users = append(users, r.Run.Name)
		}
	}
	if count > namesToTell {
		users = append(users, fmt.Sprintf("and %d more", count-namesToTell))
	}
	if count == 0 {
		return fmt.Sprintf("none of %d is free yet", all.Limit)
	}
	return fmt.Sprintf("%d of %d in use by %s", count, all.Limit, strings.Join(users, ", "))
}
