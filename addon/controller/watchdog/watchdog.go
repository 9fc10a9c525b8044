// Package watchdog tells a stuck replica from a busy one.
//
// A task is stuck when, for longer than a limit, it has neither ended nor received a response to a
// request, successful or not. A replica that works through a thousand slots is therefore alive
// however long that takes, and so is one that cannot reach the API server: its requests fail, and a
// restart would not help. What remains is a task that waits for something that will never come, and
// only a restart ends that.
//
// Not covered: a response whose body never ends, and a process too slow to answer the probe at all,
// which the probe itself detects.
package watchdog

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Watchdog watches over tasks. It is safe for concurrent use.
type Watchdog struct {
	clock clock.PassiveClock
	limit time.Duration

	mu    sync.Mutex
	tasks map[*task]struct{}
}

type task struct {
	name     string
	lastSign time.Time
}

// New returns a Watchdog that reports a task as stuck once it has shown no sign of life for longer
// than limit. The limit should exceed the time in which the HTTP client gives up on a dead
// connection: 45 seconds with HTTP/2 as client-go configures it.
func New(c clock.PassiveClock, limit time.Duration) *Watchdog {
	return &Watchdog{clock: c, limit: limit, tasks: map[*task]struct{}{}}
}

type taskKey struct{}

// Begin watches over a task until end is called. Responses to requests made with the returned
// context are its signs of life.
func (w *Watchdog) Begin(ctx context.Context, name string) (_ context.Context, end func()) {
	begun := &task{name: name, lastSign: w.clock.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks[begun] = struct{}{}
	return context.WithValue(ctx, taskKey{}, begun), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.tasks, begun)
	}
}

// Through returns a transport that counts responses as signs of life.
func (w *Watchdog) Through(next http.RoundTripper) http.RoundTripper {
	return transport{w, next}
}

type transport struct {
	*Watchdog
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if begun, ok := r.Context().Value(taskKey{}).(*task); ok {
		t.mu.Lock()
		begun.lastSign = t.clock.Now()
		t.mu.Unlock()
	}
	return response, err
}

// Check returns an error that names a stuck task, if there is one.
func (w *Watchdog) Check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.tasks {
		if silent := w.clock.Since(t.lastSign); silent > w.limit {
			return fmt.Errorf("stuck: %s has shown no sign of life for %s", t.name, silent.Round(time.Second))
		}
	}
	return nil
}
