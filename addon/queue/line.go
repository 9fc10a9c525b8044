package queue

import (
	"slices"
	"sync"
	"time"
)

// Line returns the runs of all phases in queue order, each with its place. It is fast if the runs
// are nearly in that order already.
func Line(runs []*Run, slots []Slot) []Place { return new(lineUp).line(runs, slots) }

// lineUp is what it takes to put runs in line. It is used again for other queues, since a line is
// long and every look makes one.
type lineUp struct {
	places []Place
	order  []int // of places that have to be sorted
	events []beginning
	byID   map[string]int // events
	// without has the places of runs that have no order of their own yet.
	without []int
	// supersedes says that there may be runs that others supersede.
	supersedes bool
	// sections are those of a second in the line.
	sections []section
	// prioritized says that some run has a priority.
	prioritized bool
	// waiting are the ranks of the runs that wait.
	waiting []int
}

// lineUps are those that are not in use. They may keep the runs of the last look until the garbage
// collector takes them.
var lineUps = sync.Pool{New: func() any { return new(lineUp) }}

// beginning is the beginning of an event, as far as it is known.
type beginning struct {
	// sequence is the longest one: of some runs only the event is known.
	sequence      *Sequence
	created       time.Time
	arrived, seen Arrival
	runs          int
	// came is when the event came.
	came Arrival
}

func (b *beginning) note(created time.Time, arrived Arrival) {
	if b.created.IsZero() || created.Before(b.created) {
		b.created = created
	}
	b.arrived = b.arrived.or(arrived)
}

// add notes one run of the event.
func (b *beginning) add(r *Run) {
	b.note(r.Created, r.Arrived)
	if b.runs++; b.runs == 1 {
		b.seen = r.Seen
	} else {
		b.seen = b.seen.first(r.Seen)
	}
}

// line puts the runs in line. The line is overwritten by the next one.
func (l *lineUp) line(runs []*Run, slots []Slot) []Place {
	l.reset(len(runs))
	last, lastID := -1, ""
	for i, r := range runs {
		p := &l.places[i]
		p.Run, p.is = r, r.traits()
		l.supersedes = l.supersedes || r.supersedes()
		l.prioritized = l.prioritized || r.Priority != Priority{}
		seq := r.Sequence()
		if seq == nil {
			if r.Order == nil {
				l.without = append(l.without, i)
			}
			continue
		}
		if last < 0 || seq.ID != lastID { // the runs of an event are next to each other, as a rule
			last, lastID = l.eventOf(seq.ID), seq.ID
		}
		event := &l.events[last]
		if event.sequence == nil || event.sequence.Len() < seq.Len() {
			event.sequence = seq
		}
		event.add(r)
		p.Event.ID, p.Ordered, p.event = seq.ID, true, int32(last)
		p.Index, _ = seq.Position(r.Name)
	}
	l.findListed()
	for _, s := range slots {
		if h := s.Holder; h != nil && !h.Event.Created.IsZero() {
			if event, known := l.byID[h.Event.ID]; known {
				l.events[event].note(h.Event.Created, h.Event.Arrived)
			}
		}
	}
	l.date()
	l.sort()
	return l.places
}

func (l *lineUp) reset(runs int) {
	l.places = slices.Grow(l.places[:0], runs)[:runs]
	clear(l.places)
	clear(l.events) // so that it keeps no sequence
	l.events, l.without = l.events[:0], l.without[:0]
	if l.byID == nil {
		l.byID = map[string]int{}
	}
	clear(l.byID)
	l.supersedes, l.prioritized = false, false
}

func (l *lineUp) eventOf(id string) int {
	event, known := l.byID[id]
	if !known {
		event = len(l.events)
		l.events, l.byID[id] = append(l.events, beginning{}), event
	}
	return event
}

// findListed finds the runs without an order of their own in the orders of others.
func (l *lineUp) findListed() {
	if len(l.without) == 0 {
		return
	}
	type position struct{ event, index int }
	listed := make(map[string]position, len(l.without)) // by the hash of the name
	for _, i := range l.without {
		listed[hashOf(l.places[i].Run.Name)] = position{event: -1}
	}
	for event := range l.events {
		seq := l.events[event].sequence
		seq.hashes(func(index int, hash string) {
			// Two lists name one run only after an edit by hand. Which list counts must not depend
			// on the order of observation.
			was, asked := listed[hash]
			if asked && (was.event < 0 || seq.ID < l.events[was.event].sequence.ID) {
				listed[hash] = position{event, index}
			}
		})
	}
	for _, i := range l.without {
		p := &l.places[i]
		is := listed[hashOf(p.Run.Name)]
		if is.event < 0 {
			continue
		}
		event := &l.events[is.event]
		event.add(p.Run)
		p.Event.ID, p.Ordered, p.Index, p.event = event.sequence.ID, true, is.index, int32(is.event)
	}
}

// date says when the event of each run began.
func (l *lineUp) date() {
	for i := range l.events {
		event := &l.events[i]
		event.came = event.seen
		if event.runs < event.sequence.Len() && event.came.Known() {
			event.came.AtMost = true // one that is gone may have come before
		}
		if event.arrived.Known() {
			event.came = event.arrived
		}
	}
	for i := range l.places {
		p := &l.places[i]
		if p.Ordered {
			event := &l.events[p.event]
			p.Event.Created, p.Event.Arrived, p.Came = event.created, event.arrived, event.came
			continue
		}
		r := p.Run
		p.Event, p.Came = Event{ID: r.Name, Created: r.Created, Arrived: r.Arrived}, r.Seen
		switch {
		case r.Arrived.Known():
			p.Came = r.Arrived
		case r.Order == nil && p.Came.Known():
			p.Came.AtMost = true // its event, once that is known, may have come before it
		}
	}
}

// sort puts the places into queue order. If they are nearly in it, the few that are not are moved
// to their place one by one.
func (l *lineUp) sort() {
	places := l.places
	enough := 2 * len(places) // moves, after which sorting is cheaper
	for i := 1; i < len(places); i++ {
		if places[i-1].compare(&places[i]) <= 0 {
			continue
		}
		to, _ := slices.BinarySearchFunc(places[:i], &places[i], func(p Place, than *Place) int { return p.compare(than) })
		if enough -= i - to; enough < 0 {
			l.sortAll()
			return
		}
		moved := places[i]
		copy(places[to+1:i+1], places[to:i])
		places[to] = moved
	}
}

// sortAll sorts the indices of the places, which are large, and moves each place once.
func (l *lineUp) sortAll() {
	places := l.places
	l.order = slices.Grow(l.order[:0], len(places))[:len(places)]
	order := l.order
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
}
