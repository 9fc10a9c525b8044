package pace_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
)

// inTime runs a test by the time of a bubble, in which waiting takes none.
func inTime(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// taker takes tokens for as long as the context lasts.
func taker(ctx context.Context, p *pace.Pace) *atomic.Int64 {
	n := new(atomic.Int64)
	go func() {
		for p.Take(ctx) == nil {
			n.Add(1)
		}
	}()
	return n
}

// Whoever asks, all of them together get no more than the rate and what was saved up, and each the
// same.
func TestRateIsShared(t *testing.T) {
	inTime(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := pace.New(clock.RealClock{}, 20)
		time.Sleep(time.Hour) // nothing is saved up beyond a second's worth
		a, b := taker(ctx, p), taker(ctx, p)
		for second := range 60 {
			synctest.Wait()
			if got, want := int(a.Load()+b.Load()), 20+20*second; got != want {
				t.Fatalf("%d tokens after %d seconds, want %d", got, second, want)
			}
			time.Sleep(time.Second)
		}
		stop()
		synctest.Wait()
		if d := a.Load() - b.Load(); d < -21 || d > 21 {
			t.Errorf("shares of %d and %d: want them equal, but for the first second's", a.Load(), b.Load())
		}
	})
}

// The rate changes at once.
func TestRateChanges(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := pace.New(clock.RealClock{}, 1000)
		n := taker(t.Context(), p)
		synctest.Wait()
		for _, rate := range []int{5, 100, 1} {
			p.Set(rate)
			time.Sleep(2 * time.Second) // who waits already waits by the old rate
			synctest.Wait()
			before := n.Load()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if got := int(n.Load() - before); got < 10*rate-1 || got > 10*rate+1 {
				t.Errorf("at %d per second, %d tokens in 10 seconds", rate, got)
			}
		}
	})
}

// Who gives up waiting takes no token from the others.
func TestGivingUp(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := pace.New(clock.RealClock{}, 1)
		if err := p.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
			if err := p.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("a token before its time: %v", err)
			}
			stop()
		}
		before := time.Now()
		if err := p.Take(t.Context()); err != nil || time.Since(before) > time.Second {
			t.Errorf("a token after %s, error %v", time.Since(before), err)
		}
	})
}
