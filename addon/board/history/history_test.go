package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/history"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

var (
	now  = time.Date(2026, 11, 30, 12, 4, 0, 0, time.UTC)
	shop = queue.Key{Namespace: "ci", Repository: "shop"}
)

func TestPoints(t *testing.T) {
	h := history.New()
	if got := h.Of(shop, now); got != nil {
		t.Errorf("there are points of nothing: %v", got)
	}
	for _, seconds := range []int{50, 10, 20} {
		h.Began(shop, now.Add(-time.Minute), time.Duration(seconds)*time.Second)
	}
	h.Ended(shop, now)
	h.Began(shop, now.Add(-time.Hour), time.Second)
	h.Began(queue.Key{Namespace: "ci", Repository: "other"}, now, time.Hour)
	points := h.Of(shop, now)
	if len(points) != history.Points {
		t.Fatalf("there are %d points, want %d", len(points), history.Points)
	}
	want := history.Point{Start: now.Truncate(history.Width), Began: 3, Ended: 1, Wait: 20 * time.Second}
	if diff := cmp.Diff(want, points[history.Points-1]); diff != "" {
		t.Error(diff)
	}
	if got := points[history.Points-7]; got.Began != 1 || got.Wait != time.Second {
		t.Errorf("an hour ago there was %+v", got)
	}
	if later := h.Of(shop, now.Add(7*time.Hour)); later != nil {
		t.Errorf("after seven hours there are points: %v", later)
	}
}

// TestOldNewsFitsIn: what is told late has its place, unless that is over.
func TestOldNewsFitsIn(t *testing.T) {
	h := history.New()
	for i := range history.Points {
		h.Ended(shop, now.Add(time.Duration(-i)*history.Width))
	}
	h.Ended(shop, now.Add(-history.Points*history.Width))
	points := h.Of(shop, now)
	for i, p := range points {
		if p.Ended != 1 {
			t.Errorf("point %d has %d ends, want 1", i, p.Ended)
		}
	}
}

// TestBound: of too many queues those stay in which something has happened last, and of too many
// runs the median of some.
func TestBound(t *testing.T) {
	h := history.New()
	for i := range 3000 {
		h.Began(queue.Key{Namespace: "ci", Repository: fmt.Sprint(i)}, now, time.Minute)
	}
	if h.Of(queue.Key{Namespace: "ci", Repository: "0"}, now) != nil || h.Of(queue.Key{Namespace: "ci", Repository: "2999"}, now) == nil {
		t.Error("the wrong queues are kept")
	}
	for range 10_000 {
		h.Began(shop, now, time.Minute)
	}
	if got := h.Of(shop, now)[history.Points-1]; got.Began != 10_000 || got.Wait != time.Minute {
		t.Errorf("after 10,000 runs: %+v", got)
	}
}
