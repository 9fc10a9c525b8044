package queue

import (
	"cmp"
	"strings"
	"time"
)

// Order is the execution order of a run's event as the run carries it. A run to which PAC has not
// written one yet has none (nil).
type Order struct {
	// Held says that the order is where PAC does not look for it, so that PAC leaves the run alone.
	// Otherwise PAC has the run: it came before there was a hold, or was handed back.
	Held bool
	// Sequence is nil if the order is malformed. The run is then queued by its creation time, and
	// not waited for any longer.
	Sequence *Sequence
}

// Malformed says that there is an order, and that it cannot be used.
func (o *Order) Malformed() bool { return o != nil && o.Sequence == nil }

// Held says that the run's order is where PAC does not look for it, or its label where Kueue does
// not.
func (r *Run) Held() bool { return r.Order != nil && r.Order.Held || r.Kueue.Hidden }

// Sequence is the list in the run's order; nil if there is no order yet, or a malformed one.
func (r *Run) Sequence() *Sequence {
	if r.Order == nil {
		return nil
	}
	return r.Order.Sequence
}

// Event is a run's place among events: invariant I3 orders by the creation of the event's first
// run.
type Event struct {
	ID      string
	Created time.Time
	// Arrived orders the events of one second. It is what has been written down of it, and not
	// known if nothing has.
	Arrived Arrival
}

// Place is a run and its place in the queue.
type Place struct {
	Run   *Run
	Event Event
	// Came is when the event came: what has been written down of it or else what the observer has
	// seen.
	Came Arrival
	// Index is the run's position in its event's order.
	Index int
	// Ordered says that an order names the run, possibly on another run of its event: PAC patches
	// the runs of one event one by one with the same list.
	Ordered bool
	// is says what decisions ask of the run, so that they need not look at most runs again.
	is traits
	// event is that of an ordered run in the lineUp.
	event int32
}

// traits are what a decision asks of every run.
type traits uint8

const (
	// isPending and isStarted are its phase.
	isPending traits = 1 << iota
	isStarted
	// isPlain is a run with an order that waits for nothing but a slot, as most of them do.
	isPlain
	// isHolder is a run that a slot rightly names.
	isHolder
)

// traits returns those of the run itself.
func (r *Run) traits() traits {
	var is traits
	switch r.Phase {
	case Pending:
		is = isPending
	case Started:
		is = isStarted
	case Done:
	}
	if r.Order != nil && r.Owed == "" && r.NotBefore.IsZero() {
		is |= isPlain
	}
	return is
}

// Compare is invariant I3.
func (p Place) Compare(o Place) int { return p.compare(&o) }

func (p *Place) compare(o *Place) int {
	if by := p.Event.Created.Compare(o.Event.Created); by != 0 {
		return by
	}
	if by := p.Came.compare(o.Came); by != 0 {
		return by
	}
	if by := strings.Compare(p.Event.ID, o.Event.ID); by != 0 {
		return by
	}
	if by := cmp.Compare(p.Index, o.Index); by != 0 {
		return by
	}
	return strings.Compare(p.Run.Name, o.Run.Name)
}

// InOrder returns the runs of all phases in queue order.
func InOrder(runs []*Run, slots []Slot) []*Run {
	sorted := make([]*Run, 0, len(runs))
	for _, p := range Line(runs, slots) {
		sorted = append(sorted, p.Run)
	}
	return sorted
}
