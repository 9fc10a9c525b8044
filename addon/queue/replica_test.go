package queue_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// mutant is one rule of the protocol that a replica does not keep.
type mutant string

const (
	faithful            mutant = ""
	startAnyVersion     mutant = "starts a run whatever its version"
	freeBeforeFence     mutant = "frees the slot before it has fenced the run"
	freeWithoutFence    mutant = "frees the slot instead of fencing the run"
	claimAnyVersion     mutant = "claims a slot whatever its version"
	absentFromCache     mutant = "believes a cache that a slot does not exist"
	goneFromCache       mutant = "believes a cache that a holder is gone"
	claimsAfterFailure  mutant = "goes on claiming after a claim failed"
	unslottedDoNotCount mutant = "overlooks started runs without a slot"
	keepStartedWith     mutant = "keeps, of two slots of a started run, the one it was started with"
	keepLowest          mutant = "keeps, of two slots of a run, the lowest whatever their attempts"
)

// replica observes through its own late caches, decides, and carries the
// actions out one by one, while others do the same.
type replica struct {
	c      *cluster
	name   string
	mutant mutant
	policy queue.Policy
	runs   view[string, queue.Run]
	slots  view[int, queue.Slot]
	since  map[int]sighting

	todo     []queue.Action // what is left of the last decision
	asleep   time.Time
	giveUp   time.Time // when the rest is no longer worth doing
	listing  *queue.Snapshot
	listedAt time.Time // the clock is read before the lists, not after
	runsLast bool      // in which order a fresh look lists
	freed    bool      // what a mutant has done first

	lazyRuns   int // its cache of runs stays as it is this many times out of one more
	lazySlots  int
	crowd      bool          // stands for many, of which each has its own caches
	stale      time.Duration // how far behind its caches may be
	patience   time.Duration // how long it may be stopped within a decision
	longest    time.Duration // how long its requests may be under way
	unreliable bool
}

type sighting struct {
	uid        string
	transition int
	damaged    bool
	since      time.Time
}

func (r *replica) crash() {
	r.since, r.todo, r.listing = nil, nil, nil
	// A restarted informer may be served an older list than its last one.
	r.runs.moveTo(r.between(0, r.runs.seen, r.c.watched.upTo(r.c.now.Add(-r.stale))), r.c.watched)
	r.slots.moveTo(r.between(0, r.slots.seen, r.c.leases.upTo(r.c.now.Add(-r.stale))), r.c.leases)
}

// between is a random number from low to high, but at least floor.
func (r *replica) between(low, high, floor int) int {
	low = max(low, floor)
	if high <= low {
		return low
	}
	return low + r.c.rnd.Intn(high-low+1)
}

// step does the next thing: one request, or one look at the queue. It reports
// whether there was anything to do.
func (r *replica) step() bool {
	if len(r.todo) > 0 && !r.c.now.After(r.giveUp) {
		a := r.todo[0]
		r.todo = r.todo[1:]
		r.execute(a)
		return true
	}
	r.todo = nil
	if r.listing != nil {
		r.finishListing()
		return true
	}
	r.refresh()
	r.observe()
	return len(r.todo) > 0 || r.listing != nil
}

// observe decides on what the caches show, or begins a fresh look.
func (r *replica) observe() {
	s := r.complete(queue.Snapshot{Runs: values(r.runs.objects), Slots: values(r.slots.objects)})
	if d := r.decide(s, r.c.now); d.NeedsFresh(s) && r.mutant != absentFromCache {
		r.startListing()
	}
}

// refresh lets each cache stay, move on or catch up.
func (r *replica) refresh() {
	c := r.c
	target := func(lazy, seen, all, floor int) int {
		switch {
		case !r.unreliable:
			return all
		case r.crowd:
			return max(0, floor, all-int(c.rnd.ExpFloat64()*4))
		case c.rnd.Intn(1+lazy) > 0:
			return max(seen, floor)
		case c.rnd.Intn(2) == 0:
			return all
		}
		return r.between(seen, all, floor)
	}
	past := c.now.Add(-r.stale)
	r.runs.moveTo(target(r.lazyRuns, r.runs.seen, len(c.watched), c.watched.upTo(past)), c.watched)
	r.slots.moveTo(target(r.lazySlots, r.slots.seen, len(c.leases), c.leases.upTo(past)), c.leases)
}

// startListing begins a fresh look. It takes two requests, and the world goes
// on in between.
func (r *replica) startListing() {
	r.listing, r.runsLast = &queue.Snapshot{Freshness: queue.Fresh}, r.c.rnd.Intn(2) == 0
	r.list(!r.runsLast)
	r.listedAt, r.giveUp = r.c.now, r.c.now.Add(r.patience)
	r.c.trace("%s lists anew", r.name)
}

func (r *replica) list(theRuns bool) {
	if theRuns {
		var v view[string, queue.Run]
		v.moveTo(len(r.c.watched), r.c.watched)
		r.listing.Runs = values(v.objects)
	} else {
		r.listing.Slots = values(r.c.slots)
	}
}

func (r *replica) finishListing() {
	r.list(r.runsLast)
	s := *r.listing
	r.listing = nil
	if !r.c.now.After(r.giveUp) {
		r.decide(r.complete(s), r.listedAt)
	}
}

// complete adds to the lists what Snapshot promises: every holder that is not
// listed is confirmed by a live read, and holders are timed by the own clock.
func (r *replica) complete(s queue.Snapshot) queue.Snapshot {
	s.Limit = r.c.limit
	since := map[int]sighting{}
	for i := range s.Slots {
		x := &s.Slots[i]
		now := sighting{damaged: x.Damaged != "", transition: x.Transition, since: r.c.now}
		if h := x.Holder; h != nil {
			now.uid = h.UID
			listed := slices.ContainsFunc(s.Runs, func(run queue.Run) bool { return run.UID == h.UID })
			if live := r.c.runs[h.Name]; !listed && live.UID == h.UID && r.mutant != goneFromCache {
				s.Runs = append(s.Runs, live)
			}
		}
		if was, ok := r.since[x.Index]; ok && was.uid == now.uid && was.transition == now.transition && was.damaged == now.damaged {
			now.since = was.since
		}
		x.HeldSince, since[x.Index] = now.since, now
	}
	r.since = since
	r.distort(&s)
	return s
}

// distort is how those mutants see the queue that decide wrongly.
func (r *replica) distort(s *queue.Snapshot) {
	switch r.mutant {
	case unslottedDoNotCount:
		s.Runs = slices.DeleteFunc(s.Runs, func(run queue.Run) bool {
			return run.Phase == queue.Started && !slices.ContainsFunc(s.Slots, func(x queue.Slot) bool {
				return x.Holder != nil && x.Holder.UID == run.UID
			})
		})
	case keepStartedWith:
		for i, x := range s.Slots {
			if x.Holder != nil && slices.ContainsFunc(s.Runs, func(run queue.Run) bool {
				return run.UID == x.Holder.UID && run.Claim != nil && run.Claim.Slot == x.Index
			}) {
				preferred := *x.Holder
				preferred.Attempt++
				s.Slots[i].Holder = &preferred
			}
		}
	case keepLowest:
		for i, x := range s.Slots {
			for _, lower := range s.Slots {
				if x.Holder != nil && lower.Holder != nil && lower.Index < x.Index && lower.Holder.UID == x.Holder.UID {
					s.Slots[i].Holder = lower.Holder
				}
			}
		}
	}
}

func (r *replica) decide(s queue.Snapshot, now time.Time) queue.Decision {
	d := queue.Decide(s, now, r.policy)
	r.todo, r.giveUp = d.Actions, r.c.now.Add(r.patience)
	if d.NeedsFresh(s) && r.mutant != absentFromCache {
		r.todo = nil
	}
	if len(r.todo) > 0 {
		r.c.trace("%s decides: %v", r.name, decided(r.todo))
	}
	return d
}

// execute does what the documentation of the action says. A claim that failed,
// or may have, ends the round: what follows it was decided on its success.
func (r *replica) execute(a queue.Action) {
	c := r.c
	send := func(what queue.Action, apply func() error) error {
		return c.send(write{what: request{r, what}, apply: apply}, r.unreliable, r.longest)
	}
	switch a := a.(type) {
	case queue.Start:
		if a.Run.Phase != queue.Pending || a.Run.Attempt != a.Token.Attempt {
			return
		}
		send(a, func() error {
			return c.patchRun(a.Run, r.mutant == startAnyVersion, func(run *queue.Run) {
				run.Phase, run.Claim = queue.Started, &a.Token
			})
		})
	case queue.Claim:
		h := &queue.Holder{Name: a.Run.Name, UID: a.Run.UID, Attempt: a.Run.Attempt, Event: a.Event}
		err := send(a, func() error { return c.writeSlot(a.Slot, r.mutant == claimAnyVersion, h) })
		switch {
		case err != nil && r.mutant != claimsAfterFailure:
			r.todo = nil
		case err == nil && a.Run.Phase == queue.Pending:
			token := queue.Token{Slot: a.Slot.Index, Transition: a.Slot.Transition + 1, Attempt: a.Run.Attempt}
			r.todo = slices.Insert(r.todo, 0, queue.Action(queue.Start{Run: a.Run, Token: token}))
		}
	case queue.Expire:
		if r.mutant == freeWithoutFence || r.mutant == freeBeforeFence && !r.freed {
			r.todo = slices.Insert(r.todo, 0, queue.Action(queue.Release{Slot: a.Slot}))
			if r.freed = r.mutant == freeBeforeFence; r.freed {
				r.todo = slices.Insert(r.todo, 1, queue.Action(a))
			}
			return
		}
		r.freed = false
		send(a, func() error {
			return c.patchRun(a.Run, false, func(run *queue.Run) {
				run.Attempt, run.NotBefore = a.Attempt, c.now.Add(a.Backoff)
			})
		})
	case queue.Cancel:
		send(a, func() error {
			return c.patchAny(a.Run, func(run *queue.Run) {
				if run.Ending = true; run.Phase == queue.Pending {
					run.Phase = queue.Done
				}
			})
		})
	case queue.Release:
		send(a, func() error { return c.writeSlot(a.Slot, false, nil) })
	case queue.Remove:
		send(a, func() error { return c.removeSlot(a.Slot) })
	default:
		panic(errors.New(describe(a)))
	}
}

// request is rendered only if somebody reads the trace.
type request struct {
	from *replica
	what queue.Action
}

func (r request) String() string { return r.from.name + " " + describe(r.what) }

// decided is rendered only if somebody reads the trace.
type decided []queue.Action

func (d decided) String() string {
	return strings.Join(describeAll(queue.Decision{Actions: d}), "; ")
}

// values in no order: Decide must not depend on any.
func values[K comparable, V any](m map[K]V) []V {
	return slices.AppendSeq(make([]V, 0, len(m)+2), maps.Values(m))
}
