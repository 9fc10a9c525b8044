package providertest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// fault handles a request in place of the network. next sends it to the provider.
type fault func(r *http.Request, next func() (*http.Response, error)) (*http.Response, error)

// wire lies between a driver and its provider. It injects faults, and its clock skips the waits
// that they cause.
type wire struct {
	clock *clock

	mu sync.Mutex
	// choose returns the fault for a request, or nil. It may be replaced.
	choose   func(r *http.Request) fault
	requests int
}

func newWire(choose func(*http.Request) fault) *wire {
	return &wire{clock: &clock{}, choose: choose}
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.requests++
	chosen := w.choose(r)
	w.mu.Unlock()
	w.clock.skip(chosen != nil)
	next := func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }
	if chosen == nil {
		return next()
	}
	return chosen(r, next)
}

// set replaces the choice of faults and resets the count of requests.
func (w *wire) set(choose func(*http.Request) fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.choose, w.requests = choose, 0
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

func none(*http.Request) fault { return nil }

func all(*http.Request) bool { return true }

func writes(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// always chooses a fault for every request.
func always(f fault) func(*http.Request) fault {
	return func(*http.Request) fault { return f }
}

// first chooses a fault for the first n requests.
func first(n int, f fault) func(*http.Request) fault {
	seen := 0
	return func(*http.Request) fault {
		if seen++; seen <= n {
			return f
		}
		return nil
	}
}

// firstTime chooses a fault for each request of a kind the first time it is made. It returns the
// set of requests hit, which grows.
func (w *wire) firstTime(kind func(*http.Request) bool, f fault) map[string]bool {
	hit := map[string]bool{}
	w.set(func(r *http.Request) fault {
		request := r.Method + " " + r.URL.RequestURI()
		if r.GetBody != nil {
			if body, err := r.GetBody(); err == nil {
				content, _ := io.ReadAll(body)
				request += fmt.Sprintf(" (body %.4x)", sha256.Sum256(content))
			}
		}
		if kind(r) && !hit[request] {
			hit[request] = true
			return f
		}
		return nil
	})
	return hit
}

// answer replies in place of the provider, which the request does not reach.
func answer(status int, header map[string]string, body string) fault {
	return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}}
		for name, value := range header {
			h.Set(name, value)
		}
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
		}, nil
	}
}

var errLost = errors.New("connection reset by the test")

// lose lets the provider carry out a request and loses the reply.
func lose(_ *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
	reply, err := next()
	if err == nil {
		reply.Body.Close()
		err = errLost
	}
	return nil, err
}

// breakOff lets the provider carry out a request and loses half of the reply.
func breakOff(_ *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
	reply, err := next()
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	content, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, err
	}
	reply.Body = io.NopCloser(io.MultiReader(strings.NewReader(string(content[:len(content)/2])), broken{}))
	return reply, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// hang does not answer until the request's context has ended.
func hang(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// clock is a clock on which the wait after a fault takes hardly any real time. The wait after an
// answer of the provider is real, because a busy provider needs it to answer differently.
type clock struct {
	mu       sync.Mutex
	skipping bool
	skipped  time.Duration
}

var _ driver.Clock = (*clock)(nil)

// politeness bounds the real time of a wait that is skipped: a fault may have let the provider
// carry out a request, which takes it a moment.
const politeness = 10 * time.Millisecond

func (c *clock) Now() time.Time { return time.Now().Add(c.total()) }

// skip says whether the next waits are skipped.
func (c *clock) skip(faulty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipping = faulty
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	skipping, real := c.skipping, d
	c.mu.Unlock()
	if skipping {
		real = min(d, politeness)
	}
	timer := time.NewTimer(real)
	defer timer.Stop()
	select {
	case <-timer.C:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.skipped += d - real
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// total returns how much waiting was skipped.
func (c *clock) total() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skipped
}
