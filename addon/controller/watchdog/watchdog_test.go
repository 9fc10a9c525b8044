package watchdog

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

const limit = 2 * time.Minute

// reply is a transport with a fixed outcome.
type reply struct{ err error }

func (r reply) RoundTrip(*http.Request) (*http.Response, error) { return nil, r.err }

func TestTaskWithoutSignOfLifeIsStuck(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	w := New(clock, limit)
	_, ended := w.Begin(t.Context(), "another task")
	ended()
	_, end := w.Begin(t.Context(), "queue shop/app")
	clock.SetTime(clock.Now().Add(limit))
	if err := w.Check(); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	clock.SetTime(clock.Now().Add(time.Second))
	if err := w.Check(); err == nil || !strings.Contains(err.Error(), "queue shop/app has shown no sign of life for 2m1s") {
		t.Errorf("got %v, want the queue to be stuck", err)
	}
	end()
	if err := w.Check(); err != nil {
		t.Errorf("after the task has ended: %v", err)
	}
}

func TestResponsesAreSignsOfLife(t *testing.T) {
	for name, outcome := range map[string]error{"answered": nil, "failed": errors.New("connection refused")} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(time.Now())
			w := New(clock, limit)
			ctx, end := w.Begin(t.Context(), "a long queue")
			defer end()
			for range 10 {
				clock.SetTime(clock.Now().Add(limit))
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1", nil)
				if err != nil {
					t.Fatal(err)
				}
				if response, err := w.Through(reply{outcome}).RoundTrip(r); err == nil && response != nil {
					response.Body.Close()
				}
				if err := w.Check(); err != nil {
					t.Fatal(err)
				}
			}
			// Responses to other callers do not count.
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1", nil)
			if err != nil {
				t.Fatal(err)
			}
			clock.SetTime(clock.Now().Add(limit + time.Second))
			if response, err := w.Through(reply{}).RoundTrip(r); err == nil && response != nil {
				response.Body.Close()
			}
			if err := w.Check(); err == nil {
				t.Error("not stuck, though only other callers received a response")
			}
		})
	}
}
