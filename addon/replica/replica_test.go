package replica_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

var (
	noon   = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	app    = queue.Key{Namespace: "shop", Repository: "app"}
	web    = queue.Key{Namespace: "shop", Repository: "web"}
	timing = recovery.Timing{Interval: time.Second, TakeoverAfter: 3 * time.Second}
	lease  = replica.Settings{Backend: store.Lease, Recovery: timing}
	memory = replica.Settings{Backend: store.Memory, Recovery: timing}
)

// rig is a replica, and everything around it. Its engine is scripted.
type rig struct {
	*replica.Replica
	engine.Unobserved
	t     *testing.T
	clock *clocktesting.FakeClock
	leads map[queue.Key]bool
	// next and err are what the next passes return.
	next time.Time
	err  error
	// due is what every queue waits for.
	due []queue.Action

	passes, woken, inTime, forgotten, listed, changed []queue.Key
	// meanwhile is called during each pass.
	meanwhile func()
	overdue   []queue.Key // queues that recovery looked at
}

func newRig(t *testing.T, settings replica.Settings, leads ...queue.Key) *rig {
	r := &rig{t: t, clock: clocktesting.NewFakeClock(noon), leads: map[queue.Key]bool{}}
	for _, key := range leads {
		r.leads[key] = true
	}
	keys := []queue.Key{app, web}
	r.Replica = replica.New(replica.Config{
		Engine: scripted{r}, Settings: settings, Clock: r.clock, Observer: r,
		Keys: func() []queue.Key { return keys },
		Name: "me", WakeLater: func(queue.Key) {}, WakeAll: func(keys []queue.Key) { r.inTime = append(r.inTime, keys...) },
		Leadership: recovery.Leadership{
			Leads:  func(key queue.Key) bool { return r.leads[key] },
			Part:   func(queue.Key) string { return "" },
			Leader: func(string) (string, bool) { return "leader", true },
		},
		Forget: func(of func(queue.Key) bool) {
			for _, key := range keys {
				if of(key) {
					r.forgotten = append(r.forgotten, key)
				}
			}
		},
		Wake: func(key queue.Key) { r.woken = append(r.woken, key) }, Workers: 4,
	})
	return r
}

// scripted is the engine of a rig.
type scripted struct{ *rig }

func (s scripted) Reconcile(_ context.Context, key queue.Key) (time.Time, error) {
	s.passes = append(s.passes, key)
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return s.next, s.err
}

func (s scripted) Changed(key queue.Key) { s.changed = append(s.changed, key) }

func (s scripted) Overdue(_ context.Context, key queue.Key) ([]queue.Action, time.Time, error) {
	s.overdue = append(s.overdue, key)
	return s.due, time.Time{}, nil
}

// Listed implements engine.Observer.
func (r *rig) Listed(keys []queue.Key) { r.listed = slices.Clone(keys) }

// work works on a queue and wants this outcome.
func (r *rig) work(key queue.Key, acted bool, again time.Duration) error {
	r.t.Helper()
	passes := len(r.passes)
	outcome, err := r.Work(r.t.Context(), key)
	if want := (replica.Outcome{Acted: acted, Again: again}); outcome != want {
		r.t.Errorf("%s: %+v, want %+v", key, outcome, want)
	}
	if !acted && len(r.passes) > passes {
		r.t.Errorf("%s: a replica that does not act makes a pass", key)
	}
	return err
}

// takeOver has recovery see every queue overdue.
func (r *rig) takeOver() {
	r.due = []queue.Action{queue.Start{Run: queue.Run{Name: "build", UID: "build"}}}
	for _, key := range []queue.Key{app, web} {
		r.Changed(key, false)
	}
	r.clock.Step(timing.TakeoverAfter)
	r.Round(r.t.Context())
	r.clock.Step(timing.Interval) // one queue in each round
	r.Round(r.t.Context())
}

// TestWhoActs: the leader acts, and so does a replica that has taken an overdue queue over; with
// slots in memory, only the leader.
func TestWhoActs(t *testing.T) {
	r := newRig(t, lease, app)
	_ = r.work(app, true, 0)
	_ = r.work(web, false, 0)
	r.takeOver()
	if !slices.Contains(r.woken, web) {
		t.Fatal("an overdue queue is not woken")
	}
	_ = r.work(web, true, 0)

	r.Configure(memory)
	r.clock.Step(replica.Changeover)
	_ = r.work(app, true, 0)
	_ = r.work(web, false, 0)
	r.overdue = nil
	r.Round(t.Context())
	for what, keys := range map[string][]queue.Key{"looked at": r.overdue, "listed": r.listed} {
		if diff := cmp.Diff([]queue.Key{app}, keys); diff != "" {
			t.Errorf("with slots in memory, recovery %s (-want +got):\n%s", what, diff)
		}
	}
}

// TestInMemory: with slots in memory nothing is due to a replica that does not lead, however it
// hears of a queue.
func TestInMemory(t *testing.T) {
	r := newRig(t, memory, app)
	r.Round(t.Context())
	r.due = []queue.Action{queue.Start{Run: queue.Run{Name: "build", UID: "build"}}}
	r.Changed(app, false)
	r.Changed(web, false)
	r.clock.Step(time.Second - 1)
	r.Round(t.Context())
	if diff := cmp.Diff([]queue.Key{app}, r.overdue); diff != "" {
		t.Errorf("looked at (-want +got):\n%s", diff)
	}
}

// TestYield: a replica whose slot was moved by another leaves the queue to it, unless it leads.
func TestYield(t *testing.T) {
	r := newRig(t, lease, app)
	r.takeOver()
	r.err = fmt.Errorf("claim: %w: %w", engine.ErrOutrun, engine.ErrStale)
	_ = r.work(web, true, 200*time.Millisecond)
	_ = r.work(web, false, 0)
	_ = r.work(app, true, 200*time.Millisecond)
	_ = r.work(app, true, 200*time.Millisecond)

	other := newRig(t, lease)
	other.takeOver()
	other.err = fmt.Errorf("start: %w", engine.ErrStale) // the run has changed: no other replica need be at work
	_ = other.work(web, true, 200*time.Millisecond)
	_ = other.work(web, true, 200*time.Millisecond)
}

// TestWhenToLookAgain: after a deadline, a stale write, or an error, whichever comes first.
func TestWhenToLookAgain(t *testing.T) {
	failed := errors.New("the API server is away")
	stale := fmt.Errorf("start: %w", engine.ErrStale)
	for name, tc := range map[string]struct {
		next  time.Duration // from now; zero is never
		err   error
		again time.Duration
	}{
		"never":                  {again: 0},
		"a deadline":             {next: 5 * time.Second, again: 5 * time.Second},
		"a deadline just passed": {next: -time.Second, again: time.Nanosecond},
		"stale":                  {err: stale, again: 200 * time.Millisecond},
		"stale, later deadline":  {next: time.Second, err: stale, again: 200 * time.Millisecond},
		"stale, sooner deadline": {next: 50 * time.Millisecond, err: stale, again: 50 * time.Millisecond},
		"failed":                 {err: failed, again: 100 * time.Millisecond},
		"failed, later deadline": {next: time.Second, err: failed, again: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lease, app)
			if r.err = tc.err; tc.next != 0 {
				r.next = noon.Add(tc.next)
			}
			err := r.work(app, true, tc.again)
			if tells := errors.Is(err, failed); tells != errors.Is(tc.err, failed) || err != nil && !tells {
				t.Errorf("the log is told %v after %v", err, tc.err)
			}
		})
	}
}

// TestErrorPause: it doubles up to five seconds, for each queue by itself, and begins anew after a
// pass that went through.
func TestErrorPause(t *testing.T) {
	const ms = time.Millisecond
	r := newRig(t, lease, app, web)
	r.err = errors.New("the API server is away")
	for _, pause := range []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms} {
		_ = r.work(app, true, pause)
	}
	for range 100 { // no overflow
		_ = r.work(app, true, 5000*ms)
	}
	_ = r.work(web, true, 100*ms)
	r.err = nil
	_ = r.work(app, true, 0)
	r.err = errors.New("the API server is away again")
	_ = r.work(app, true, 100*ms)
	_ = r.work(app, true, 200*ms)
	r.err = engine.ErrStale // an answer
	_ = r.work(app, true, 200*ms)
	r.err = errors.New("the API server is away again")
	_ = r.work(app, true, 100*ms)
}

// TestChangeover: after the backend or the owner of the queues has changed, nothing is done for a
// while, and then every queue is looked at, whatever wakes it.
func TestChangeover(t *testing.T) {
	handBack := lease
	handBack.HandBack = true
	patient := lease
	patient.Recovery.TakeoverAfter = time.Minute
	for name, tc := range map[string]struct {
		to    replica.Settings
		rests bool
	}{
		"backend": {memory, true}, "hand-back": {handBack, true}, "timing": {patient, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lease, app)
			r.Configure(tc.to)
			if diff := cmp.Diff([]queue.Key{app, web}, r.inTime); diff != "" || len(r.woken) > 0 {
				t.Errorf("woken at once: %v, in time (-want +got):\n%s", r.woken, diff)
			}
			if diff := cmp.Diff([]queue.Key{app, web}, r.changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			if r.Settings() != tc.to {
				t.Errorf("the settings are %+v", r.Settings())
			}
			if tc.rests {
				_ = r.work(app, true, replica.Changeover)
				r.clock.Step(replica.Changeover - time.Millisecond)
				_ = r.work(app, true, time.Millisecond)
				if len(r.passes) > 0 {
					t.Error("a pass is made while the slots move")
				}
				r.clock.Step(time.Millisecond)
			}
			_ = r.work(app, true, 0)
			if len(r.passes) != 1 {
				t.Errorf("%d passes after it, want one", len(r.passes))
			}
		})
	}
}

// TestRecoveryRests: no step is overdue because nobody was to take it.
func TestRecoveryRests(t *testing.T) {
	handBack := lease
	handBack.HandBack = true
	r := newRig(t, lease)
	r.due = []queue.Action{queue.Start{Run: queue.Run{Name: "build", UID: "build"}}}
	r.Changed(app, false)
	r.clock.Step(timing.TakeoverAfter - time.Second)
	r.Round(t.Context())
	r.Configure(handBack)
	for range 3 {
		r.clock.Step(time.Second)
		r.Round(t.Context())
	}
	if r.Acts(app) {
		t.Error("takes over what nobody could do during the changeover")
	}
	r.clock.Step(timing.TakeoverAfter)
	r.Round(t.Context())
	if !r.Acts(app) {
		t.Error("does not take over what nobody does after the changeover")
	}
}

// TestProgress: a queue of a leader that writes elsewhere is not taken over.
func TestProgress(t *testing.T) {
	r := newRig(t, lease)
	r.due = []queue.Action{queue.Start{Run: queue.Run{Name: "build", UID: "build"}}}
	r.Changed(app, false)
	for range 5 {
		r.clock.Step(time.Second)
		r.Progress(web, "leader")
		r.Round(t.Context())
	}
	if r.Acts(app) {
		t.Error("takes over from a leader that works")
	}
}

// TestGone: nothing is remembered of a queue that no list shows any more.
func TestGone(t *testing.T) {
	r := newRig(t, lease)
	gone := queue.Key{Namespace: "shop", Repository: "gone"}
	r.Changed(gone, false)
	r.clock.Step(time.Second)
	r.Round(t.Context()) // drops it, before a look or after
	r.overdue, r.changed = nil, nil
	r.Changed(gone, false)
	r.clock.Step(time.Second - 1)
	r.Round(t.Context())
	if !slices.Contains(r.overdue, gone) {
		t.Fatal("a queue that has changed is not looked at")
	}
	r.changed = nil
	r.clock.Step(time.Second)
	r.Round(t.Context())
	if diff := cmp.Diff([]queue.Key{gone}, r.changed); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
}

// TestStores: the store in force comes first.
func TestStores(t *testing.T) {
	inLeases, inMemory := &struct{ engine.Store }{}, &struct{ engine.Store }{}
	r := newRig(t, lease)
	if got := r.Stores(inLeases, inMemory); len(got) != 2 || got[0] != engine.Store(inLeases) || got[1] != engine.Store(inMemory) {
		t.Errorf("with Leases the stores are %v", got)
	}
	r.Configure(memory)
	if got := r.Stores(inLeases, inMemory); len(got) != 2 || got[0] != engine.Store(inMemory) || got[1] != engine.Store(inLeases) {
		t.Errorf("in memory the stores are %v", got)
	}
}

// TestPromoted: a new leader forgets what it remembers of its queues, and looks at each of them.
func TestPromoted(t *testing.T) {
	r := newRig(t, memory)
	r.Promoted(func(key queue.Key) bool { return key == web })
	for what, keys := range map[string][]queue.Key{"forgets": r.forgotten, "wakes": r.woken, "decides anew": r.changed} {
		if diff := cmp.Diff([]queue.Key{web}, keys); diff != "" {
			t.Errorf("it %s (-want +got):\n%s", what, diff)
		}
	}
}

// TestRun: recovery goes round once an interval until the context ends.
func TestRun(t *testing.T) {
	r := newRig(t, lease)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); !r.clock.HasWaiters(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("recovery does not wait for its interval")
		}
	}
	cancel()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("recovery does not stop with its context")
	}
}
