package providertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// delivery is one webhook as it arrived.
type delivery struct {
	header http.Header
	body   []byte
}

// receiver takes the place of PAC's controller.
type receiver struct {
	url string

	mu         sync.Mutex
	deliveries []delivery
	more       chan struct{} // closed and replaced at every delivery
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{more: make(chan struct{})}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliveries = append(r.deliveries, delivery{request.Header.Clone(), body})
	close(r.more)
	r.more = make(chan struct{})
	w.WriteHeader(http.StatusAccepted)
}

// all returns the deliveries so far, and a channel that the next one closes.
func (r *receiver) all() ([]delivery, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.deliveries), r.more
}

// await waits for an event of a repository with a valid signature.
func (s *suite) await(ctx context.Context, t *testing.T, url, secret string, want Event) {
	t.Helper()
	want.Repository = url
	waiting, cancel := context.WithTimeoutCause(ctx, eventDeadline, fmt.Errorf("not within %s", eventDeadline))
	defer cancel()
	for {
		events, more := s.events(t, url, secret)
		if slices.Contains(events, want) {
			return
		}
		select {
		case <-more:
		case <-waiting.Done():
			t.Fatalf("no event %+v: %v; the events are %+v", want, context.Cause(waiting), events)
		}
	}
}

// events returns the events of a repository. Each must be signed with its secret and with no other.
func (s *suite) events(t *testing.T, url, secret string) ([]Event, <-chan struct{}) {
	t.Helper()
	deliveries, more := s.receiver.all()
	var events []Event
	for _, d := range deliveries {
		event, err := s.Event(d.header, d.body, secret)
		if event.Repository != url {
			continue
		}
		if err != nil {
			t.Fatalf("event %+v: %v", event, err)
		}
		if _, err := s.Event(d.header, d.body, secret+"x"); err == nil {
			t.Fatalf("event %+v also verifies with another secret", event)
		}
		events = append(events, event)
	}
	return events, more
}

// count returns how often an event arrived.
func (s *suite) count(t *testing.T, url, secret string, want Event) int {
	t.Helper()
	want.Repository = url
	events, _ := s.events(t, url, secret)
	return len(slices.DeleteFunc(events, func(e Event) bool { return e != want }))
}
