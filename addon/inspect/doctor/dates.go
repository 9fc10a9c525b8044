package doctor

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Dates reads the API server's clock off its answers. The zero value is ready for
// use, and safe for concurrent use.
type Dates struct {
	mu    sync.Mutex
	ahead time.Duration // the API server of the local clock
	known bool
}

// Through is a transport that notes the time of each answer. It is exact to about a second: an
// answer tells whole seconds and takes time to arrive.
func (d *Dates) Through(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		res, err := next.RoundTrip(r)
		if err != nil {
			return res, err
		}
		now := time.Now()
		if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
			d.mu.Lock()
			d.ahead, d.known = date.Sub(now.Truncate(time.Second)), true
			d.mu.Unlock()
		}
		return res, nil
	})
}

// Ahead is by how much the API server's clock is ahead of the local one; false before the first
// answer.
func (d *Dates) Ahead() (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ahead, d.known
}

// Now is the time by the API server's clock. Where that is not known to differ, it is
// the local one, which is finer.
func (d *Dates) Now(c clock.PassiveClock) time.Time {
	if ahead, _ := d.Ahead(); ahead.Abs() > clocksDiffer {
		return c.Now().Add(ahead)
	}
	return c.Now()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
