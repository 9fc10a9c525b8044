// Package wire stands between a client and the API server: it counts what
// passes, holds it up, and loses it or its answer.
package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Request is what a client asks of the API server.
type Request struct {
	*http.Request
	// Verb is that of RBAC, e.g. get, list, watch, create, update, patch.
	Verb string
	// Resource is e.g. leases or pipelineruns/status.
	Resource  string
	Namespace string
	// Name is empty for lists and creations.
	Name string
}

// Writes says whether the request changes something.
func (r Request) Writes() bool {
	return r.Verb != "get" && r.Verb != "list" && r.Verb != "watch"
}

// Body returns what the request carries, which stays in it.
func (r Request) Body() ([]byte, error) {
	if r.Request.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Request.Body)
	if err != nil {
		return nil, err
	}
	r.Request.Body.Close()
	r.SetBody(body)
	return body, nil
}

// SetBody replaces what the request carries.
func (r Request) SetBody(body []byte) {
	r.Request.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// Tap handles one request on its way; send passes it on, more than once if need
// be.
type Tap func(r Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error)

// Through returns a configuration whose requests pass the taps, the first one
// first.
func Through(config *rest.Config, taps ...Tap) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		for i := len(taps) - 1; i >= 0; i-- {
			next = &tapped{taps[i], next}
		}
		return next
	})
	return config
}

type tapped struct {
	tap  Tap
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *tapped) RoundTrip(r *http.Request) (*http.Response, error) {
	// A transport must leave the request that it was given as it is.
	return t.tap(parse(r.Clone(r.Context())), t.next.RoundTrip)
}

var verbs = map[string]string{
	http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// parse reads /api/v1/... and /apis/GROUP/VERSION/... paths, followed by
// [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func parse(r *http.Request) Request {
	q := Request{Request: r, Verb: verbs[r.Method]}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	prefix := 2
	if path[0] == "apis" {
		prefix = 3
	}
	path = path[min(prefix, len(path)):]
	if len(path) > 2 && path[0] == "namespaces" {
		q.Namespace, path = path[1], path[2:]
	}
	if len(path) > 0 {
		q.Resource = path[0]
	}
	if len(path) > 1 {
		q.Name = path[1]
	}
	if len(path) > 2 {
		q.Resource += "/" + path[2]
	}
	switch {
	case q.Verb == "delete" && q.Name == "":
		q.Verb = "deletecollection"
	case q.Verb != "":
	case r.URL.Query().Get("watch") != "":
		q.Verb = "watch"
	case q.Name == "":
		q.Verb = "list"
	default:
		q.Verb = "get"
	}
	return q
}

// Counter counts requests by verb and resource, and refusals.
type Counter struct {
	mu       sync.Mutex
	requests map[string]int
	answers  map[int]int
}

// Tap counts a request before it is sent, so that nobody sees its effect earlier.
func (c *Counter) Tap(r Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	c.mu.Lock()
	if c.requests == nil {
		c.requests, c.answers = map[string]int{}, map[int]int{}
	}
	c.requests[r.Verb+" "+r.Resource]++
	c.mu.Unlock()
	res, err := send(r.Request)
	if err == nil {
		c.mu.Lock()
		c.answers[res.StatusCode]++
		c.mu.Unlock()
	}
	return res, err
}

// Requests returns how many requests there were by what they asked, e.g. "update
// leases".
func (c *Counter) Requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]int, len(c.requests))
	for what, n := range c.requests {
		counts[what] = n
	}
	return counts
}

// Answered returns how many requests were answered with a status code.
func (c *Counter) Answered(code int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers[code]
}

// When restricts a tap to some requests.
func When(some func(Request) bool, tap Tap) Tap {
	return func(r Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		if some(r) {
			return tap(r, send)
		}
		return send(r.Request)
	}
}

// Sometimes picks each of the requests that the condition holds for with the
// given probability.
func Sometimes(seed uint64, probability float64, some func(Request) bool) func(Request) bool {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(r Request) bool {
		if !some(r) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		return random.Float64() < probability
	}
}

// Errors of what gets lost.
var (
	ErrReplyLost   = errors.New("wire: the request went through, its reply was lost")
	ErrRequestLost = errors.New("wire: the request was lost")
)

// LoseReply has the request carried out and loses the answer.
func LoseReply(r Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	res, err := send(r.Request)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, res.Body) // carried out and answered in full
	res.Body.Close()
	return nil, ErrReplyLost
}

// LoseRequest loses the request before it reaches anybody.
func LoseRequest(Request, func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	return nil, ErrRequestLost
}

// Delay holds requests up, each for a random time of at most that long.
func Delay(longest time.Duration) Tap {
	return func(r Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		select {
		case <-time.After(rand.N(longest)):
			return send(r.Request)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// Gate holds requests up until it is opened.
type Gate struct {
	reached, open   chan struct{}
	reachOnce, once sync.Once
}

// NewGate returns a closed gate.
func NewGate() *Gate { return &Gate{reached: make(chan struct{}), open: make(chan struct{})} }

// Tap waits for the gate to open.
func (g *Gate) Tap(r Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	g.reachOnce.Do(func() { close(g.reached) })
	select {
	case <-g.open:
		return send(r.Request)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// Reached is closed when the first request stands before the gate.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Open lets everything through from now on. It may be called again.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }
