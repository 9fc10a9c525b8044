package queue

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Order is the execution order of one event: the names of its runs, first
// first. Runs of one event share one Order.
type Order struct {
	// ID tells events apart; equal lists have equal IDs.
	ID       string
	names    []string
	position map[string]int
}

// NewOrder builds the order of the given run names.
func NewOrder(names []string) *Order {
	h := fnv.New64a()
	position := make(map[string]int, len(names))
	for i, n := range names {
		fmt.Fprintf(h, "%s,", n)
		if _, again := position[n]; !again {
			position[n] = i
		}
	}
	return &Order{ID: fmt.Sprintf("%016x", h.Sum64()), names: slices.Clone(names), position: position}
}

// Names lists the runs of the event, first first.
func (o *Order) Names() []string { return slices.Clone(o.names) }

// Position says where in the order the named run stands, from 0.
func (o *Order) Position(name string) (int, bool) {
	i, ok := o.position[name]
	return i, ok
}

// Lists says whether the order names the run.
func (o *Order) Lists(name string) bool {
	_, ok := o.position[name]
	return ok
}

// ParseOrder reads PAC's execution-order annotation, namespace/name entries
// separated by commas (pkg/pipelineascode/concurrency.go, getOrderByName), for
// a run of the given namespace and name. A list that is not of that form, names
// another namespace, repeats a run or leaves this one out is refused whole: half
// an order would put runs before others on a guess.
func ParseOrder(value, namespace, name string) (*Order, error) {
	entries := strings.Split(value, ",")
	names := make([]string, 0, len(entries))
	for i, entry := range entries {
		ns, n, ok := strings.Cut(strings.TrimSpace(entry), "/")
		switch {
		case !ok || ns == "" || n == "" || strings.Contains(n, "/"):
			return nil, fmt.Errorf("entry %d of %d, %q, is not namespace/name", i+1, len(entries), clip(entry))
		case ns != namespace:
			return nil, fmt.Errorf("entry %d of %d, %q, is of another namespace than %s", i+1, len(entries), clip(entry), namespace)
		}
		names = append(names, n)
	}
	o := NewOrder(names)
	if len(o.position) != len(names) {
		return nil, fmt.Errorf("a run is listed twice")
	}
	if _, ok := o.Position(name); !ok {
		return nil, fmt.Errorf("the run %s itself is not listed", name)
	}
	return o, nil
}

// clip keeps a stranger's text from flooding an event message.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// Event is a run's place among events: invariant I3 orders by the creation time
// of the event's first run.
type Event struct {
	ID      string
	Created time.Time
}

// Place is a run and where it stands.
type Place struct {
	Run   Run
	Event Event
	// Index is the run's position in its event's order.
	Index int
	// Ordered says that an order names the run, be it on another run of its
	// event: PAC patches the runs of one event one by one with the same list.
	Ordered bool
}

// Line is the whole queue, whatever the phase of its runs, first first.
func Line(runs []Run, slots []Slot) []Place {
	orders := map[string]*Order{} // by ID
	ofRun := map[string]*Order{}  // by run name, from anybody's list
	created := map[string]time.Time{}
	note := func(id string, t time.Time) {
		if was, ok := created[id]; !ok || t.Before(was) {
			created[id] = t
		}
	}
	for _, r := range runs {
		if r.Order == nil {
			continue
		}
		if _, seen := orders[r.Order.ID]; !seen {
			orders[r.Order.ID] = r.Order
			for _, n := range r.Order.names {
				// Two lists that name one run come from a person's edit; which
				// one rules must not depend on the order of observation.
				if was := ofRun[n]; was == nil || r.Order.ID < was.ID {
					ofRun[n] = r.Order
				}
			}
		}
	}
	for _, r := range runs {
		if r.Order != nil {
			ofRun[r.Name] = r.Order
		}
	}
	for _, s := range slots {
		if s.Holder != nil && orders[s.Holder.Event.ID] != nil && !s.Holder.Event.Created.IsZero() {
			note(s.Holder.Event.ID, s.Holder.Event.Created)
		}
	}
	places := make([]Place, len(runs))
	for i, r := range runs {
		p := Place{Run: r, Event: Event{ID: r.Name, Created: r.Created}}
		if o := ofRun[r.Name]; o != nil && !r.Unordered {
			note(o.ID, r.Created)
			p.Event.ID, p.Ordered = o.ID, true
			p.Index, _ = o.Position(r.Name)
		}
		places[i] = p
	}
	for i := range places {
		if p := &places[i]; p.Ordered {
			p.Event.Created = created[p.Event.ID]
		}
	}
	slices.SortFunc(places, Place.Compare)
	return places
}

// Compare is invariant I3.
func (p Place) Compare(o Place) int {
	return cmp.Or(
		p.Event.Created.Compare(o.Event.Created),
		cmp.Compare(p.Event.ID, o.Event.ID),
		cmp.Compare(p.Index, o.Index),
		cmp.Compare(p.Run.Name, o.Run.Name),
	)
}

// InOrder returns the runs, whatever their phase, in queue order.
func InOrder(runs []Run, slots []Slot) []Run {
	sorted := make([]Run, 0, len(runs))
	for _, p := range Line(runs, slots) {
		sorted = append(sorted, p.Run)
	}
	return sorted
}
