package liveness

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

const patience = 2 * time.Minute

type answer struct{ err error }

func (a answer) RoundTrip(*http.Request) (*http.Response, error) { return nil, a.err }

func TestWorkWithoutSignOfLifeIsStuck(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	w := New(clock, patience)
	_, ended := w.Begin(t.Context(), "other work")
	ended()
	_, end := w.Begin(t.Context(), "queue shop/app")
	clock.SetTime(clock.Now().Add(patience))
	if err := w.Check(); err != nil {
		t.Errorf("within the patience: %v", err)
	}
	clock.SetTime(clock.Now().Add(time.Second))
	if err := w.Check(); err == nil || !strings.Contains(err.Error(), "queue shop/app has shown no sign of life for 2m1s") {
		t.Errorf("got %v, want that the queue is stuck", err)
	}
	end()
	if err := w.Check(); err != nil {
		t.Errorf("after the work has ended: %v", err)
	}
}

func TestAnswersAreSignsOfLife(t *testing.T) {
	for name, answered := range map[string]error{"answered": nil, "failed": errors.New("connection refused")} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(time.Now())
			w := New(clock, patience)
			ctx, end := w.Begin(t.Context(), "a long queue")
			defer end()
			for range 10 {
				clock.SetTime(clock.Now().Add(patience))
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1", nil)
				if err != nil {
					t.Fatal(err)
				}
				if answer, err := w.Through(answer{answered}).RoundTrip(r); err == nil && answer != nil {
					answer.Body.Close()
				}
				if err := w.Check(); err != nil {
					t.Fatal(err)
				}
			}
			// Somebody else's answers do not count.
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1", nil)
			if err != nil {
				t.Fatal(err)
			}
			clock.SetTime(clock.Now().Add(patience + time.Second))
			if answer, err := w.Through(answer{}).RoundTrip(r); err == nil && answer != nil {
				answer.Body.Close()
			}
			if err := w.Check(); err == nil {
				t.Error("not stuck, though only others were answered")
			}
		})
	}
}
