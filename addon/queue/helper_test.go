package queue_test

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// noon is now in every table; other times are written as distances from it.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

var policy = queue.Policy{
	ClaimTTL:    20 * time.Second,
	OrderGrace:  30 * time.Second,
	ReadyGrace:  60 * time.Second,
	BackoffBase: 5 * time.Second,
	BackoffMax:  time.Minute,
}

// runBuilder describes a run; every method returns a changed copy.
type runBuilder struct{ queue.Run }

// run is pending, held, ten seconds old and an event of its own.
func run(name string) runBuilder {
	return runBuilder{queue.Run{
		Name: name, UID: "uid-" + name, Version: "7",
		Created: noon.Add(-10 * time.Second), Order: held(name),
	}}
}

func (b runBuilder) uid(u string) runBuilder            { b.UID = u; return b }
func (b runBuilder) created(d time.Duration) runBuilder { b.Created = noon.Add(d); return b }
func (b runBuilder) order(names ...string) runBuilder   { b.Order = held(names...); return b }
func (b runBuilder) noOrder() runBuilder                { b.Order = nil; return b }
func (b runBuilder) malformed() runBuilder              { b.Order = &queue.Order{Held: true}; return b }

// visible is a run whose order is where PAC looks for it.
func (b runBuilder) visible() runBuilder {
	b.Order = &queue.Order{Sequence: b.Sequence()}
	return b
}

func (b runBuilder) owed(what string) runBuilder          { b.Owed = what; return b }
func (b runBuilder) seen(arrival string) runBuilder       { b.Seen = arrived(arrival); return b }
func (b runBuilder) stamped(arrival string) runBuilder    { b.Arrived = arrived(arrival); return b }
func (b runBuilder) attempt(n int) runBuilder             { b.Attempt = n; return b }
func (b runBuilder) notBefore(d time.Duration) runBuilder { b.NotBefore = noon.Add(d); return b }
func (b runBuilder) started() runBuilder                  { b.Phase = queue.Started; return b }
func (b runBuilder) done() runBuilder                     { b.Phase = queue.Done; return b }
func (b runBuilder) labelled() runBuilder                 { b.Labelled = true; return b }
func (b runBuilder) with(t queue.Token) runBuilder        { b.Claim = &t; return b.started() }

func arrived(s string) queue.Arrival {
	a, err := queue.ParseArrival(s)
	if err != nil {
		panic(err)
	}
	return a
}

// held is an order that the hold has taken out of PAC's sight.
func held(names ...string) *queue.Order {
	return &queue.Order{Held: true, Sequence: queue.NewSequence(names)}
}

func runs(bs ...runBuilder) []*queue.Run {
	var rs []*queue.Run
	for _, b := range bs {
		rs = append(rs, &b.Run)
	}
	return rs
}

// edit changes a copy of a run, since other snapshots may share it.
func edit(rs []*queue.Run, i int, change func(*queue.Run)) {
	r := *rs[i]
	change(&r)
	rs[i] = &r
}

// slotBuilder describes a slot; every method returns a changed copy.
type slotBuilder struct{ queue.Slot }

// slot exists and is free.
func slot(index int) slotBuilder {
	return slotBuilder{queue.Slot{Index: index, Version: "3", Transition: 4}}
}

// of makes the slot name a run, since now.
func (b slotBuilder) of(name string) slotBuilder {
	b.Holder, b.HeldSince = &queue.Holder{Name: name, UID: "uid-" + name}, noon
	return b
}

func (b slotBuilder) since(d time.Duration) slotBuilder { b.HeldSince = noon.Add(d); return b }
func (b slotBuilder) damaged() slotBuilder              { b.Damaged, b.HeldSince = "no holder UID", noon; return b }

func (b slotBuilder) attempt(n int) slotBuilder {
	return b.change(func(h *queue.Holder) { h.Attempt = n })
}

func (b slotBuilder) uid(u string) slotBuilder { return b.change(func(h *queue.Holder) { h.UID = u }) }

func (b slotBuilder) event(e queue.Event) slotBuilder {
	return b.change(func(h *queue.Holder) { h.Event = e })
}

func (b slotBuilder) change(f func(*queue.Holder)) slotBuilder {
	h := *b.Holder
	f(&h)
	b.Holder = &h
	return b
}

func slots(bs ...slotBuilder) []queue.Slot {
	var ss []queue.Slot
	for _, b := range bs {
		ss = append(ss, b.Slot)
	}
	return ss
}

// describe renders an action in a few words.
func describe(a queue.Action) string {
	late := func(l queue.Lateness) string {
		if l == queue.InTime {
			return ""
		}
		return ", not waiting for " + string(l)
	}
	switch a := a.(type) {
	case queue.Stamp:
		return fmt.Sprintf("stamp %s with %s", a.Run.Name, a.Arrival)
	case queue.Start:
		return fmt.Sprintf("start %s with %s%s", a.Run.Name, a.Token, late(a.Late))
	case queue.Claim:
		if a.Slot.Version == "" {
			return fmt.Sprintf("claim new %d for %s%s", a.Slot.Index, a.Run.Name, late(a.Late))
		}
		return fmt.Sprintf("claim %d for %s%s", a.Slot.Index, a.Run.Name, late(a.Late))
	case queue.Expire:
		return fmt.Sprintf("expire %s on %d to attempt %d for %s", a.Run.Name, a.Slot.Index, a.Attempt, a.Backoff)
	case queue.Release:
		return fmt.Sprintf("release %d", a.Slot.Index)
	case queue.Remove:
		return fmt.Sprintf("remove %d", a.Slot.Index)
	case queue.HandBack:
		return fmt.Sprintf("hand back %s", a.Run.Name)
	case queue.Forget:
		return "forget " + a.Run.Name
	case queue.Cancel:
		if a.Cause == queue.TooMany || a.Cause == queue.TooOld {
			return fmt.Sprintf("cancel %s: %s", a.Run.Name, a.Cause)
		}
		return fmt.Sprintf("cancel %s for %s", a.Run.Name, a.By.Name)
	}
	return fmt.Sprintf("unknown action %T", a)
}

func describeAll(d queue.Decision) []string {
	var all []string
	for _, a := range d.Actions {
		all = append(all, describe(a))
	}
	return all
}

// sequencesByID lets cmp compare what has a Sequence.
var sequencesByID = cmp.Comparer(func(a, b *queue.Sequence) bool {
	return (a == nil) == (b == nil) && (a == nil || a.ID == b.ID)
})

// decide checks, besides deciding, what holds for every decision: the snapshot
// is left as it was, and the order of its runs and slots means nothing.
func decide(t *testing.T, s queue.Snapshot) queue.Decision {
	t.Helper()
	before := s
	before.Runs, before.Slots = nil, append([]queue.Slot(nil), s.Slots...)
	for _, r := range s.Runs {
		was := *r
		before.Runs = append(before.Runs, &was)
	}
	d := queue.Decide(s, noon, policy)
	if diff := cmp.Diff(before, s, sequencesByID); diff != "" {
		t.Errorf("Decide changed its snapshot (-before +after):\n%s", diff)
	}
	rnd := rand.New(rand.NewSource(1))
	for range 5 {
		p := before
		p.Runs, p.Slots = append([]*queue.Run(nil), s.Runs...), append([]queue.Slot(nil), s.Slots...)
		rnd.Shuffle(len(p.Runs), func(i, j int) { p.Runs[i], p.Runs[j] = p.Runs[j], p.Runs[i] })
		rnd.Shuffle(len(p.Slots), func(i, j int) { p.Slots[i], p.Slots[j] = p.Slots[j], p.Slots[i] })
		if diff := cmp.Diff(d, queue.Decide(p, noon, policy), sequencesByID); diff != "" {
			t.Fatalf("a permuted snapshot is decided otherwise (-given +permuted):\n%s", diff)
		}
	}
	return d
}
