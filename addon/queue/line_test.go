package queue_test

import (
	"cmp"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// plainLine is what a line is, run by run, and takes its time.
func plainLine(runs []*queue.Run, slots []queue.Slot) []queue.Place {
	longest := map[string]*queue.Sequence{} // by ID
	for _, r := range runs {
		if s := r.Sequence(); s != nil && (longest[s.ID] == nil || longest[s.ID].Len() < s.Len()) {
			longest[s.ID] = s
		}
	}
	var line []queue.Place
	for _, r := range runs {
		p := queue.Place{Run: r, Event: queue.Event{ID: r.Name}}
		if s := r.Sequence(); s != nil {
			p.Event.ID, p.Ordered = s.ID, true
			p.Index, _ = s.Position(r.Name)
		}
		for id, s := range longest {
			if i, listed := s.Position(r.Name); listed && r.Order == nil && (!p.Ordered || id < p.Event.ID) {
				p.Event.ID, p.Ordered, p.Index = id, true, i
			}
		}
		line = append(line, p)
	}
	// first is the one that came first, and known whether that is known of all.
	first := func(arrivals []queue.Arrival) (first queue.Arrival, known bool) {
		known = true
		for _, a := range arrivals {
			known = known && a.Known() && !a.AtMost
			if a.Known() && (!first.Known() || a.Version < first.Version || a.Version == first.Version && !a.AtMost) {
				first = a
			}
		}
		return first, known
	}
	for i := range line {
		p := &line[i]
		r := p.Run
		created, stamps, seen := []time.Time{r.Created}, []queue.Arrival{r.Arrived}, []queue.Arrival{r.Seen}
		if p.Ordered {
			created, stamps, seen = nil, nil, nil
			for _, o := range line {
				if o.Ordered && o.Event.ID == p.Event.ID {
					created, stamps, seen = append(created, o.Run.Created), append(stamps, o.Run.Arrived), append(seen, o.Run.Seen)
				}
			}
			for _, s := range slots {
				if s.Holder != nil && s.Holder.Event.ID == p.Event.ID && !s.Holder.Event.Created.IsZero() {
					created, stamps = append(created, s.Holder.Event.Created), append(stamps, s.Holder.Event.Arrived)
				}
			}
		}
		p.Event.Created = slices.MinFunc(created, time.Time.Compare)
		p.Event.Arrived, _ = first(stamps)
		came, exact := first(seen)
		came.AtMost = !exact && (len(seen) > 1 || came.AtMost)
		gone := p.Ordered && len(seen) < longest[p.Event.ID].Len()
		if p.Came = came; came.Known() && (gone || r.Order == nil && !p.Ordered) {
			p.Came.AtMost = true
		}
		if p.Event.Arrived.Known() {
			p.Came = p.Event.Arrived
		}
	}
	slices.SortFunc(line, func(a, b queue.Place) int {
		return cmp.Or(
			a.Event.Created.Compare(b.Event.Created),
			cmp.Compare(a.Came.Version-1, b.Came.Version-1), // what is not known comes last
			cmp.Compare(a.Event.ID, b.Event.ID), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Run.Name, b.Run.Name),
		)
	})
	return line
}

// anyQueue has events whose runs share seconds, of which some are gone, without an order or with
// one that cannot be right, in slots or known by their event only.
func anyQueue(rnd *rand.Rand) (rs []*queue.Run, ss []queue.Slot) {
	second := func() time.Time { return noon.Add(-time.Duration(rnd.Intn(5)) * time.Second) }
	arrival := func() queue.Arrival {
		return queue.Arrival{Version: uint64(rnd.Intn(6)), AtMost: rnd.Intn(3) == 0}
	}
	var names []string
	for range rnd.Intn(12) {
		event, created := string(rune('a'+rnd.Intn(26)))+fmt.Sprint(rnd.Intn(100)), second()
		var of []string
		for i := range 1 + rnd.Intn(6) {
			of = append(of, fmt.Sprintf("%s-%d", event, i))
		}
		if len(names) > 0 && rnd.Intn(6) == 0 {
			of = append(of, names[rnd.Intn(len(names))]) // it is in another's list, too
		}
		sequence := queue.NewSequence(of)
		for _, name := range of {
			if slices.Contains(names, name) || rnd.Intn(6) == 0 {
				continue
			}
			names = append(names, name)
			r := &queue.Run{Name: name, UID: name, Created: created, Order: &queue.Order{Sequence: sequence.For(name)}}
			switch rnd.Intn(10) {
			case 0:
				r.Order = nil
			case 1:
				r.Order.Sequence = nil
			case 2:
				r.Order.Sequence, r.Phase = sequence.Event(), queue.Done
			case 3:
				r.Order.Sequence = sequence
			case 4:
				r.Created = second()
			}
			if rnd.Intn(2) == 0 {
				r.Seen = arrival()
			}
			if rnd.Intn(6) == 0 {
				r.Arrived = arrival()
			}
			if r.Seen.Version == 0 {
				r.Seen = queue.Arrival{}
			}
			if r.Arrived.Version == 0 {
				r.Arrived = queue.Arrival{}
			}
			rs = append(rs, r)
		}
		if rnd.Intn(4) == 0 {
			of := queue.Event{ID: sequence.ID, Created: second()}
			if rnd.Intn(2) == 0 {
				of.Arrived = queue.Arrival{Version: 1 + uint64(rnd.Intn(5)), AtMost: rnd.Intn(3) == 0}
			}
			if rnd.Intn(4) == 0 {
				of.Created = time.Time{}
			}
			ss = append(ss, queue.Slot{Index: len(ss), Holder: &queue.Holder{Name: "h", UID: "h", Event: of}})
		}
	}
	return rs, ss
}

// TestLine: a line is the same by the plain way, whatever the order of the runs, and the line of
// a line is itself.
func TestLine(t *testing.T) {
	pointers := gocmp.Comparer(func(a, b *queue.Run) bool { return a == b })
	for seed := range int64(5_000) {
		rnd := rand.New(rand.NewSource(seed))
		runs, slots := anyQueue(rnd)
		want := plainLine(runs, slots)
		switch rnd.Intn(4) {
		case 0:
			rnd.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
		case 1:
			runs = queue.InOrder(runs, slots)
		case 2: // nearly
			runs = queue.InOrder(runs, nil)
			if n := len(runs); n > 0 {
				i, j := rnd.Intn(n), rnd.Intn(n)
				runs[i], runs[j] = runs[j], runs[i]
			}
		}
		if diff := gocmp.Diff(want, queue.Line(runs, slots), pointers, cmpopts.IgnoreUnexported(queue.Place{})); diff != "" {
			t.Fatalf("seed %d (-plain +line):\n%s", seed, diff)
		}
	}
}
