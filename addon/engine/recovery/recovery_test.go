package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// world is what a loop sees and does.
type world struct {
	engine.Unobserved
	*recovery.Loop
	clock *clocktesting.FakeClock

	mu   sync.Mutex
	keys []queue.Key
	due  map[queue.Key][]queue.Action
	errs map[queue.Key]error
	woke []queue.Key
	late []queue.Action
	// What else the observer is told.
	listed []queue.Key
	taken  []string
	// looked are the queues that the loop asked about.
	looked []queue.Key
	led    map[queue.Key]bool
}

func newWorld(keys ...queue.Key) *world {
	w := &world{
		clock: clocktesting.NewFakeClock(noon), keys: keys, due: map[queue.Key][]queue.Action{}, errs: map[queue.Key]error{},
		led: map[queue.Key]bool{},
	}
	w.Loop = recovery.New(recovery.Config{
		Keys: func() []queue.Key { return w.keys },
		Due: func(_ context.Context, key queue.Key) ([]queue.Action, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.looked = append(w.looked, key)
			return w.due[key], w.errs[key]
		},
		Wake: func(key queue.Key) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.woke = append(w.woke, key)
		},
		Leads:    func(key queue.Key) bool { return w.led[key] },
		Part:     func(key queue.Key) string { return key.Namespace },
		Timing:   func() recovery.Timing { return timing },
		Clock:    w.clock,
		Observer: w,
	})
	return w
}

// Listed implements engine.Observer.
func (w *world) Listed(keys []queue.Key) { w.listed = keys }

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
	w.woke, w.looked = nil, nil
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
				w.due[app] = due
				if woke := w.round(t, time.Second); len(woke) > 0 {
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
	w.due[app] = []queue.Action{queue.Release{Slot: slot}}
	w.round(t, 0)
	if woke := w.round(t, timing.TakeoverAfter-1); len(woke) > 0 {
		t.Errorf("woke %v too early", woke)
	}
	if diff := cmp.Diff([]queue.Key{app}, w.round(t, 1)); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
}

// TestQueuesAreApart: what is wrong with one queue does not hold up the others,
// and the patience with one says nothing about another.
func TestQueuesAreApart(t *testing.T) {
	w := newWorld(web, app)
	w.errs[web] = errors.New("no such index")
	w.due[app] = []queue.Action{queue.Release{Slot: slot}}
	for range 3 {
		if woke := w.round(t, time.Second); len(woke) > 0 {
			t.Fatalf("woke %v too early", woke)
		}
	}
	delete(w.errs, web)
	w.due[web] = []queue.Action{queue.Release{Slot: slot}} // the same step, but of another queue
	if diff := cmp.Diff([]queue.Key{app}, w.round(t, time.Second)); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	if w.Acting(web) || !w.Acting(app) {
		t.Errorf("acts on web: %t, on app: %t; want only app", w.Acting(web), w.Acting(app))
	}
}

// TestQueueGoesAndComes: a queue that was not there for a while starts over.
func TestQueueGoesAndComes(t *testing.T) {
	w := newWorld(app)
	w.due[app] = []queue.Action{queue.Release{Slot: slot}}
	w.round(t, time.Second)
	w.keys = nil
	w.round(t, time.Second)
	w.keys = []queue.Key{app}
	for range 3 {
		if woke := w.round(t, time.Second); len(woke) > 0 {
			t.Fatalf("woke %v too early", woke)
		}
	}
	if woke := w.round(t, time.Second); len(woke) != 1 {
		t.Errorf("woke %v, want the queue", woke)
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
	w.due[app] = []queue.Action{queue.Release{Slot: slot}}
	w.round(t, 0)
	if w.Acting(app) {
		t.Error("acts on what has only just become due")
	}
	w.round(t, timing.TakeoverAfter) // the first alarm
	w.round(t, 2*time.Second)        // and the last
	w.due[app] = nil
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
	w.due[app] = []queue.Action{queue.Remove{Slot: slot}}
	w.round(t, time.Second)
	if w.Acting(app) {
		t.Error("acts at once on the next step, although its time is over")
	}
	w.round(t, timing.TakeoverAfter)
	if !w.Acting(app) {
		t.Error("does not take over for a second time")
	}
}

// TestRun: the loop goes round once an interval, and stops with its context.
func TestRun(t *testing.T) {
	clock := clocktesting.NewFakeClock(noon)
	rounds := make(chan time.Time)
	loop := recovery.New(recovery.Config{
		Keys:     func() []queue.Key { rounds <- clock.Now(); return nil },
		Timing:   func() recovery.Timing { return timing },
		Clock:    clock,
		Observer: engine.Unobserved{},
	})
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); loop.Run(ctx) }()
	for i := range 3 {
		waitForWaiter(t, clock)
		clock.Step(timing.Interval)
		if got, want := <-rounds, noon.Add(time.Duration(i+1)*timing.Interval); !got.Equal(want) {
			t.Errorf("round %d at %s, want %s", i, got, want)
		}
	}
	cancel()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("does not stop with its context")
	}
}

func waitForWaiter(t *testing.T, clock *clocktesting.FakeClock) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !clock.HasWaiters(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the loop does not wait")
		}
	}
}

func TestYield(t *testing.T) {
	key := queue.Key{Namespace: "ci", Repository: "shop"}
	other := queue.Key{Namespace: "ci", Repository: "other"}
	clk := clocktesting.NewFakeClock(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	l := recovery.New(recovery.Config{
		Keys:   func() []queue.Key { return []queue.Key{key, other} },
		Due:    func(context.Context, queue.Key) ([]queue.Action, error) { return []queue.Action{queue.Release{}}, nil },
		Wake:   func(queue.Key) {},
		Timing: func() recovery.Timing { return recovery.Timing{Interval: time.Second, TakeoverAfter: 3 * time.Second} },
		Clock:  clk,
		Leads:  func(queue.Key) bool { return false },
		Part:   queue.Key.String,

		Observer: engine.Unobserved{},
	})
	l.Round(t.Context())
	clk.Step(3 * time.Second)
	l.Round(t.Context())
	if !l.Acting(key) || !l.Acting(other) {
		t.Fatal("does not act on overdue queues")
	}
	l.Yield(key)
	if l.Acting(key) {
		t.Error("acts on a queue that it yielded")
	}
	if !l.Acting(other) {
		t.Error("does not act on a queue that it did not yield")
	}
	l.Round(t.Context())
	if !l.Acting(key) {
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
		w.late, w.due[app] = nil, step.due
		w.round(t, time.Second)
		if diff := cmp.Diff(step.want, w.late); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestObserver: every round tells which queues there are; taking a queue over is told once, as long
// as the replica goes on with it.
func TestObserver(t *testing.T) {
	w := newWorld(app, web)
	w.due[app] = []queue.Action{queue.Start{Run: run}}
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

// ago lets time pass in rounds of a fifth of a second, and returns after how long the loop took the
// queue over; zero if it did not.
func (w *world) takenAfter(t *testing.T, key queue.Key, within time.Duration, each func()) time.Duration {
	t.Helper()
	const step = 200 * time.Millisecond
	for passed := step; passed <= within; passed += step {
		w.round(t, step)
		if w.Acting(key) {
			return passed
		}
		each()
	}
	return 0
}

// TestBusyLeader: a leader that starts runs lives, however long the steps of a queue are due. It is
// taken over from as soon as it does nothing for as long as a step may be due, and its other queues
// with it, even if the survivors now start runs. A queue that alone makes no progress is not left
// for ever.
func TestBusyLeader(t *testing.T) {
	w := newWorld(app, web)
	w.due[app], w.due[web] = []queue.Action{queue.Release{Slot: slot}}, []queue.Action{queue.Start{Run: run}}
	if after := w.takenAfter(t, app, time.Minute, func() { w.Progressed(web, false) }); after != 0 {
		t.Errorf("taken over after %s from a leader that starts runs", after)
	}
	after := w.takenAfter(t, app, time.Minute, func() { w.Progressed(web, true) })
	if after != timing.TakeoverAfter {
		t.Errorf("taken over %s after the leader's last start, want %s", after, timing.TakeoverAfter)
	}
	if !w.Acting(web) {
		t.Error("the other queue of the same leader is not taken over")
	}
	api := queue.Key{Namespace: "shop", Repository: "api"}
	w.keys, w.due[api] = append(w.keys, api), []queue.Action{queue.Release{Slot: slot}}
	after = w.takenAfter(t, api, time.Minute, func() { w.Progressed(web, false) })
	if after == 0 || after > timing.TakeoverAfter+time.Second {
		t.Errorf("a queue of the dead leader is taken over after %s, because another survivor starts runs", after)
	}
}

// TestLateStep: whatever the leader does elsewhere, no queue is left for ever.
func TestLateStep(t *testing.T) {
	w := newWorld(app)
	w.due[app] = []queue.Action{queue.Release{Slot: slot}}
	w.round(t, 0)
	if after := w.takenAfter(t, app, 5*time.Minute, func() { w.Progressed(web, false) }); after != 60*timing.TakeoverAfter {
		t.Errorf("taken over after %s, want %s", after, 60*timing.TakeoverAfter)
	}
}

// TestPartsAreApart: the leader of one part says nothing about that of another.
func TestPartsAreApart(t *testing.T) {
	w := newWorld(app)
	w.due[app] = []queue.Action{queue.Release{Slot: slot}}
	w.round(t, 0)
	other := queue.Key{Namespace: "bank", Repository: "app"}
	if after := w.takenAfter(t, app, time.Minute, func() { w.Progressed(other, false) }); after != timing.TakeoverAfter {
		t.Errorf("taken over after %s, want %s", after, timing.TakeoverAfter)
	}
}

// TestOwnQueues: a leader takes nothing over from itself. A step that stays due wakes its queue
// once a second, and is overdue if the leader starts nothing at all.
func TestOwnQueues(t *testing.T) {
	w := newWorld(app)
	w.led[app] = true
	w.due[app] = []queue.Action{queue.Release{Slot: slot}}
	w.round(t, 0)
	woken := 0
	for range 50 { // ten seconds
		woken += len(w.round(t, 200*time.Millisecond))
		w.Progressed(app, true)
	}
	if w.Acting(app) || len(w.taken) > 0 || len(w.late) > 0 {
		t.Errorf("acting %t, taken over %v, late %v", w.Acting(app), w.taken, w.late)
	}
	if woken != 8 { // from the third second on
		t.Errorf("woken %d times in ten seconds, want 8", woken)
	}
	for range 20 {
		w.round(t, 200*time.Millisecond)
	}
	if len(w.late) != 1 || len(w.taken) > 0 {
		t.Errorf("late %v, taken over %v; want one step that is late", w.late, w.taken)
	}
}

// TestStirs: between the rounds over all queues, a queue is looked at once its changes have
// settled, and one that does not settle a second after its first change at the latest.
func TestStirs(t *testing.T) {
	w := newWorld(app, web)
	const step = 200 * time.Millisecond
	was := timing
	defer func() { timing = was }()
	timing.Interval = step
	want := func(what string, keys ...queue.Key) {
		t.Helper()
		w.round(t, step)
		slices.SortFunc(w.looked, func(a, b queue.Key) int { return strings.Compare(a.String(), b.String()) })
		if diff := cmp.Diff(keys, w.looked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want("the first round", app, web)
	want("nothing has changed")
	w.Changed(web)
	want("it has changed an interval ago", web)
	want("it has not changed since")
	want("neither")
	w.Changed(app)
	want("a second after the first round", app, web)
	want("the round before has looked at it")
	w.led[app] = true
	w.Changed(app)
	want("the replica leads it")
	for range 2 {
		w.clock.Step(step / 2)
		w.Changed(web)
		w.clock.Step(-step / 2)
		want("it keeps changing")
	}
	want("a second after the last round over all", app, web)
}
