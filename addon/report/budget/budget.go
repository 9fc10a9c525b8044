// Package budget bounds how many texts a replica writes for people, events and annotations
// together, so that starts never wait behind them.
//
// Guaranteed: no more writes in any second than are allowed in one, plus those that were saved up
// in the second before. Writers take turns in the order in which they ask.
package budget

import (
	"context"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
)

// Budget is a token bucket, which holds as many tokens as one second brings. It is safe for
// concurrent use.
type Budget struct {
	limiter   *rate.Limiter
	clock     clock.Clock
	perSecond func() int
}

// New returns a full Budget. perSecond is asked at every write, so that it can change at run time.
func New(perSecond func() int, c clock.Clock) *Budget {
	most := perSecond()
	return &Budget{limiter: rate.NewLimiter(rate.Limit(most), most), clock: c, perSecond: perSecond}
}

// Wait returns when one text may be written, or with an error when the context ends.
func (b *Budget) Wait(ctx context.Context) error {
	now := b.clock.Now()
	if most := b.perSecond(); rate.Limit(most) != b.limiter.Limit() {
		b.limiter.SetLimitAt(now, rate.Limit(most))
		b.limiter.SetBurstAt(now, most)
	}
	turn := b.limiter.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		turn.CancelAt(b.clock.Now())
		return ctx.Err()
	case <-b.clock.After(wait):
		return nil
	}
}
