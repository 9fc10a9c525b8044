package picture

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Run is one run of the queue.
type Run struct {
	Name  string
	State queue.State
	// Placed says that its place in the queue is known. PAC creates runs in any order and
	// writes down their order afterwards.
	Placed bool
	// Slot that names it while it is claimed or started; queue.NoSlot if none does.
	Slot int
	// Since is when it came into its state.
	Since time.Time
	// Took is how long a started run waited, and how long a run that is done ran; zero if
	// it never ran.
	Took time.Duration
	// Outcome of a run that is done.
	Outcome report.Outcome
}

// Event is anything worth showing besides the states of runs.
type Event struct {
	At   time.Time
	Text string
	// Alarm marks a failure, or a fault that was made on purpose.
	Alarm bool
}

// Picture is a queue at one moment.
type Picture struct {
	Title string
	Limit queue.Limit
	// Expected is how many runs there will be; zero if no more than these.
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
func (b Picture) In(s queue.State) []Run {
	var runs []Run
	for _, r := range b.Runs {
		if r.State == s {
			runs = append(runs, r)
		}
	}
	return runs
}

// total is the number of runs that there will be.
func (b Picture) total() int { return max(b.Expected, len(b.Runs)) }
