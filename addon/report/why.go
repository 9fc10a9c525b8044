package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Style is how a text tells times: to a reader of this moment ("6m"), or to one who reads it
// later ("since 12:04:10Z").
type Style struct {
	Since, Until func(time.Time) string
}

// Written is the style of texts that are read later.
var Written = Style{
	Since: func(t time.Time) string { return "since " + t.UTC().Format(clockTime) },
	Until: func(t time.Time) string { return "until " + t.UTC().Format(clockTime) },
}

const clockTime = "15:04:05Z"

// At is the style of texts that are read at once.
func At(now time.Time) Style {
	return Style{
		Since: func(t time.Time) string { return Round(now.Sub(t)) },
		Until: func(t time.Time) string { return Round(t.Sub(now)) + " left" },
	}
}

// mostNames is how many runs a sentence names.
const mostNames = 5

// Why says in a sentence where a run stands. refusal is the API server's answer to its last start,
// or to the last claim of a slot for it, if that failed and is known.
func Why(is queue.Standing, all queue.Standings, refusal string, style Style) string {
	const pac = "Pipelines-as-Code"
	switch is.Why {
	case "":
		if is.Slot == queue.NoSlot {
			return "started, without a slot"
		}
		return fmt.Sprintf("started in slot %d", is.Slot)
	case queue.SlotsTaken:
		return "waiting for a slot: " + inUse(all, style)
	case queue.LimitLowered:
		return fmt.Sprintf("has slot %d, but other runs take up the limit of %d: waiting for them to end", is.Slot, all.Limit)
	case queue.WithoutOrder:
		return fmt.Sprintf("waiting for %s to write its execution order, %s", pac, style.Until(is.Until))
	case queue.Preparing:
		return fmt.Sprintf("waiting for %s to make %s, %s", pac, is.Run.Owed, style.Until(is.Until))
	case queue.Unprepared:
		return fmt.Sprintf("not started without %s, which %s has not made: the runs behind it go first", is.Run.Owed, pac)
	case queue.NotBegun:
		return fmt.Sprintf("started, but %s, which its spec.managedBy names, has not begun with it: it takes no slot until then",
			is.Run.Manager)
	case queue.BehindPreparing:
		return fmt.Sprintf("waiting for %s, which comes first in the same event and is still being prepared by %s", is.By.Name, pac)
	case queue.BackOff:
		return fmt.Sprintf("in back-off, %s, after a failed start (attempt %d)%s", style.Until(is.Until), is.Run.Attempt, because(refusal))
	case queue.Superseded:
		return fmt.Sprintf("superseded by %s, about to be cancelled", is.By.Name)
	case queue.Paused:
		if is.Slot == queue.NoSlot {
			return "waiting while the queue is paused" + brackets(all.Spec.PausedBy)
		}
		return fmt.Sprintf("has slot %d, and does not start while the queue is paused%s", is.Slot, brackets(all.Spec.PausedBy))
	case queue.BehindPriority:
		return fmt.Sprintf("waiting for a slot, behind %s of higher priority: %s", count(is.Before, "run"), inUse(all, style))
	case queue.Outdated:
		return fmt.Sprintf("about to be cancelled: %s, which is newer and %s, waits", is.By.Name, is.By.Origin)
	case queue.Dropped:
		return "about to be cancelled: " + Dropped(is.Cause, all.Spec)
	case queue.HandedBack:
		if is.Run.Labelled {
			return "stays pending while the queues are handed back to " + pac + ", which knows nothing of it"
		}
		if is.Run.Held() {
			return "returns to " + pac + " once the started runs are done"
		}
		return "handed back to " + pac
	case queue.Refused:
		return fmt.Sprintf("giving up slot %d after failed starts%s", is.Slot, because(refusal))
	case queue.Due:
		switch {
		case is.Slot == queue.NoSlot && refusal != "":
			return "next to start, but its slot cannot be claimed" + because(refusal)
		case is.Slot == queue.NoSlot:
			return "next to start"
		case refusal != "":
			return fmt.Sprintf("about to start in slot %d again, after a failed start%s", is.Slot, because(refusal))
		}
		return fmt.Sprintf("about to start in slot %d", is.Slot)
	case queue.AtKueue:
		if is.Slot == queue.NoSlot {
			return fmt.Sprintf("waiting for Kueue to admit it (its queue %s)", is.Run.Kueue.Queue)
		}
		return fmt.Sprintf("has slot %d, and waits for Kueue to admit it (its queue %s)", is.Slot, is.Run.Kueue.Queue)
	case queue.NoRepository:
		return "waiting for its Repository, which does not exist"
	}
	return string(is.Why)
}

// Dropped says why a run must not wait.
func Dropped(cause queue.Cause, spec queue.Spec) string {
	switch cause {
	case queue.TooMany:
		return fmt.Sprintf("%s may wait (waiting.max of the RunQueue), and the newest beyond do not", count(spec.MostWaiting, "run"))
	case queue.TooOld:
		return fmt.Sprintf("no run may wait for longer than %s (waiting.maxAge of the RunQueue)", Round(spec.MaxAge))
	case queue.Replaced, queue.NotNewest: // told with the newer run
	}
	return string(cause)
}

func brackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func because(refusal string) string {
	if refusal == "" {
		return ""
	}
	return ": " + refusal
}

// inUse names the runs that occupy the limit: those that have a unit of it, and those that
// are about to get one.
func inUse(all queue.Standings, style Style) string {
	var users, next names
	for _, r := range all.Runs {
		switch began := r.Run.Began; {
		case !r.Occupies():
		case r.Why == queue.Due && r.Slot == queue.NoSlot:
			next.add(r.Run.Name)
		case began.IsZero():
			users.add(r.Run.Name)
		default:
			users.add(fmt.Sprintf("%s (%s)", r.Run.Name, style.Since(began)))
		}
	}
	var parts []string
	if users.count > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d in use by %s", users.count, all.Limit, users))
	}
	if all.Unusable > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d cannot be used, because of what is in their Leases' place", all.Unusable, all.Limit))
	}
	if len(all.Kept) > 0 {
		var holders names
		for _, s := range all.Kept {
			holders.add(s.Holder.Name)
		}
		parts = append(parts, fmt.Sprintf("%d of %d kept while pods of %s are left", len(all.Kept), all.Limit, holders))
	}
	if next.count > 0 {
		parts = append(parts, "next to start: "+next.String())
	}
	if len(parts) == 0 {
		return fmt.Sprintf("none of %d is free yet", all.Limit)
	}
	return strings.Join(parts, "; ")
}

// names are the first few of many names, and a count of all.
type names struct {
	few   []string
	count int
}

func (n *names) add(name string) {
	if n.count++; n.count <= mostNames {
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
