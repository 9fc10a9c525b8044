package recovery_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// shipped is the timing by default.
var shipped = recovery.Timing{Interval: 200 * time.Millisecond, TakeoverAfter: time.Second}

// due is what a queue waits for in these tests.
var due = queue.Release{Slot: slot}

// newShipped is a replica with the timing by default.
func newShipped(keys ...queue.Key) *world {
	w := newWorld(keys...)
	w.timing = shipped
	return w
}

// rounds go round as the loop does, for so long, and call a function before each round.
func (w *world) rounds(t *testing.T, d time.Duration, before func()) {
	t.Helper()
	for passed := time.Duration(0); passed < d; passed += w.timing.Interval {
		before()
		w.clock.Step(w.timing.Interval)
		w.Round(t.Context())
	}
}

func nothing() {}

// actsAfter fails the test unless the replica acts on the queue after so long, and not before.
func (w *world) actsAfter(t *testing.T, key queue.Key, d time.Duration) {
	t.Helper()
	w.rounds(t, d, nothing)
	if w.Acting(key) {
		t.Errorf("acts within %s, which is too early", d)
	}
	w.rounds(t, 2*w.timing.Interval, nothing)
	if !w.Acting(key) {
		t.Errorf("does not act after %s", d)
	}
}

// TestDeath: a leader that has written until now and then dies is replaced in time.
func TestDeath(t *testing.T) {
	w := newShipped(app, web)
	w.rounds(t, 5*time.Second, func() { w.Progress(web, "leader") })
	w.set(app, due)
	w.rounds(t, shipped.TakeoverAfter-shipped.Interval, nothing)
	if w.Acting(app) {
		t.Fatal("acts too early")
	}
	w.rounds(t, 2*shipped.Interval, nothing)
	if !w.Acting(app) || w.Acting(web) {
		t.Errorf("acts on app: %t, on web: %t; want only app", w.Acting(app), w.Acting(web))
	}
}

// TestBusyLeader: as long as the leader writes anywhere in its part, its steps are not overdue, but
// not for ever: a queue must not wait because others do not.
func TestBusyLeader(t *testing.T) {
	w := newShipped(app, web)
	w.set(app, due)
	busy := func() { w.Progress(web, "leader") }
	w.rounds(t, 60*shipped.TakeoverAfter-shipped.Interval, busy)
	if len(w.woke) > 0 || len(w.late) > 0 || w.Acting(app) {
		t.Fatalf("a busy leader is taken for dead: woke %v, told of %v", w.woke, w.late)
	}
	w.rounds(t, 2*shipped.Interval, busy)
	if diff := cmp.Diff([]string{"shop/app after 1m0s: release slot 0"}, w.taken); diff != "" || !w.Acting(app) {
		t.Errorf("acts: %t, taken over (-want +got):\n%s", w.Acting(app), diff)
	}
	// Nor is it dead for the other queues.
	w.set(web, due)
	w.rounds(t, 5*time.Second, busy)
	if w.Acting(web) {
		t.Error("a leader that is late in one queue is taken for dead in another")
	}
}

// TestParts: what the leader of one part writes says nothing about that of another.
func TestParts(t *testing.T) {
	w := newShipped(app, web)
	w.part = func(key queue.Key) string { return key.Repository }
	w.set(app, due)
	w.set(web, due)
	w.rounds(t, 2*time.Second, func() { w.Progress(web, "leader") })
	if !w.Acting(app) || w.Acting(web) {
		t.Errorf("acts on app: %t, on web: %t; want only app", w.Acting(app), w.Acting(web))
	}
}

// TestWhoseProgress: a replica that acts on a queue, and one that does not, each judge by the
// writes of others whether there is still somebody who will take a step in another queue.
func TestWhoseProgress(t *testing.T) {
	for name, tc := range map[string]struct {
		key    queue.Key // of the writes
		writer string
		edit   func(*world)
		// waits, if it acts on nothing yet, and if it has replaced the leader in app.
		waits, waitsReplacing bool
	}{
		"the leader's":                        {app, "leader", nil, true, true},
		"its own, in a queue that it acts on": {app, "me", nil, false, false},
		"its own, in any other":               {web, "me", nil, false, false},
		"another survivor's":                  {app, "other", nil, true, false},
		"somebody's, in a queue that it acts on after the leader": {app, "", nil, true, false},
		"somebody's, in any other":                                {web, "", nil, true, false},
		"another's, and nobody knows who leads":                   {web, "other", func(w *world) { w.unknown = true }, true, true},
		"another's, and nobody leads":                             {web, "other", func(w *world) { w.leader = "" }, true, false},
		"somebody's, in a queue that it leads":                    {web, "", func(w *world) { w.leads[web] = true }, false, false},
		"the leader's, in a queue that it believes to lead":       {web, "leader", func(w *world) { w.leads[web] = true }, true, true},
	} {
		for _, replacing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, replacing the leader: %t", name, replacing), func(t *testing.T) {
				api := queue.Key{Namespace: "shop", Repository: "api"}
				w := newShipped(app, web, api)
				if tc.edit != nil {
					tc.edit(w)
				}
				want := tc.waits
				if replacing {
					w.set(app, due)
					w.rounds(t, 2*time.Second, nothing)
					if !w.Acting(app) {
						t.Fatal("does not replace a leader that writes nothing")
					}
					w.Progress(app, "me")
					w.set(app)
					want = tc.waitsReplacing
				}
				w.set(api, due)
				w.rounds(t, 3*time.Second, func() { w.Progress(tc.key, tc.writer) })
				if got := !w.Acting(api); got != want {
					t.Errorf("waits: %t, want %t", got, want)
				}
			})
		}
	}
}

// TestOneAtATime: until a replica has seen what it wrote itself, it takes over one queue in each
// round, since its watches may show nothing of a leader that is at work. Then it takes all.
func TestOneAtATime(t *testing.T) {
	var keys []queue.Key
	for i := range 100 {
		keys = append(keys, queue.Key{Namespace: "shop", Repository: fmt.Sprintf("app-%d", i)})
	}
	w := newShipped(keys...)
	for _, key := range keys {
		w.set(key, due)
	}
	w.rounds(t, shipped.TakeoverAfter, nothing)
	for round := range 3 {
		w.rounds(t, shipped.Interval, nothing)
		if got, most := w.actsOn(keys), round+2; got == 0 || got > most {
			t.Errorf("acts on %d queues after %d rounds in which it saw nothing, want 1 to %d", got, round+1, most)
		}
	}
	for _, other := range []string{"leader", "other"} {
		held := w.actsOn(keys)
		w.rounds(t, shipped.TakeoverAfter, func() { w.Progress(keys[0], other) })
		if got := w.actsOn(keys); got != held {
			t.Errorf("acts on %d more queues while %s is at work", got-held, other)
		}
	}
	w.rounds(t, 3*shipped.TakeoverAfter, nothing)
	i := slices.IndexFunc(keys, w.Acting)
	w.Progress(keys[i], "me")
	w.rounds(t, shipped.Interval, nothing)
	if got := w.actsOn(keys); got != len(keys) {
		t.Errorf("acts on %d queues of %d once it has seen what it wrote", got, len(keys))
	}
}

// TestLeaderIsBack: once the leader writes again, or another one leads, only that counts.
func TestLeaderIsBack(t *testing.T) {
	for _, leader := range []string{"leader", "successor"} {
		w := newShipped(app, web)
		w.set(app, due)
		w.rounds(t, 2*time.Second, nothing)
		w.set(app)
		w.leader = leader
		w.set(web, due)
		w.rounds(t, 5*time.Second, func() { w.Progress(app, leader) })
		if w.Acting(web) {
			t.Errorf("%s works, and another replica takes its queues over", leader)
		}
	}
}

// crowd are replicas of which none leads any more: the leader of all queues has died.
type crowd struct {
	clock    *clocktesting.FakeClock
	replicas []*world
	// line has the queues that a replica was woken for, in order.
	lines map[*world][]queue.Key
}

func newCrowd(keys []queue.Key, names ...string) *crowd {
	c := &crowd{clock: clocktesting.NewFakeClock(noon), lines: map[*world][]queue.Key{}}
	for _, name := range names {
		w := newReplica(name, c.clock, keys...)
		w.timing = shipped
		c.replicas = append(c.replicas, w)
	}
	return c
}

// set has all replicas see that queues wait for other steps than before.
func (c *crowd) set(keys []queue.Key, due ...queue.Action) {
	for _, w := range c.replicas {
		for _, key := range keys {
			w.set(key, due...)
		}
	}
}

// step lets time pass. Each replica goes round and then makes a few passes, which the others see.
func (c *crowd) step(t *testing.T, passes int) {
	t.Helper()
	for _, w := range c.replicas {
		c.clock.Step(shipped.Interval / time.Duration(len(c.replicas)))
		w.Round(t.Context())
		c.lines[w] = append(c.lines[w], w.woke...)
		w.woke = nil
		for n := 0; n < passes && len(c.lines[w]) > 0; c.lines[w] = c.lines[w][1:] {
			key := c.lines[w][0]
			if len(w.due[key]) == 0 || !w.Acting(key) {
				continue
			}
			n++
			for _, other := range c.replicas {
				other.set(key)
				other.Progress(key, w.name)
			}
		}
	}
}

func (w *world) actsOn(keys []queue.Key) (n int) {
	for _, key := range keys {
		if w.Acting(key) {
			n++
		}
	}
	return n
}

// TestBacklog: a leader that dies while hundreds of queues have something due is missed in all of
// them in time, by one replica that works them off for as long as that takes, while the others wait
// for it.
func TestBacklog(t *testing.T) {
	var keys []queue.Key
	for i := range 500 {
		keys = append(keys, queue.Key{Namespace: "shop", Repository: fmt.Sprintf("app-%d", i)})
	}
	c := newCrowd(keys, "one", "two", "three")
	c.set(keys, due)
	const passes = 12 // of each replica in a round: the backlog takes more than eight seconds
	for range 7 {
		c.step(t, passes)
	}
	first := c.replicas[0]
	if n := first.actsOn(keys); n != len(keys) {
		t.Errorf("%s after its death, the leader is missed in %d of %d queues", c.clock.Since(noon), n, len(keys))
	}
	for range 45 {
		c.step(t, passes)
	}
	for _, key := range keys {
		if len(first.due[key]) > 0 {
			t.Fatalf("after %s, %s is not done", c.clock.Since(noon), key)
		}
	}
	for _, w := range c.replicas[1:] {
		if len(w.taken) > 0 {
			t.Errorf("%s takes the survivor for dead: %v", w.name, w.taken)
		}
	}
}

// TestSurvivors: two replicas that act for a dead leader, each in a queue of its own, do not take
// each other for it: what becomes due next is taken in time.
func TestSurvivors(t *testing.T) {
	api := queue.Key{Namespace: "shop", Repository: "api"}
	c := newCrowd([]queue.Key{app, web, api}, "one", "two", "three")
	c.replicas[0].set(app, due) // each sees one of them first
	c.replicas[1].set(web, due)
	for range 8 {
		c.step(t, 0)
	}
	if !c.replicas[0].Acting(app) || !c.replicas[1].Acting(web) {
		t.Fatal("they do not act each in a queue of its own")
	}
	write := func() {
		for i, key := range []queue.Key{app, web} {
			for _, w := range c.replicas {
				w.set(key)
				w.Progress(key, c.replicas[i].name)
			}
		}
	}
	write()
	for _, w := range c.replicas {
		w.set(api, due)
	}
	for range 7 {
		write()
		c.step(t, 0)
	}
	for i, want := range []bool{true, true, false} {
		if w := c.replicas[i]; w.Acting(api) != want {
			t.Errorf("%s acts on what became due next: %t, want %t", w.name, w.Acting(api), want)
		}
	}
}

// slowly goes round while this replica's own writes show a second after it has taken the first
// queue over, and the leader writes every so often; zero is never.
func (w *world) slowly(t *testing.T, d, leaderWrites time.Duration) {
	t.Helper()
	var first time.Time
	began := w.clock.Now()
	w.rounds(t, d, func() {
		now := w.clock.Now()
		if leaderWrites > 0 && now.Sub(began)%leaderWrites == 0 {
			w.Progress(web, "leader")
		}
		if first.IsZero() && len(w.taken) > 0 {
			first = now
		}
		if !first.IsZero() && now.Sub(first)%time.Second == 0 && now.After(first) {
			for _, key := range w.keys {
				if w.Acting(key) {
					w.Progress(key, "me")
				}
			}
		}
	})
}

// TestSlowLeader: where a write takes a second to show, a leader that writes every two seconds is
// not taken for dead, but in the queues in which that is found out; one that writes nothing is.
func TestSlowLeader(t *testing.T) {
	for name, tc := range map[string]struct {
		leaderWrites time.Duration
		least, most  int // of 20 queues, how many are taken over
	}{
		"writes":         {2 * time.Second, 1, 6},
		"writes nothing": {0, 20, 20},
	} {
		t.Run(name, func(t *testing.T) {
			w := newShipped()
			for i := range 20 {
				key := queue.Key{Namespace: "shop", Repository: fmt.Sprint(i)}
				w.keys = append(w.keys, key)
				w.set(key, due)
			}
			w.slowly(t, 30*time.Second, tc.leaderWrites)
			if n := len(w.taken); n < tc.least || n > tc.most {
				t.Errorf("%d queues are taken over, want %d to %d", n, tc.least, tc.most)
			}
		})
	}
}

// TestPaceIsForgotten: that writes were slow once delays no takeover a minute later.
func TestPaceIsForgotten(t *testing.T) {
	w := newShipped(app, web)
	w.set(app, due)
	w.slowly(t, 5*time.Second, 0)
	if !w.Acting(app) {
		t.Fatal("does not act for a leader that writes nothing")
	}
	w.set(app)
	w.rounds(t, 90*time.Second, func() { w.Progress(web, "leader") })
	w.set(web, due)
	w.actsAfter(t, web, shipped.TakeoverAfter-shipped.Interval)
}
