package queue_test

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// anySnapshot is a queue in any state, most of which no history leads to.
func anySnapshot(rnd *rand.Rand) queue.Snapshot {
	s := queue.Snapshot{Limit: queue.Limit(rnd.Intn(5)), Freshness: queue.Fresh}
	names := []string{"a", "b", "c", "d", "e", "f"}[:rnd.Intn(7)]
	for _, n := range names {
		r := run(n).created(-time.Duration(rnd.Intn(90)) * time.Second).attempt(rnd.Intn(3))
		r.Phase = queue.Phase(rnd.Intn(3))
		switch rnd.Intn(5) {
		case 0:
			r = r.noOrder()
		case 1:
			r = r.malformed()
		default:
			r = r.order(slices.Concat(names[rnd.Intn(len(names)):], []string{n})...)
		}
		if rnd.Intn(5) == 0 {
			r = r.owed("its secret")
		}
		if r.Attempt > 0 {
			r = r.notBefore(time.Duration(rnd.Intn(20)-10) * time.Second)
		}
		if r.Phase == queue.Started && rnd.Intn(2) == 0 {
			r = r.with(queue.Token{Slot: rnd.Intn(5), Attempt: r.Attempt})
		}
		if rnd.Intn(4) == 0 {
			r.Origin = queue.Origin{Definition: "build", Trigger: queue.PushTrigger, CancelInProgress: queue.Choice(rnd.Intn(3))}
		}
		r.Ending = r.Phase == queue.Started && rnd.Intn(8) == 0
		if rnd.Intn(2) == 0 {
			r = r.created(-time.Duration(10*rnd.Intn(9)) * time.Second)
		}
		if rnd.Intn(3) > 0 {
			r.Seen = queue.Arrival{Version: 100 + uint64(rnd.Intn(9)), AtMost: rnd.Intn(3) == 0}
		}
		if rnd.Intn(5) == 0 {
			r.Arrived = queue.Arrival{Version: 100 + uint64(rnd.Intn(9)), AtMost: rnd.Intn(3) == 0}
		}
		s.Runs = append(s.Runs, &r.Run)
	}
	for i := range 6 {
		x := slot(i)
		switch rnd.Intn(5) {
		case 0:
			continue
		case 1:
			x = x.damaged()
		case 2:
		default:
			x = x.of(string(rune('a' + rnd.Intn(7)))).attempt(rnd.Intn(3))
		}
		s.Slots = append(s.Slots, x.since(-time.Duration(rnd.Intn(40))*time.Second).Slot)
	}
	return s
}

// unsound says what is wrong with a decision, judged by the snapshot alone.
func unsound(s queue.Snapshot, d queue.Decision) error {
	runs, held := map[string]queue.Run{}, map[string]int{}
	started, claimed, damaged := 0, 0, 0
	for _, r := range s.Runs {
		runs[r.UID] = *r
		if r.Phase == queue.Started {
			started++
		}
	}
	for _, x := range s.Slots {
		if x.Holder != nil {
			held[x.Holder.UID]++
		}
		if x.Damaged != "" && noon.Sub(x.HeldSince) < policy.ClaimTTL {
			damaged++
		}
	}
	givenAway := func(x queue.Slot) error {
		if x.Damaged != "" && noon.Sub(x.HeldSince) < policy.ClaimTTL {
			return fmt.Errorf("slot %d is damaged but perhaps in use", x.Index)
		}
		if x.Holder == nil {
			return nil
		}
		r, exists := runs[x.Holder.UID]
		fenced := r.Phase == queue.Pending && r.Attempt > x.Holder.Attempt
		if held[r.UID]--; exists && r.Phase != queue.Done && !fenced && held[r.UID] < 1 {
			return fmt.Errorf("slot %d is in use by %s", x.Index, r.Name)
		}
		return nil
	}
	line := queue.Line(s.Runs, s.Slots)
	superseded := queue.SupersededBy(line)
	events := map[string]queue.Event{} // by run UID
	for _, p := range line {
		events[p.Run.UID] = p.Event
	}
	var toSettle time.Time // the first second in which a stamp is owed
	for _, a := range d.Actions {
		if a, owed := a.(queue.Stamp); owed && (toSettle.IsZero() || events[a.Run.UID].Created.Before(toSettle)) {
			toSettle = events[a.Run.UID].Created
		}
	}
	slotsUsed, runsUsed := map[int]bool{}, map[string]bool{}
	use := func(index int, name string) error {
		if index >= 0 && slotsUsed[index] || name != "" && runsUsed[name] {
			return fmt.Errorf("two actions for slot %d or run %s", index, name)
		}
		slotsUsed[index], runsUsed[name] = true, true
		return nil
	}
	for _, a := range d.Actions {
		var err error
		switch a := a.(type) {
		case queue.Stamp:
			event := events[a.Run.UID]
			if err = use(queue.NoSlot, a.Run.Name+", stamped"); !a.Arrival.Known() || event.Arrived.Known() || a.Run.Phase == queue.Done {
				err = fmt.Errorf("%s is not to be stamped with %s", a.Run.Name, a.Arrival)
			}
		case queue.Start:
			if err = use(a.Token.Slot, a.Run.Name); a.Run.Phase != queue.Pending || a.Token.Attempt != a.Run.Attempt {
				err = fmt.Errorf("%s cannot be started with %s", a.Run.Name, a.Token)
			}
			started++
		case queue.Claim:
			name := a.Run.Name
			if a.Run.Phase == queue.Started {
				name += ", adopted" // which it may be while it is cancelled
			}
			err = errors.Join(use(a.Slot.Index, name), givenAway(a.Slot))
			if a.Slot.Index < 0 || a.Slot.Index >= int(s.Limit) && a.Run.Phase != queue.Started || a.Run.Phase == queue.Done {
				err = fmt.Errorf("slot %d is not to be claimed for %s", a.Slot.Index, a.Run.Name)
			}
			if a.Run.Phase == queue.Pending {
				claimed++
				if !toSettle.IsZero() && !a.Event.Created.Before(toSettle) {
					err = fmt.Errorf("%s is claimed for before stamps are written that its place may depend on", a.Run.Name)
				}
			}
		case queue.Expire:
			err = use(a.Slot.Index, a.Run.Name)
			if a.Attempt <= a.Run.Attempt || a.Attempt <= a.Slot.Holder.Attempt || a.Run.Phase != queue.Pending {
				err = fmt.Errorf("attempt %d does not fence %s", a.Attempt, a.Run.Name)
			}
		case queue.Release:
			err = errors.Join(use(a.Slot.Index, ""), givenAway(a.Slot))
		case queue.Remove:
			err = use(a.Slot.Index, "")
			// Without a limit a run that is started needs no slot any more.
			if h := a.Slot.Holder; s.Limit != queue.Unlimited || h == nil || runs[h.UID].Phase == queue.Pending {
				err = errors.Join(err, givenAway(a.Slot))
			}
			if s.Limit != queue.Unlimited && a.Slot.Index < int(s.Limit) {
				err = fmt.Errorf("slot %d is removed below the limit", a.Slot.Index)
			}
		case queue.Cancel:
			err = use(queue.NoSlot, a.Run.Name)
			if by := superseded[a.Run.UID]; by == nil || by.UID != a.By.UID || a.Run.Ending || a.Run.Phase == queue.Done {
				err = fmt.Errorf("%s is not to be cancelled for %s", a.Run.Name, a.By.Name)
			}
		}
		if err != nil {
			return err
		}
	}
	begins := slices.ContainsFunc(d.Actions, func(a queue.Action) bool {
		c, claims := a.(queue.Claim)
		_, starts := a.(queue.Start)
		return starts || claims && c.Run.Phase == queue.Pending
	})
	if s.Limit != queue.Unlimited && begins && started+claimed+damaged > int(s.Limit) {
		return fmt.Errorf("%d started, %d claimed and %d damaged are above the limit %d", started, claimed, damaged, s.Limit)
	}
	return nil
}

// perform carries a decision out as if no other replica were there.
func perform(s queue.Snapshot, d queue.Decision) queue.Snapshot {
	editRun := func(name string, change func(*queue.Run)) {
		edit(s.Runs, slices.IndexFunc(s.Runs, func(r *queue.Run) bool { return r.Name == name }), change)
	}
	put := func(x queue.Slot) {
		s.Slots = slices.DeleteFunc(s.Slots, func(o queue.Slot) bool { return o.Index == x.Index })
		s.Slots = append(s.Slots, x)
	}
	s.Runs, s.Slots = slices.Clone(s.Runs), slices.Clone(s.Slots)
	for _, a := range d.Actions {
		switch a := a.(type) {
		case queue.Stamp:
			editRun(a.Run.Name, func(r *queue.Run) { r.Arrived = a.Arrival })
		case queue.Start:
			editRun(a.Run.Name, func(r *queue.Run) { r.Phase, r.Claim = queue.Started, &a.Token })
		case queue.Claim:
			put(queue.Slot{
				Index: a.Slot.Index, Version: "4", Transition: a.Slot.Transition + 1, HeldSince: noon,
				Holder: &queue.Holder{Name: a.Run.Name, UID: a.Run.UID, Attempt: a.Run.Attempt, Event: a.Event},
			})
		case queue.Expire:
			editRun(a.Run.Name, func(r *queue.Run) { r.Attempt, r.NotBefore = a.Attempt, noon.Add(a.Backoff) })
		case queue.Release:
			put(queue.Slot{Index: a.Slot.Index, Version: "4", Transition: a.Slot.Transition})
		case queue.Remove:
			s.Slots = slices.DeleteFunc(s.Slots, func(o queue.Slot) bool { return o.Index == a.Slot.Index })
		case queue.Cancel:
			editRun(a.Run.Name, func(r *queue.Run) {
				if r.Ending = true; r.Phase == queue.Pending {
					r.Phase = queue.Done
				}
			})
		default:
			panic(describe(a))
		}
	}
	return s
}

// TestSound: every decision on any state of a queue is sound, and a few of them,
// carried out, leave nothing to do and no run waiting that could start.
func TestSound(t *testing.T) {
	for seed := range int64(20_000) {
		first := anySnapshot(rand.New(rand.NewSource(seed)))
		s := first
		fail := func(format string, args ...any) {
			t.Fatalf("seed %d: %s\nfirst: %s\nnow: %s\nof which follows %q", seed, fmt.Sprintf(format, args...),
				cmp.Diff(queue.Snapshot{}, first, sequencesByID), cmp.Diff(queue.Snapshot{}, s, sequencesByID),
				describeAll(queue.Decide(s, noon, policy)))
		}
		var d queue.Decision
		for range 7 {
			d = queue.Decide(s, noon, policy)
			if err := unsound(s, d); err != nil {
				fail("%v", err)
			}
			if len(d.Actions) == 0 {
				break
			}
			s = perform(s, d)
		}
		if len(d.Actions) > 0 {
			fail("there is always something to do")
		}
		if !d.Next.IsZero() && !d.Next.After(noon) {
			fail("the next look is at %v, which is over", d.Next)
		}
		if err := idle(s); err != nil {
			fail("%v", err)
		}
	}
}

// TestPure: any snapshot is left as it was, and the order of its runs and slots means nothing.
func TestPure(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 1000 {
		decide(t, anySnapshot(r))
	}
}

// idle: in a queue where nothing is left to do, every slot below the limit names
// a run, or no run may have it.
func idle(s queue.Snapshot) error {
	started, damaged := 0, 0
	pending := map[string]bool{}
	for _, r := range s.Runs {
		if r.Phase == queue.Started {
			started++
		}
		pending[r.UID] = r.Phase == queue.Pending
	}
	for _, x := range s.Slots {
		claimed := x.Holder != nil && pending[x.Holder.UID]
		if x.Damaged == "" && !claimed && (s.Limit == queue.Unlimited || x.Index >= int(s.Limit) && x.Holder == nil) {
			return fmt.Errorf("slot %d is left", x.Index)
		}
		if x.Damaged != "" {
			damaged++
		}
	}
	superseded := queue.SupersededBy(queue.Line(s.Runs, s.Slots))
	for _, r := range s.Runs {
		if by, ok := superseded[r.UID]; ok && !r.Ending && s.Limit != queue.Unlimited {
			return fmt.Errorf("%s goes on, though %s supersedes it", r.Name, by.Name)
		}
		ready := r.Sequence() != nil && r.Owed == "" && !r.NotBefore.After(noon)
		alone := !slices.ContainsFunc(s.Runs, func(o *queue.Run) bool { return o.Owed != "" }) // no run holds up its event
		if r.Phase == queue.Pending && ready && alone && (s.Limit == queue.Unlimited || started+damaged < int(s.Limit)) {
			return fmt.Errorf("%s could run: %d started, %d damaged, limit %d", r.Name, started, damaged, s.Limit)
		}
	}
	return nil
}
