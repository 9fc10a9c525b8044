package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
)

var (
	noon   = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	app    = queue.Key{Namespace: "shop", Repository: "app"}
	policy = queue.Policy{
		ClaimTTL: 20 * time.Second, OrderGrace: 30 * time.Second, ReadyGrace: 60 * time.Second,
		BackoffBase: 5 * time.Second, BackoffMax: time.Minute,
	}
	// errUnknown says nothing about whether the write happened.
	errUnknown = errors.New("the connection was reset")
)

// cluster is the truth about one queue. It is strict: a write with a version
// that is not the present one is refused and changes nothing, and no write may
// break the limit.
type cluster struct {
	t *testing.T

	mu      sync.Mutex
	version int
	queue   engine.Repository
	// handBack is what the configuration says.
	handBack bool
	// What reading the Repository says.
	missing    bool
	unreadable error
	runs       map[string]queue.Run
	slots      map[int]queue.Slot
	// finished are runs that PAC is done with: no list shows them.
	finished map[string]bool
	// over has when runs ended that a watch has shown to be done, by UID.
	over map[string]time.Time
	// pods returns what is left of a holder; nil if nothing ever is.
	pods func(queue.Holder) *queue.Pods
	// release is when slots are free if the queue does not say it.
	release queue.ReleaseWhen
	// intercepted calls are carried out by the function, once; commit does what
	// the call would have done.
	intercepted map[string]func(commit func() error) error
	// chaos intercepts all other calls.
	chaos func(what string, commit func() error) error
	// calls are all writes, and all reads past the caches.
	calls []string
	// group runs the starts of a pass; nil is as it ships.
	group func(most int) engine.Group
	// forgetful slots are known to one replica only.
	forgetful bool
}

// newCluster holds a queue with the given limit, runs and slots.
func newCluster(t *testing.T, limit queue.Limit, runs []queue.Run, slots ...queue.Slot) *cluster {
	c := &cluster{
		t: t, queue: engine.Repository{Key: app, UID: "uid-app", Limit: limit},
		runs: map[string]queue.Run{}, slots: map[int]queue.Slot{}, finished: map[string]bool{},
		intercepted: map[string]func(func() error) error{}, group: func(int) engine.Group { return inTurn{} },
	}
	for _, r := range runs {
		c.put(r)
	}
	for _, s := range slots {
		s.Version = c.next()
		c.slots[s.Index] = s
	}
	return c
}

func (c *cluster) next() string { c.version++; return strconv.Itoa(c.version) }

// put writes a run as another client would.
func (c *cluster) put(r queue.Run) {
	r.Version = c.next()
	c.runs[r.Name] = r
}

// change edits a run as another client would.
func (c *cluster) change(name string, change func(*queue.Run)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[name]
	change(&r)
	c.put(r)
}

func (c *cluster) finish(names ...string) {
	for _, name := range names {
		c.change(name, func(r *queue.Run) { r.Phase = queue.Done })
	}
}

// setSlot writes a slot as another client would.
func (c *cluster) setSlot(s queue.Slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Version = c.next()
	c.slots[s.Index] = s
}

// call carries out one call: as intercepted, or as it is.
func (c *cluster) call(what string, commit func() error) error {
	c.mu.Lock()
	c.calls = append(c.calls, what)
	index := len(c.calls) - 1
	intercept := c.intercepted[what]
	delete(c.intercepted, what)
	c.mu.Unlock()
	locked := func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return commit()
	}
	var err error
	switch {
	case intercept != nil:
		err = intercept(locked)
	case c.chaos != nil:
		err = c.chaos(what, locked)
	default:
		err = locked()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case index >= len(c.calls): // the caller is gone
	case errors.Is(err, engine.ErrStale):
		c.calls[index] += ": stale"
	case err != nil:
		c.calls[index] += ": " + err.Error()
	}
	return err
}

// committed loses the reply of a call that was carried out.
func committed(commit func() error) error { return errors.Join(commit(), errUnknown) }

// lost loses the call itself.
func lost(func() error) error { return errUnknown }

// happened reports the calls since the last time it was asked.
func (c *cluster) happened() []string {
	calls := c.calls
	c.calls = nil
	return calls
}

func (c *cluster) want(calls ...string) {
	c.t.Helper()
	if diff := cmp.Diff(calls, c.happened()); diff != "" {
		c.t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// wantSlots compares who holds which slot.
func (c *cluster) wantSlots(want map[int]string) {
	c.t.Helper()
	got := map[int]string{}
	for i, s := range c.slots {
		got[i] = ""
		if s.Holder != nil {
			got[i] = s.Holder.Name
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("slots (-want +got):\n%s", diff)
	}
}

func (c *cluster) started() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.runs)) {
		if c.runs[name].Phase == queue.Started {
			names = append(names, name)
		}
	}
	return names
}

func (c *cluster) wantStarted(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.started()); diff != "" {
		c.t.Errorf("started (-want +got):\n%s", diff)
	}
}

// replica is one engine with its caches.
type replica struct {
	*engine.Engine
	*cluster
	clock  *clocktesting.FakePassiveClock
	events []event.Event
	// frozen caches show what was, the others show the truth.
	frozen      bool
	cachedRuns  []queue.Run
	cachedSlots []queue.Slot
}

func (c *cluster) replica() *replica {
	r := &replica{cluster: c, clock: clocktesting.NewFakePassiveClock(noon)}
	looks := latest.New(func(queue.Key) bool { return true })
	r.Engine = engine.New(engine.Config{
		Repositories: repositories{c}, Runs: runs{r}, Stores: func() []engine.Store { return []engine.Store{store{r}} }, Clock: r.clock,
		Policy: func() queue.Policy { return policy }, HandBack: func() bool { return c.handBack },
		Observer: engine.Observers{event.NewObserver(r, looks), looks}, Bounds: engine.Bounds{Writes: 32, Reads: 16, Starts: 2},
		Group: c.group, Pods: c.podsOf, Release: c.release,
	})
	return r
}

func (c *cluster) podsOf(_ queue.Key, of queue.Holder) *queue.Pods {
	if c.pods == nil {
		return nil
	}
	return c.pods(of)
}

// inTurn is a group whose functions run at once, one after the other.
type inTurn struct{}

func (inTurn) Go(f func()) { f() }
func (inTurn) Wait()       {}

// freeze keeps the caches as they are now, whatever happens.
func (r *replica) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen, r.cachedRuns, r.cachedSlots = true, r.listRuns(), slices.Collect(maps.Values(r.slots))
}

func (r *replica) thaw() { r.frozen = false }

func (r *replica) wait(d time.Duration) { r.clock.SetTime(r.clock.Now().Add(d)) }

// pass reconciles the queue once.
func (r *replica) pass() (time.Time, error) { return r.Reconcile(quiet(r.t.Context()), app) }

// quiet drops what is logged.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, klog.Logger{}) }

// mustPass reconciles the queue once and wants these calls, and no error.
func (r *replica) mustPass(calls ...string) {
	r.t.Helper()
	if _, err := r.pass(); err != nil {
		r.t.Errorf("pass: %v", err)
	}
	r.want(calls...)
}

// Record implements event.Sink.
func (r *replica) Record(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// wantEvents compares the reasons and names of what was recorded since the last
// time, each once.
func (r *replica) wantEvents(want ...string) {
	r.t.Helper()
	var got []string
	for _, e := range r.events {
		kind := "Normal"
		if e.Warning {
			kind = "Warning"
		}
		if s := fmt.Sprintf("%s %s %s", kind, e.Reason, e.Name); !slices.Contains(got, s) {
			got = append(got, s)
		}
	}
	r.events = nil
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("events (-want +got):\n%s", diff)
	}
}

type repositories struct{ *cluster }

func (r repositories) Get(_ context.Context, key queue.Key, freshness queue.Freshness) (q engine.Repository, exists bool, err error) {
	if key != app {
		r.t.Errorf("asked for Repository %s", key)
	}
	if freshness == queue.Fresh {
		err = r.call("get Repository", func() error { q, exists, err = r.queue, !r.missing, r.unreadable; return err })
		return q, exists, err
	}
	return r.queue, !r.missing, r.unreadable
}

// runs is the engine.Runs of a replica.
type runs struct{ *replica }

var _ engine.Runs = runs{}

func (c *cluster) listRuns() []queue.Run {
	var list []queue.Run
	for _, r := range c.runs {
		if !c.finished[r.Name] {
			list = append(list, r)
		}
	}
	return list
}

func (r runs) List(_ context.Context, key queue.Key, freshness queue.Freshness) (list []*queue.Run, err error) {
	if key != app {
		r.t.Errorf("asked for the runs of %s", key)
	}
	if freshness == queue.Fresh {
		err = r.call("list runs", func() error { list = queue.Shared(r.listRuns()); return nil })
		return list, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen {
		return queue.Shared(r.cachedRuns), nil
	}
	return queue.Shared(r.listRuns()), nil
}

func (r runs) Get(_ context.Context, _ queue.Key, name string) (run queue.Run, exists bool, err error) {
	err = r.call("get "+name, func() error { run, exists = r.runs[name]; return nil })
	if err != nil {
		return queue.Run{}, false, err
	}
	return run, exists, nil
}

func (r runs) Over(uid string) (ended time.Time, over bool) {
	ended, over = r.over[uid]
	return ended, over
}

// patch is what all writes have in common.
func (r runs) patch(what string, run queue.Run, change func(*queue.Run)) error {
	return r.call(what, func() error {
		is, exists := r.runs[run.Name]
		if !exists || is.UID != run.UID || is.Version != run.Version {
			return engine.ErrStale
		}
		change(&is)
		r.put(is)
		return nil
	})
}

func (r runs) Stamp(_ context.Context, _ queue.Key, run queue.Run, arrival queue.Arrival) error {
	return r.patch(fmt.Sprintf("stamp %s with %s", run.Name, arrival), run, func(is *queue.Run) { is.Arrived = arrival })
}

func (r runs) Start(_ context.Context, _ queue.Key, a queue.Start) error {
	run, token := a.Run, a.Token
	what := fmt.Sprintf("start %s with %s", run.Name, token)
	if token.Attempt != run.Attempt {
		r.t.Errorf("%s: the run is at attempt %d", what, run.Attempt)
	}
	if run.Phase != queue.Pending {
		r.t.Errorf("%s: the run is %s, which should be known", what, run.Phase)
	}
	return r.patch(what, run, func(is *queue.Run) {
		is.Phase, is.Claim = queue.Started, &token
		if n := len(r.started()) + 1; r.queue.Limit != queue.Unlimited && n > int(r.queue.Limit) {
			r.t.Errorf("I1: %s makes %d started runs, the limit is %d: %v", what, n, r.queue.Limit, r.started())
		}
	})
}

func (r runs) Fence(_ context.Context, _ queue.Key, run queue.Run, attempt int, notBefore time.Time) error {
	return r.patch(fmt.Sprintf("fence %s at %d until %s", run.Name, attempt, notBefore.Format(time.TimeOnly)), run,
		func(is *queue.Run) { is.Attempt, is.NotBefore = attempt, notBefore })
}

func (r runs) Cancel(_ context.Context, _ queue.Key, a queue.Cancel) error {
	run := a.Run
	return r.patch("cancel "+run.Name, run, func(is *queue.Run) {
		if is.Ending = true; is.Phase == queue.Pending {
			is.Phase = queue.Done
		}
	})
}

func (r runs) HandBack(_ context.Context, _ queue.Key, run queue.Run) error {
	return r.patch("hand back "+run.Name, run, func(is *queue.Run) {
		is.Order, is.Attempt, is.NotBefore = &queue.Order{Sequence: is.Sequence()}, 0, time.Time{}
	})
}

func (r runs) Forget(_ context.Context, _ queue.Key, run queue.Run) error {
	return r.patch("forget "+run.Name, run, func(is *queue.Run) { r.finished[is.Name] = true })
}

// store is the engine.Store of a replica.
type store struct{ *replica }

var _ engine.Store = store{}

func (s store) List(_ context.Context, key queue.Key, freshness queue.Freshness) (list []queue.Slot, err error) {
	if key != app {
		s.t.Errorf("asked for the slots of %s", key)
	}
	if freshness == queue.Fresh {
		err = s.call("list slots", func() error { list = slices.Collect(maps.Values(s.slots)); return nil })
		return list, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return slices.Clone(s.cachedSlots), nil
	}
	return slices.Collect(maps.Values(s.slots)), nil
}

// write changes a slot if it is as observed.
func (s store) write(what string, slot queue.Slot, change func(*queue.Slot)) (written queue.Slot, err error) {
	err = s.call(what, func() error {
		is, exists := s.slots[slot.Index]
		if exists != (slot.Version != "") || is.Version != slot.Version {
			return engine.ErrStale
		}
		is.Index, is.Version = slot.Index, s.next()
		change(&is)
		s.slots[slot.Index] = is
		written = is
		return nil
	})
	if err != nil {
		return queue.Slot{}, err
	}
	return written, nil
}

func (s store) Claim(_ context.Context, q engine.Repository, slot queue.Slot, holder queue.Holder) (queue.Slot, error) {
	if q.UID != "uid-app" {
		s.t.Errorf("claim for %+v, which does not own the slot", q)
	}
	return s.write(fmt.Sprintf("claim %d for %s", slot.Index, holder.Name), slot, func(is *queue.Slot) {
		is.Holder, is.Damaged = &holder, ""
		is.Transition++
	})
}

func (s store) Release(_ context.Context, _ engine.Repository, slot queue.Slot) error {
	_, err := s.write(fmt.Sprintf("release %d", slot.Index), slot, func(is *queue.Slot) { is.Holder, is.Damaged = nil, "" })
	return err
}

func (s store) Remove(_ context.Context, _ engine.Repository, slot queue.Slot) error {
	return s.call(fmt.Sprintf("remove %d", slot.Index), func() error {
		if is, exists := s.slots[slot.Index]; exists && is.Version != slot.Version {
			return engine.ErrStale
		}
		delete(s.slots, slot.Index)
		return nil
	})
}

func (s store) Lasting() bool { return !s.forgetful }

// pending makes runs of one event each, created in the given order.
func pending(names ...string) []queue.Run {
	var list []queue.Run
	for i, name := range names {
		list = append(list, queue.Run{
			Name: name, UID: "uid-" + name, Order: &queue.Order{Held: true, Sequence: queue.NewSequence([]string{name})},
			Created: noon.Add(time.Duration(i-60) * time.Second),
		})
	}
	return list
}

// in changes the phase of runs.
func in(phase queue.Phase, list []queue.Run) []queue.Run {
	for i := range list {
		list[i].Phase = phase
	}
	return list
}

// slot exists, and names the run unless the name is empty.
func slot(index int, name string) queue.Slot {
	s := queue.Slot{Index: index, Transition: 4}
	if name != "" {
		s.Holder = &queue.Holder{Name: name, UID: "uid-" + name}
	}
	return s
}

func wantStale(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, engine.ErrStale) {
		t.Errorf("error %v, want ErrStale", err)
	}
}

// wantUnknown wants an error that is not stale and names what failed.
func wantUnknown(t *testing.T, err error, what string) {
	t.Helper()
	if !errors.Is(err, errUnknown) || errors.Is(err, engine.ErrStale) || !strings.Contains(err.Error(), what) {
		t.Errorf("error %v, want that of the connection, about %q", err, what)
	}
}
