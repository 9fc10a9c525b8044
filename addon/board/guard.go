package board

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/rates"
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
		case !doors.admit(rates.Host(r.RemoteAddr), b.Clock.Now()):
			failureOf(errTooFast).answer(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// doors admit requests. They are safe for concurrent use.
type doors struct {
	all  *rate.Limiter
	each *rates.ByAddress
}

func newDoors(l Limits) *doors {
	return &doors{
		all:  rate.NewLimiter(rate.Limit(addresses*l.PerSecond), addresses*savedUp*l.PerSecond),
		each: rates.New(rate.Limit(l.PerSecond), savedUp*l.PerSecond),
	}
}

func (d *doors) admit(address string, now time.Time) bool {
	// What one address sends in vain takes nothing from the others.
	return d.each.Of(address).AllowN(now, 1) && d.all.AllowN(now, 1)
}
