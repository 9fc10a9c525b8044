package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

var (
	noon   = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	timing = recovery.Timing{Interval: time.Second, TakeoverAfter: 3 * time.Second}
	app    = queue.Key{Namespace: "shop", Repository: "app"}
	web    = queue.Key{Namespace: "shop", Repository: "web"}
)

// world is what the loop of one replica sees and does. Another one leads, if it is not said
// otherwise.
type world struct {
	engine.Unobserved
	*recovery.Loop
	name  string
	clock *clocktesting.FakeClock
	// What the tests change.
	timing  recovery.Timing
	leads   map[queue.Key]bool
	part    func(queue.Key) string
	leader  string
	unknown bool // who leads
	blind   bool // to the slots of all queues
	rests   time.Duration
	went    int       // rounds
	until   time.Time // when time alone changes what is due

	mu    sync.Mutex
	keys  []queue.Key
	due   map[queue.Key][]queue.Action
	errs  map[queue.Key]error
	woke  []queue.Key
	late  []queue.Action
	lists []int // the number of queues in each
	// What else the observer is told.
	listed []queue.Key
	told   int // how often that was
	taken  []string

	looks     []queue.Key
	forgotten []queue.Key
}

func newWorld(keys ...queue.Key) *world {
	return newReplica("me", clocktesting.NewFakeClock(noon), keys...)
}

func newReplica(name string, clock *clocktesting.FakeClock, keys ...queue.Key) *world {
	w := &world{
		name: name, clock: clock, timing: timing, keys: keys, leader: "leader", part: func(queue.Key) string { return "" },
		leads: map[queue.Key]bool{}, due: map[queue.Key][]queue.Action{}, errs: map[queue.Key]error{},
	}
	w.Loop = recovery.New(recovery.Config{
		Name: name,
		Keys: func() []queue.Key {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lists = append(w.lists, len(w.keys))
			return w.keys
		},
		Due: func(_ context.Context, key queue.Key) ([]queue.Action, time.Time, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.looks = append(w.looks, key)
			return w.due[key], w.until, w.errs[key]
		},
		Forget:  func(key queue.Key) { w.forgotten = append(w.forgotten, key) },
		Visible: func(queue.Key) bool { return !w.blind },
		Rest: func() time.Duration {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.went++
			return w.rests
		},
		Wake: func(key queue.Key) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.woke = append(w.woke, key)
		},
		Leadership: recovery.Leadership{
			Leads:  func(key queue.Key) bool { return w.leads[key] },
			Part:   func(key queue.Key) string { return w.part(key) },
			Leader: func(string) (string, bool) { return w.leader, !w.unknown },
		},
		Timing:   func() recovery.Timing { return w.timing },
		Clock:    w.clock,
		Observer: w,
	})
	return w
}

// set has a queue wait for other steps than before.
func (w *world) set(key queue.Key, due ...queue.Action) {
	w.due[key] = due
	w.Changed(key)
}

// Listed implements engine.Observer.
func (w *world) Listed(keys []queue.Key) { w.listed, w.told = keys, w.told+1 }

// Overdue implements engine.Observer.
func (w *world) Overdue(_ queue.Key, a queue.Action) { w.late = append(w.late, a) }

// TookOver implements engine.Observer.
func (w *world) TookOver(key queue.Key, step queue.Action, after time.Duration) {
	w.taken = append(w.taken, fmt.Sprintf("%s after %s: %s", key, after, step))
}

// round lets d pass and reports which queues the loop wakes then.
func (w *world) round(t *testing.T, d time.Duration) []queue.Key {
	t.Helper()
	w.clock.Step(d)
	w.woke = nil
	w.Round(t.Context())
	return w.woke
}

// one run and one slot of each kind, changed by the tests.
var (
	run  = queue.Run{Name: "build", UID: "uid-1", Version: "7"}
	slot = queue.Slot{Index: 0, Version: "3", Transition: 4, Holder: &queue.Holder{Name: "build", UID: "uid-1"}}
)

// TestSameStep: only a step that stays the same for TakeoverAfter is overdue.
// Every case gives what is due in rounds that are one second apart.
func TestSameStep(t *testing.T) {
	changedRun, changedSlot, otherSlot := run, slot, slot
	changedRun.Version, changedRun.Owed = "8", "its git secret"
	changedSlot.Version = "4"
	otherSlot.Index = 1
	token := queue.Token{Slot: 0, Transition: 4}
	nothing := []queue.Action(nil)
	always := func(a queue.Action) [][]queue.Action { return [][]queue.Action{{a}, {a}, {a}, {a}, {a}} }
	then := func(a, b queue.Action) [][]queue.Action { return [][]queue.Action{{a}, {a}, {a}, {b}, {b}, {b}, {b}} }

	for name, tc := range map[string]struct {
		due [][]queue.Action
		// want is when the queue is woken, in seconds after the first round.
		want []int
	}{
		"nothing": {[][]queue.Action{nothing, nothing, nothing, nothing, nothing}, nil},
		"claim":   {always(queue.Claim{Run: run, Slot: slot}), []int{3, 4}},
		"start":   {always(queue.Start{Run: run, Token: token}), []int{3, 4}},
		"expire":  {always(queue.Expire{Run: run, Slot: slot, Attempt: 1}), []int{3, 4}},
		"release": {always(queue.Release{Slot: slot}), []int{3, 4}},
		"remove":  {always(queue.Remove{Slot: slot}), []int{3, 4}},
		"done within patience": {[][]queue.Action{
			{queue.Release{Slot: slot}},
			{queue.Release{Slot: slot}},
			{queue.Release{Slot: slot}},
			nothing, nothing,
		}, nil},
		"done and due once more": {
			[][]queue.Action{
				{queue.Release{Slot: slot}},
				{queue.Release{Slot: slot}},
				nothing,
				{queue.Release{Slot: slot}},
				{queue.Release{Slot: slot}},
			}, nil,
		},
		"a write to the run that does not help it": {
			then(queue.Claim{Run: run, Slot: slot}, queue.Claim{Run: changedRun, Slot: slot}), []int{3, 4, 5, 6},
		},
		"a claimed run is written to": {
			then(queue.Start{Run: run, Token: token}, queue.Start{Run: changedRun, Token: token}), []int{3, 4, 5, 6},
		},
		"a write to the slot":                {then(queue.Claim{Run: run, Slot: slot}, queue.Claim{Run: run, Slot: changedSlot}), []int{6}},
		"another slot is to be released":     {then(queue.Release{Slot: slot}, queue.Release{Slot: otherSlot}), []int{6}},
		"released, next it is to be removed": {then(queue.Release{Slot: slot}, queue.Remove{Slot: slot}), []int{6}},
		"another run is next": {then(queue.Claim{Run: run, Slot: slot},
			queue.Claim{Run: queue.Run{UID: "uid-2"}, Slot: slot}), []int{6}},
		"the next attempt": {then(queue.Start{Run: run, Token: token},
			queue.Start{Run: run, Token: queue.Token{Slot: 0, Transition: 5}}), []int{6}},
		"one step stays while others come and go": {
			[][]queue.Action{
				{queue.Release{Slot: slot}, queue.Claim{Run: run, Slot: otherSlot}},
				{queue.Release{Slot: slot}},
				{queue.Start{Run: run, Token: token}, queue.Release{Slot: slot}},
				{queue.Release{Slot: slot}, queue.Remove{Slot: otherSlot}},
			},
			[]int{3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(app)
			var got []int
			for second, due := range tc.due {
				w.clock.Step(time.Second / 2)
				w.set(app, due...)
				if woke := w.round(t, time.Second/2); len(woke) > 0 {
					got = append(got, second)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("woken (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPatience(t *testing.T) {
	w := newWorld(app)
	w.set(app, queue.Release{Slot: slot})
	w.round(t, time.Second)
	if woke := w.round(t, timing.TakeoverAfter-time.Second-1); len(woke) > 0 {
		t.Errorf("woke %v too early", woke)
	}
	if diff := cmp.Diff([]queue.Key{app}, w.round(t, 1)); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
}

// TestTakenInTime: a step that was taken just in time raises no alarm, although the queue has not
// settled.
func TestTakenInTime(t *testing.T) {
	w := newWorld(app)
	w.set(app, queue.Release{Slot: slot})
	w.round(t, time.Second)
	w.clock.Step(timing.TakeoverAfter - time.Second - 1)
	w.set(app)
	if woke := w.round(t, 1); len(woke) > 0 {
		t.Errorf("woke %v", woke)
	}
}

// TestQueuesAreApart: what is wrong with one queue does not hold up the others,
// and the patience with one says nothing about another.
func TestQueuesAreApart(t *testing.T) {
	w := newWorld(web, app)
	w.errs[web] = errors.New("no such index")
	w.set(web)
	w.set(app, queue.Release{Slot: slot})
	for range 2 {
		if woke := w.round(t, time.Second); len(woke) > 0 {
			t.Fatalf("woke %v too early", woke)
		}
	}
	delete(w.errs, web)
	w.set(web, queue.Release{Slot: slot}) // the same step, but of another queue
	if diff := cmp.Diff([]queue.Key{app}, w.round(t, time.Second)); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	if w.Acting(web) || !w.Acting(app) {
		t.Errorf("acts on web: %t, on app: %t; want only app", w.Acting(web), w.Acting(app))
	}
}

// TestUnreadable: a queue that cannot be looked at is looked at again, and what was due in it
// before stays so.
func TestUnreadable(t *testing.T) {
	w := newWorld(app)
	w.set(app, queue.Release{Slot: slot})
	w.round(t, time.Second)
	w.errs[app] = errors.New("no such index")
	w.Changed(app)
	w.round(t, time.Second)
	looks := len(w.looks)
	if diff := cmp.Diff([]queue.Key{app}, w.round(t, time.Second)); diff != "" || len(w.looks) != looks+1 {
		t.Errorf("looked at %d times in the next second; woken (-want +got):\n%s", len(w.looks)-looks, diff)
	}
}

// TestQueueGoesAndComes: a queue that was not there for a while starts over, and nothing is
// remembered of one that is gone.
func TestQueueGoesAndComes(t *testing.T) {
	w := newWorld(app)
	w.set(app, queue.Release{Slot: slot})
	w.round(t, time.Second)
	w.keys = nil
	w.Changed(app) // by what made it go
	w.Changed(web) // which no list has ever shown
	w.round(t, time.Second/2)
	w.round(t, time.Second/2)
	w.round(t, time.Second)
	if diff := cmp.Diff(map[queue.Key]bool{app: true, web: true}, queue.KeySet(w.forgotten)); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
	w.looks, w.forgotten = nil, nil
	w.round(t, time.Minute)
	if len(w.looks) > 0 || len(w.forgotten) > 0 {
		t.Errorf("of queues that are gone, %v are looked at and %v forgotten again", w.looks, w.forgotten)
	}
	w.keys = []queue.Key{app}
	w.Changed(app)
	for range 2 {
		if woke := w.round(t, time.Second); len(woke) > 0 {
			t.Fatalf("woke %v too early", woke)
		}
	}
	if woke := w.round(t, time.Second); len(woke) != 1 {
		t.Errorf("woke %v, want the queue", woke)
	}
}

// TestListsAreBounded: where nothing happens, the queues are listed once a minute, and the observer
// hears of it. While something happens, of thousands no more are listed per second than of a
// thousand, and the observer also hears when one has gone.
func TestListsAreBounded(t *testing.T) {
	for _, queues := range []int{1, 1000, 5000} {
		t.Run(fmt.Sprint(queues), func(t *testing.T) {
			w := newWorld()
			for i := range queues {
				w.keys = append(w.keys, queue.Key{Namespace: "shop", Repository: fmt.Sprint(i)})
			}
			minutes := func(n int, each func()) (listed int) {
				w.lists, w.told = nil, 0
				for range 60 * n {
					each()
					w.round(t, time.Second)
				}
				for _, n := range w.lists {
					listed += n
				}
				if w.told != n {
					t.Errorf("the observer is told %d times in %d minutes", w.told, n)
				}
				return listed
			}
			w.round(t, time.Second)
			if listed := minutes(5, nothing); listed != 5*queues {
				t.Errorf("%d queues are listed in five minutes in which nothing happens", listed)
			}
			listed := minutes(5, func() { w.Changed(w.keys[0]) })
			if most := 5 * 60 * min(queues, 1000); listed > most || len(w.lists) < 5*60/(1+queues/1000) {
				t.Errorf("%d lists of %d queues in five minutes, %d in all; want no more than %d", len(w.lists), queues, listed, most)
			}
			w.Changed(w.keys[0])
			w.keys, w.told = w.keys[1:], 0
			for range 10 {
				w.round(t, time.Second)
			}
			if w.told != 1 || len(w.listed) != queues-1 {
				t.Errorf("told %d times, last of %d queues; want to be told that one has gone", w.told, len(w.listed))
			}
		})
	}
}

// TestStill: while nothing stirs, the loop lists the queues once a minute and does nothing else. A
// change has it look as soon as ever.
func TestStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(app, web)
		w.Loop.Clock = clock.RealClock{}
		ctx, stop := context.WithCancel(t.Context())
		go w.Run(ctx)
		defer stop()
		w.pass(time.Minute, func() { w.looks, w.lists, w.went = nil, nil, 0 })
		w.pass(10*time.Minute, func() {
			if len(w.lists) < 9 || len(w.lists) > 10 || len(w.looks) > 0 || w.went > 11 {
				t.Errorf("in ten still minutes, %d lists, %d looks, %d rounds", len(w.lists), len(w.looks), w.went)
			}
			w.due[app] = []queue.Action{queue.Release{Slot: slot}}
		})
		w.Changed(app)
		w.pass(timing.TakeoverAfter+3*timing.Interval, func() {
			if !slices.Contains(w.woke, app) {
				t.Error("a step that is overdue goes unnoticed")
			}
			w.due[app] = nil
		})
		w.Changed(app)
		w.pass(10*time.Minute, func() { w.lists, w.keys = nil, []queue.Key{app} })
		w.Relist()
		w.pass(3*timing.Interval, func() {
			if len(w.lists) == 0 || len(w.listed) != 1 {
				t.Errorf("%d lists after a change of who leads; listed %v", len(w.lists), w.listed)
			}
		})
	})
}

// TestComesDuringAList: a queue that comes while the others are being listed is not taken for gone.
func TestComesDuringAList(t *testing.T) {
	w := newWorld(app)
	w.round(t, time.Second)
	keys := w.Keys
	w.Keys = func() []queue.Key {
		all := keys()
		if len(w.keys) == 1 {
			w.keys = append(w.keys, web)
			w.clock.Step(time.Millisecond)
			w.set(web, queue.Release{Slot: slot})
		}
		return all
	}
	w.Changed(app)
	w.round(t, time.Second)
	if len(w.forgotten) > 0 {
		t.Errorf("forgotten: %v", w.forgotten)
	}
	w.round(t, timing.TakeoverAfter)
	if !w.Acting(web) {
		t.Error("its overdue step goes unnoticed")
	}
}

// pass lets time pass in which the loop runs by itself, and then looks at what it did.
func (w *world) pass(d time.Duration, look func()) {
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	look()
}

// TestRelist: a replica that sees fewer queues than before lists them at once.
func TestRelist(t *testing.T) {
	w := newWorld(app, web)
	for range 10 {
		w.round(t, time.Second)
	}
	w.keys = []queue.Key{app}
	w.round(t, time.Second)
	if len(w.listed) != 2 {
		t.Fatalf("listed %v although nothing has changed", w.listed)
	}
	w.Relist()
	w.round(t, time.Second)
	if diff := cmp.Diff([]queue.Key{app}, w.listed); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

// TestActing: a replica that took a queue over keeps acting on it for ten
// takeover times after the last alarm, and no longer.
func TestActing(t *testing.T) {
	const window = 10 * 3 * time.Second
	w := newWorld(app)
	if w.Acting(app) {
		t.Error("acts before any alarm")
	}
	w.set(app, queue.Release{Slot: slot})
	w.round(t, time.Second)
	if w.Acting(app) {
		t.Error("acts on what has only just become due")
	}
	w.round(t, timing.TakeoverAfter) // the first alarm
	w.round(t, 2*time.Second)        // and the last
	w.set(app)
	w.round(t, time.Second)
	for _, tc := range []struct {
		pass time.Duration // since the step before
		want bool
	}{
		{0, true}, {window - time.Second - 1, true}, {1, false}, {0, false},
	} {
		w.clock.Step(tc.pass)
		if got := w.Acting(app); got != tc.want {
			t.Errorf("%s after noon: acting %t, want %t", w.clock.Since(noon), got, tc.want)
		}
	}
	w.set(app, queue.Remove{Slot: slot})
	w.round(t, time.Second)
	if w.Acting(app) {
		t.Error("acts at once on the next step, although its time is over")
	}
	w.round(t, timing.TakeoverAfter)
	if !w.Acting(app) {
		t.Error("does not take over for a second time")
	}
}

// TestRun: the loop goes round once an interval as long as something stirs, and stops with its
// context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(app)
		w.Loop.Clock = clock.RealClock{}
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.Run(ctx) }()
		w.set(app, queue.Release{Slot: slot})
		for i := range 5 {
			w.pass(timing.Interval, func() {
				if w.went != i+1 {
					t.Errorf("%d rounds in %d intervals", w.went, i+1)
				}
			})
		}
		stop()
		<-stopped
	})
}

func TestYield(t *testing.T) {
	w := newWorld(app, web)
	w.set(app, queue.Release{Slot: slot})
	w.set(web, queue.Release{Slot: slot})
	w.round(t, timing.TakeoverAfter)
	w.round(t, timing.Interval)
	if !w.Acting(app) || !w.Acting(web) {
		t.Fatal("does not act on overdue queues")
	}
	w.Yield(app)
	if w.Acting(app) {
		t.Error("acts on a queue that it yielded")
	}
	if !w.Acting(web) {
		t.Error("does not act on a queue that it did not yield")
	}
	w.round(t, timing.Interval)
	if !w.Acting(app) {
		t.Error("does not act on a yielded queue that is overdue still")
	}
}

// TestLate: a step is told of when it is overdue, and once only; the next one, and
// the same after it was not due for a while, are told of again.
func TestLate(t *testing.T) {
	w := newWorld(app)
	start, release := queue.Start{Run: run}, queue.Release{Slot: slot}
	other := queue.Start{Run: queue.Run{UID: "uid-2"}}
	for i, step := range []struct {
		due  []queue.Action
		want []queue.Action
	}{
		{[]queue.Action{start}, nil},
		{[]queue.Action{start}, nil},
		{[]queue.Action{start, release}, nil},
		{[]queue.Action{start, release}, []queue.Action{start}},
		{[]queue.Action{start, release}, nil},
		{[]queue.Action{start, release}, []queue.Action{release}},
		{[]queue.Action{other}, nil},
		{[]queue.Action{start, other}, nil},
		{[]queue.Action{start, other}, nil},
		{[]queue.Action{start, other}, []queue.Action{other}},
		{[]queue.Action{start}, []queue.Action{start}},
	} {
		w.late = nil
		w.clock.Step(time.Second / 2)
		w.set(app, step.due...)
		w.round(t, time.Second/2)
		if diff := cmp.Diff(step.want, w.late); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestObserver: a list tells which queues there are; taking a queue over is told once, as
// long as the replica goes on with it.
func TestObserver(t *testing.T) {
	w := newWorld(app, web)
	w.set(app, queue.Start{Run: run})
	for range 6 {
		w.round(t, time.Second)
	}
	if diff := cmp.Diff([]queue.Key{app, web}, w.listed); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"shop/app after 3s: start build"}, w.taken); diff != "" {
		t.Errorf("taken over (-want +got):\n%s", diff)
	}
}
