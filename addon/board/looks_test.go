package board

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestLooks: many pages that show something of a queue look at it once, until it changes or a
// moment has passed.
func TestLooks(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Unix(0, 0))
	l := newLooks(clk)
	var seen atomic.Int32
	see := func() (inspect.Queue, bool) {
		return inspect.Queue{Of: int(seen.Add(1))}, true
	}
	expect := func(when string, want int) {
		t.Helper()
		for range 100 {
			if q, _ := l.at(shop, see); q.Of != want {
				t.Fatalf("%s, look %d counts, want %d", when, q.Of, want)
			}
		}
	}
	expect("at first", 1)
	l.changed(other)
	expect("after another queue has changed", 1)
	l.changed(shop)
	expect("after a change", 2)
	l.allChanged()
	expect("after a change of all", 3)
	clk.Step(fresh)
	expect("after a moment", 4)
	for i := range 1000 {
		l.at(queue.Key{Namespace: "ci", Repository: fmt.Sprint(i)}, see)
	}
	clk.Step(fresh)
	if l.at(shop, see); len(l.kept) != 1 {
		t.Errorf("%d looks are kept that are good for nothing", len(l.kept))
	}
}

// TestChangeDuringALook: what begins before a change is not shown after it.
func TestChangeDuringALook(t *testing.T) {
	l := newLooks(clocktesting.NewFakeClock(time.Unix(0, 0)))
	l.at(shop, func() (inspect.Queue, bool) {
		l.changed(shop)
		return inspect.Queue{Of: 1}, true
	})
	if q, _ := l.at(shop, func() (inspect.Queue, bool) { return inspect.Queue{Of: 2}, true }); q.Of != 2 {
		t.Error("an old look is shown after a change")
	}
}
