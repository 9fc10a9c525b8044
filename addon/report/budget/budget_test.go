package budget_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report/budget"
)

// TestBudget: whoever writes, and however many write, there are as many texts as the budget has.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var perSecond, written atomic.Int64
		perSecond.Store(20)
		b := budget.New(func() int { return int(perSecond.Load()) }, clock.RealClock{})
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go func() {
				for b.Wait(ctx) == nil {
					written.Add(1)
				}
			}()
		}
		for _, tc := range []struct {
			what  string
			of    int64
			least int64
			most  int64
		}{
			{"at first, what was saved up", 20, 210, 221},
			{"then", 20, 198, 202},
			{"with a smaller budget", 2, 18, 42}, // each writer may have a token of before
			{"with a larger one", 100, 950, 1105},
		} {
			perSecond.Store(tc.of)
			before := written.Load()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if n := written.Load() - before; n < tc.least || n > tc.most {
				t.Errorf("%s: %d texts in ten seconds, want %d to %d", tc.what, n, tc.least, tc.most)
			}
		}
		cancel()
		synctest.Wait()
		if err := b.Wait(ctx); err == nil {
			t.Error("no error after the end of the context")
		}
	})
}
