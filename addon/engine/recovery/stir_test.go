package recovery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestQuietQueues: a queue is looked at once when it is found, and not again while nothing changes.
func TestQuietQueues(t *testing.T) {
	var keys []queue.Key
	for i := range 100 {
		keys = append(keys, queue.Key{Namespace: "shop", Repository: fmt.Sprintf("app-%d", i)})
	}
	w := newShipped(keys...)
	w.rounds(t, 2*time.Second, nothing)
	if diff := cmp.Diff(queue.KeySet(keys), queue.KeySet(w.looks)); diff != "" || len(w.looks) != len(keys) {
		t.Fatalf("%d looks, looked at (-want +got):\n%s", len(w.looks), diff)
	}
	w.looks = nil
	w.rounds(t, time.Minute, nothing)
	if len(w.looks) > 0 {
		t.Errorf("in a minute without changes, it looks %d times", len(w.looks))
	}
	w.Changed(keys[7])
	w.rounds(t, time.Minute, nothing)
	if diff := cmp.Diff([]queue.Key{keys[7]}, w.looks); diff != "" {
		t.Errorf("looked at (-want +got):\n%s", diff)
	}
}

// TestRestlessQueue: a queue that changes all the time is looked at once a second, one that changes
// a few times once it has settled.
func TestRestlessQueue(t *testing.T) {
	w := newShipped(app)
	w.rounds(t, 2*time.Second, nothing)
	w.looks = nil
	w.rounds(t, time.Minute, func() { w.Changed(app) })
	if n := len(w.looks); n < 48 || n > 60 {
		t.Errorf("in a minute of changes it is looked at %d times", n)
	}
	w.rounds(t, time.Second, nothing)
	w.looks = nil
	n := 0
	w.rounds(t, 5*time.Second, func() {
		if n++; n <= 4 {
			w.Changed(app)
		}
	})
	if len(w.looks) != 1 {
		t.Errorf("after a few changes it is looked at %d times, want once", len(w.looks))
	}
}

// TestRestlessDeath: a queue that changes all the time, but for what is due, is taken over in time.
func TestRestlessDeath(t *testing.T) {
	w := newShipped(app)
	w.set(app, due)
	w.rounds(t, shipped.TakeoverAfter-shipped.Interval, nothing)
	w.rounds(t, 2*shipped.Interval, func() { w.Changed(app) })
	if !w.Acting(app) {
		t.Error("does not act")
	}
}

// TestDeadline: what time alone makes due is looked at then, and is due since then.
func TestDeadline(t *testing.T) {
	w := newShipped(app)
	w.until = noon.Add(5 * time.Second)
	w.rounds(t, 4800*time.Millisecond, nothing)
	if len(w.looks) != 1 {
		t.Fatalf("%d looks before anything is due, want one", len(w.looks))
	}
	w.until, w.due[app] = time.Time{}, []queue.Action{due}
	w.actsAfter(t, app, shipped.TakeoverAfter)
}

// TestPoll: a queue that has to be looked at again and again is looked at once a second.
func TestPoll(t *testing.T) {
	w := newShipped(app)
	w.until = noon
	w.rounds(t, time.Minute, nothing)
	if n := len(w.looks); n < 58 || n > 61 {
		t.Errorf("%d looks in a minute", n)
	}
}

// TestMeanwhile: what changes while a queue is looked at is looked at, too.
func TestMeanwhile(t *testing.T) {
	w := newShipped(app)
	w.rounds(t, 2*time.Second, nothing)
	w.Changed(app)
	look := w.Due
	w.Due = func(ctx context.Context, key queue.Key) ([]queue.Action, time.Time, error) {
		actions, until, err := look(ctx, key)
		w.Due = look
		w.set(app, due)
		return actions, until, err
	}
	w.rounds(t, 3*time.Second, nothing)
	if !w.Acting(app) {
		t.Error("a change is missed")
	}
}

// TestLongPatience: a takeover is as punctual with a long takeoverAfter as with a short one.
func TestLongPatience(t *testing.T) {
	w := newShipped(app)
	w.timing.TakeoverAfter = 5 * time.Minute
	w.set(app, due)
	w.actsAfter(t, app, w.timing.TakeoverAfter-shipped.Interval)
}

// TestRest: nothing is due while nobody acts, and after that everything is due anew.
func TestRest(t *testing.T) {
	w := newShipped(app, web)
	w.set(app, due)
	w.rounds(t, shipped.TakeoverAfter-shipped.Interval, nothing)
	w.rests = 2 * time.Second
	n := 0
	w.rounds(t, 2*time.Second, func() {
		w.rests -= shipped.Interval
		if n++; n == 9 {
			w.set(web, due) // in the middle of it
		}
	})
	w.rounds(t, shipped.TakeoverAfter-shipped.Interval, nothing)
	if w.Acting(app) || w.Acting(web) {
		t.Errorf("acts on app: %t, on web: %t; nobody could act before", w.Acting(app), w.Acting(web))
	}
	w.rounds(t, 2*shipped.Interval, nothing)
	if !w.Acting(app) || !w.Acting(web) {
		t.Errorf("acts on app: %t, on web: %t; want both", w.Acting(app), w.Acting(web))
	}
}

// TestInvisible: nothing is due in a queue whose slots this replica cannot see.
func TestInvisible(t *testing.T) {
	w := newShipped(app)
	w.blind = true
	w.set(app, due)
	w.rounds(t, time.Minute, nothing)
	if w.Acting(app) || len(w.looks) > 0 {
		t.Errorf("acts: %t, looked at: %v", w.Acting(app), w.looks)
	}
	// Nor does what was due before count once it cannot see them any more.
	w.blind = false
	w.set(app, due)
	w.rounds(t, shipped.TakeoverAfter-shipped.Interval, nothing)
	w.blind = true
	w.rounds(t, time.Minute, nothing)
	if w.Acting(app) {
		t.Error("acts on what it could see before")
	}
}

// TestOwnQueue: a leader takes nothing over from itself. A step that stays due wakes its queue once
// a second, and is told of if it stays due for long.
func TestOwnQueue(t *testing.T) {
	w := newShipped(app)
	w.leads[app] = true
	w.set(app, due)
	w.rounds(t, 5*time.Second, nothing)
	if n := len(w.woke); n < 4 || n > 5 {
		t.Errorf("woken %d times in five seconds", n)
	}
	if w.Acting(app) || len(w.taken) > 0 || len(w.late) > 0 {
		t.Errorf("acts: %t, taken over: %v, told of: %v", w.Acting(app), w.taken, w.late)
	}
	w.rounds(t, 6*time.Second, nothing)
	if len(w.late) != 1 {
		t.Errorf("told %d times of a step that nobody takes, want once", len(w.late))
	}
	// What has changed has woken the queue.
	w.set(app, due)
	w.woke, w.looks = nil, nil
	w.clock.Step(shipped.TakeoverAfter / 4)
	w.Round(t.Context())
	if len(w.woke) > 0 || len(w.looks) > 0 {
		t.Errorf("a queue that was just woken is woken again, and looked at %d times", len(w.looks))
	}
}

// TestWokenOnceASecond: a queue that was taken over is woken once a second as well.
func TestWokenOnceASecond(t *testing.T) {
	w := newShipped(app)
	w.set(app, due)
	w.rounds(t, shipped.TakeoverAfter, nothing)
	w.woke = nil
	w.rounds(t, 10*time.Second, nothing)
	if n := len(w.woke); n < 9 || n > 11 {
		t.Errorf("woken %d times in ten seconds", n)
	}
}

// BenchmarkQuiet is a round over 1,000 queues in which nothing happens.
func BenchmarkQuiet(b *testing.B) {
	var keys []queue.Key
	for i := range 1000 {
		keys = append(keys, queue.Key{Namespace: "shop", Repository: fmt.Sprintf("app-%d", i)})
	}
	w := newWorld(keys...)
	w.timing = recovery.Timing{Interval: 200 * time.Millisecond, TakeoverAfter: time.Second}
	for b.Loop() {
		w.clock.Step(w.timing.Interval)
		w.Round(b.Context())
	}
}
