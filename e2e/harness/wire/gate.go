package wire

import (
	"net/http"
	"sync"
)

// Gate holds requests up until it is opened.
type Gate struct {
	reached, open         chan struct{}
	reachedOnce, openOnce sync.Once
}

// NewGate returns a closed gate.
func NewGate() *Gate { return &Gate{reached: make(chan struct{}), open: make(chan struct{})} }

// Tap waits for the gate to open, then sends the request.
func (g *Gate) Tap(r Request, send Send) (*http.Response, error) {
	g.reachedOnce.Do(func() { close(g.reached) })
	select {
	case <-g.open:
		return send(r.Request)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// Reached returns a channel that is closed when the first request waits at the gate.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Open lets every request through from now on. Further calls do nothing.
func (g *Gate) Open() { g.openOnce.Do(func() { close(g.open) }) }
