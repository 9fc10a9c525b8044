// Package rates bounds how often each of many addresses does something.
package rates

import (
	"net"
	"sync"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// most is how many addresses are told apart: those that came last.
const most = 4096

// ByAddress has a limiter for each address. It is safe for concurrent use.
type ByAddress struct {
	limit rate.Limit
	burst int

	mu    sync.Mutex
	known *lru.Cache // of *rate.Limiter by address
}

// New returns limiters that allow so many per second, and so many at once.
func New(limit rate.Limit, burst int) *ByAddress {
	return &ByAddress{limit: limit, burst: burst, known: lru.New(most)}
}

// Of returns the limiter of an address.
func (b *ByAddress) Of(address string) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kept, known := b.known.Get(address); known {
		return kept.(*rate.Limiter)
	}
	fresh := rate.NewLimiter(b.limit, b.burst)
	b.known.Add(address, fresh)
	return fresh
}

// Host is the host of an address with a port: behind a proxy, the proxy's.
func Host(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
