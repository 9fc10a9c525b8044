package queue

import (
	"cmp"
	"slices"
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
}

// place is a position in the order of an event.
type place struct {
	ID    string
	index int
}

// Line returns the runs of all phases in queue order, each with its place.
func Line(runs []*Run, slots []Slot) []Place {
	sequences := map[string]*Sequence{} // by ID
	without := map[string]bool{}        // hashes of the names of runs without an order of their own
	for _, r := range runs {
		if seq := r.Sequence(); seq != nil {
			if was := sequences[seq.ID]; was == nil || was.Len() < seq.Len() { // of some runs only the event is known
				sequences[seq.ID] = seq
			}
		} else if r.Order == nil {
			without[hashOf(r.Name)] = true
		}
	}
	listed := map[string]place{} // by such a hash, from the order of another run of the event
	if len(without) > 0 {
		for _, seq := range sequences {
			seq.hashes(func(index int, hash string) {
				// Two lists name one run only after an edit by hand. Which list counts must not
				// depend on the order of observation.
				if was, again := listed[hash]; without[hash] && (!again || seq.ID < was.ID) {
					listed[hash] = place{seq.ID, index}
				}
			})
		}
	}
	events := map[string]*beginning{}
	of := func(id string) *beginning {
		if events[id] == nil {
			events[id] = &beginning{}
		}
		return events[id]
	}
	for _, s := range slots {
		if h := s.Holder; h != nil && sequences[h.Event.ID] != nil && !h.Event.Created.IsZero() {
			of(h.Event.ID).note(h.Event.Created, h.Event.Arrived)
		}
	}
	places := make([]Place, len(runs))
	for i, r := range runs {
		p := Place{Run: r, Event: Event{ID: r.Name, Created: r.Created, Arrived: r.Arrived}, Came: r.Seen}
		if seq := r.Sequence(); seq != nil {
			p.Event.ID, p.Ordered = seq.ID, true
			p.Index, _ = seq.Position(r.Name)
		} else if is, ok := listed[hashOf(r.Name)]; ok && r.Order == nil {
			p.Event.ID, p.Ordered, p.Index = is.ID, true, is.index
		}
		if p.Ordered {
			event := of(p.Event.ID)
			event.note(r.Created, r.Arrived)
			if event.runs++; event.runs == 1 {
				event.seen = r.Seen
			} else {
				event.seen = event.seen.first(r.Seen)
			}
		}
		places[i] = p
	}
	for i := range places {
		p := &places[i]
		if p.Ordered {
			event := events[p.Event.ID]
			p.Event.Created, p.Event.Arrived, p.Came = event.created, event.arrived, event.seen
			if event.runs < sequences[p.Event.ID].Len() && p.Came.Known() {
				p.Came.AtMost = true // one that is gone may have come before
			}
		}
		switch {
		case p.Event.Arrived.Known():
			p.Came = p.Event.Arrived
		case !p.Ordered && p.Run.Order == nil && p.Came.Known():
			p.Came.AtMost = true // its event, once that is known, may have come before it
		}
	}
	return sorted(places)
}

// sorted puts the places into queue order. They are large, so that what is sorted is their indices.
func sorted(places []Place) []Place {
	order := make([]int, len(places))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return places[a].compare(&places[b]) })
	for first := range order {
		if order[first] < 0 {
			continue // it is in its place
		}
		moved := places[first]
		for i := first; ; {
			from := order[i]
			order[i] = -1
			if from == first {
				places[i] = moved
				break
			}
			places[i] = places[from]
			i = from
		}
	}
	return places
}

// beginning is the beginning of an event, as far as it is known.
type beginning struct {
	created       time.Time
	arrived, seen Arrival
	runs          int
}

func (b *beginning) note(created time.Time, arrived Arrival) {
	if b.created.IsZero() || created.Before(b.created) {
		b.created = created
	}
	b.arrived = b.arrived.or(arrived)
}

// Compare is invariant I3.
func (p Place) Compare(o Place) int { return p.compare(&o) }

func (p *Place) compare(o *Place) int {
	return cmp.Or(
		p.Event.Created.Compare(o.Event.Created),
		p.Came.compare(o.Came),
		cmp.Compare(p.Event.ID, o.Event.ID),
		cmp.Compare(p.Index, o.Index),
		cmp.Compare(p.Run.Name, o.Run.Name),
	)
}

// InOrder returns the runs of all phases in queue order.
func InOrder(runs []*Run, slots []Slot) []*Run {
	sorted := make([]*Run, 0, len(runs))
	for _, p := range Line(runs, slots) {
		sorted = append(sorted, p.Run)
	}
	return sorted
}
