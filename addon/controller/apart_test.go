package controller

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestApart: the first of many queues is woken at once, each of the others later than the one
// before it, and the last after ten seconds at most.
func TestApart(t *testing.T) {
	for _, n := range []int{0, 1, 300, 10_000, 50_000} {
		var delays []time.Duration
		apart(make([]queue.Key, n), func(_ queue.Key, delay time.Duration) { delays = append(delays, delay) })
		if len(delays) != n {
			t.Fatalf("%d of %d queues are woken", len(delays), n)
		}
		for i, delay := range delays {
			if i == 0 && delay != 0 || i > 0 && (delay <= delays[i-1] || delay-delays[i-1] > time.Millisecond) || delay > 10*time.Second {
				t.Fatalf("of %d queues, number %d is woken after %s", n, i, delay)
			}
		}
	}
}

// TestAhead: a queue with news of its own does not wait for the others.
func TestAhead(t *testing.T) {
	app, web, api := queue.Key{Repository: "app"}, queue.Key{Repository: "web"}, queue.Key{Repository: "api"}
	if keys := ahead([]queue.Key{app, web, api}, api); keys[0] != api || len(keys) != 3 {
		t.Errorf("%v", keys)
	}
	if keys := ahead([]queue.Key{app, web}, api); keys[0] != app || len(keys) != 2 {
		t.Errorf("%v", keys)
	}
}
