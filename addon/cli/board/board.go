package board

import (
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// State is where a run stands, as people see it.
type State int

// The states of a run, in the order it goes through them.
const (
	Waiting State = iota
	Claimed       // a slot names it, it is about to start
	Running
	Finished
)

// NoSlot is the slot of a run that occupies none.
const NoSlot = -1

// Run is one run of the queue.
type Run struct {
	Name  string
	State State
	// Placed says that its place in the queue is known. PAC creates runs in any
	// order and tells their order afterwards.
	Placed bool
	// Slot that it occupies while it is claimed or running.
	Slot int
	// Since is when it came into its state.
	Since time.Time
	// Took is how long the state before lasted: what a running run waited, what
	// a finished one ran.
	Took time.Duration
	// Wrong says in a word how a finished run went wrong; empty when it did not.
	Wrong string
}

// Event is anything worth telling besides what runs do.
type Event struct {
	At   time.Time
	Text string
	// Alarm marks what ought not to happen, or was done on purpose to see what
	// happens then.
	Alarm bool
}

// Board is a queue at one moment.
type Board struct {
	Title string
	Limit queue.Limit
	// Expected is how many runs there will be; zero means those that are there.
	Expected int
	// Runs in queue order.
	Runs []Run
	// Events, oldest first.
	Events []Event
	// Began is when time is counted from.
	Began time.Time
	Now   time.Time
}

// In returns the runs in a state, in queue order.
func (b Board) In(s State) []Run {
	var runs []Run
	for _, r := range b.Runs {
		if r.State == s {
			runs = append(runs, r)
		}
	}
	return runs
}

// total is the number of runs that there will be.
func (b Board) total() int { return max(b.Expected, len(b.Runs)) }

// Age writes a duration the way people read it at a glance.
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0s"
	case d < 100*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}
