package wire

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Send passes a request on towards the API server and returns the reply.
type Send = func(*http.Request) (*http.Response, error)

// Tap handles one request on its way. It may call send more than once, or not at all.
type Tap func(r Request, send Send) (*http.Response, error)

// Through returns a configuration whose requests pass the taps in the given order.
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
	// A transport must not change the request that it is given.
	return t.tap(parse(r.Clone(r.Context())), t.next.RoundTrip)
}

// When applies a tap to the requests that a condition holds for; the others pass untouched.
func When(condition func(Request) bool, tap Tap) Tap {
	return func(r Request, send Send) (*http.Response, error) {
		if condition(r) {
			return tap(r, send)
		}
		return send(r.Request)
	}
}

// Sometimes returns a condition for When: it picks each request that the given condition holds for
// with a probability.
func Sometimes(seed uint64, probability float64, condition func(Request) bool) func(Request) bool {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(r Request) bool {
		if !condition(r) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		return random.Float64() < probability
	}
}

// What a client sees of a loss.
var (
	ErrReplyLost   = errors.New("wire: the request was carried out, its reply was lost")
	ErrRequestLost = errors.New("wire: the request was lost")
)

// LoseReply has the request carried out and loses the reply.
func LoseReply(r Request, send Send) (*http.Response, error) {
	res, err := send(r.Request)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, res.Body) // only then is the request carried out for certain
	res.Body.Close()
	return nil, ErrReplyLost
}

// LoseRequest loses the request before it reaches the API server.
func LoseRequest(Request, Send) (*http.Response, error) {
	return nil, ErrRequestLost
}

// Delay holds each request up for a random time below the limit.
func Delay(limit time.Duration) Tap {
	return func(r Request, send Send) (*http.Response, error) {
		select {
		case <-time.After(rand.N(limit)):
			return send(r.Request)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}
