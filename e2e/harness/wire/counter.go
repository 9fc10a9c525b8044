package wire

import (
	"maps"
	"net/http"
	"sync"
)

// Counter counts requests by verb and resource, and replies by status code.
type Counter struct {
	mu       sync.Mutex
	requests map[string]int
	replies  map[int]int
}

// Tap counts a request before it is sent: by the time its effect is visible, it has been counted.
func (c *Counter) Tap(r Request, send Send) (*http.Response, error) {
	c.mu.Lock()
	if c.requests == nil {
		c.requests, c.replies = map[string]int{}, map[int]int{}
	}
	c.requests[r.Verb+" "+r.Resource]++
	c.mu.Unlock()
	res, err := send(r.Request)
	if err == nil {
		c.mu.Lock()
		c.replies[res.StatusCode]++
		c.mu.Unlock()
	}
	return res, err
}

// Requests returns the number of requests by verb and resource, e.g. "update leases".
func (c *Counter) Requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]int, len(c.requests))
	maps.Copy(counts, c.requests)
	return counts
}

// Answered returns the number of replies with a status code.
func (c *Counter) Answered(code int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replies[code]
}
