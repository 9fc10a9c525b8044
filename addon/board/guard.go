package board

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// Limits bound what readers may do. Zero values have defaults.
type Limits struct {
	// Streams is how many pages may be open at a time; 2000. One address may have nine tenths of
	// them.
	Streams int
	// Stream is how long a stream lasts at most, after which the reader's rights are looked at
	// again; 5 minutes.
	Stream time.Duration
	// PerSecond is how many requests one address may send per second; 50. It may save up four
	// seconds' worth. All together may send four times as many.
	PerSecond int
}

func (l Limits) withDefaults() Limits {
	l.Streams, l.PerSecond = cmp.Or(l.Streams, 2000), cmp.Or(l.PerSecond, 50)
	l.Stream = cmp.Or(l.Stream, 5*time.Minute)
	return l
}

const (
	// savedUp is how many seconds' worth of requests can be saved up, and addresses how many times
	// as many requests as one address all together may send.
	savedUp, addresses = 4, 4
	// mostAddresses is how many addresses are told apart.
	mostAddresses = 4096
)

// policy is what a page may load, and where it may be shown: nothing but the board's own.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// headers are those of every answer.
var headers = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
}

// guarded has the handler serve what readers may ask for, no faster than they may.
func (b *Board) guarded(next http.Handler) http.Handler {
	doors := newDoors(b.Limits)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		switch {
		case len(b.Hosts) > 0 && !slices.Contains(b.Hosts, r.Host): // a page of another site that has a name point here
			http.Error(w, "the board is not to be had by this name", http.StatusMisdirectedRequest)
		case !doors.admit(hostOf(r.RemoteAddr), b.Clock.Now()):
			failureOf(errTooFast).answer(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOf is the host of an address: behind a proxy, the proxy's.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// doors admit requests. They are safe for concurrent use.
type doors struct {
	limits Limits
	all    *rate.Limiter
	each   *lru.Cache // of *rate.Limiter by address

	mu sync.Mutex
}

func newDoors(l Limits) *doors {
	return &doors{
		limits: l, all: rate.NewLimiter(rate.Limit(addresses*l.PerSecond), addresses*savedUp*l.PerSecond), each: lru.New(mostAddresses),
	}
}

func (d *doors) admit(address string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, known := d.each.Get(address)
	if !known {
		kept = rate.NewLimiter(rate.Limit(d.limits.PerSecond), savedUp*d.limits.PerSecond)
		d.each.Add(address, kept)
	}
	// What one address sends in vain takes nothing from the others.
	return kept.(*rate.Limiter).AllowN(now, 1) && d.all.AllowN(now, 1)
}
