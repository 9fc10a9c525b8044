// Package liveness tells a stuck replica from a busy one.
//
// A piece of work is stuck when it has neither ended nor had a request answered,
// with whatever answer, for longer than the patience. So a replica that works
// through a thousand slots is alive however long that takes, and so is one that
// cannot reach the API server: its requests fail, and a restart would not help.
// What remains is work that waits for something which will not come, and that only
// a restart ends.
//
// Not covered: a request that is answered and whose answer then never ends, and a
// process that is too slow to answer the probe at all, which the probe itself finds.
package liveness

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Watchdog watches over pieces of work. It is safe for concurrent use.
type Watchdog struct {
	clock    clock.PassiveClock
	patience time.Duration

	mu   sync.Mutex
	work map[*work]struct{}
}

type work struct {
	what     string
	lastSign time.Time
}

// New returns a Watchdog that calls work stuck which shows no sign of life for
// longer than patience. That should exceed the time in which the HTTP client gives
// a dead connection up, 45 seconds with HTTP/2 as client-go sets it up.
func New(c clock.PassiveClock, patience time.Duration) *Watchdog {
	return &Watchdog{clock: c, patience: patience, work: map[*work]struct{}{}}
}

type key struct{}

// Begin watches over a piece of work until end is called. Requests made with the
// context are its signs of life.
func (w *Watchdog) Begin(ctx context.Context, what string) (_ context.Context, end func()) {
	begun := &work{what: what, lastSign: w.clock.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.work[begun] = struct{}{}
	return context.WithValue(ctx, key{}, begun), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.work, begun)
	}
}

// Through returns a transport that takes answers for signs of life.
func (w *Watchdog) Through(next http.RoundTripper) http.RoundTripper {
	return transport{w, next}
}

type transport struct {
	*Watchdog
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if on, ok := r.Context().Value(key{}).(*work); ok {
		t.mu.Lock()
		on.lastSign = t.clock.Now()
		t.mu.Unlock()
	}
	return answer, err
}

// Check returns an error that names a piece of work that is stuck, if one is.
func (w *Watchdog) Check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for work := range w.work {
		if silent := w.clock.Since(work.lastSign); silent > w.patience {
			return fmt.Errorf("stuck: %s has shown no sign of life for %s", work.what, silent.Round(time.Second))
		}
	}
	return nil
}
