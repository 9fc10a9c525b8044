// Package pace holds back what a replica writes for people only, so that it never crowds out what
// makes runs start: all of it together draws from one bucket of tokens.
//
// Guaranteed: no more tokens are given in a while than the rate allows in it, plus one second's
// worth that may have been saved up; whoever asks first is served first. With one token asked for
// at a time by each, those who keep asking therefore get equal shares, and none starves.
package pace

import (
	"context"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
)

// Pace is a bucket of tokens, one for each request. It is safe for concurrent use.
type Pace struct {
	clock   clock.Clock
	limiter *rate.Limiter
}

// New returns a full bucket into which so many tokens flow per second; at least one.
func New(c clock.Clock, perSecond int) *Pace {
	return &Pace{clock: c, limiter: rate.NewLimiter(rate.Limit(perSecond), perSecond)}
}

// Set changes how many tokens flow per second, and how many can be saved up. Whoever waits already
// waits by the old rate.
func (p *Pace) Set(perSecond int) {
	now := p.clock.Now()
	p.limiter.SetLimitAt(now, rate.Limit(perSecond))
	p.limiter.SetBurstAt(now, perSecond)
}

// Take waits for a token. It returns an error if the context ends before that.
func (p *Pace) Take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := p.clock.Now()
	token := p.limiter.ReserveN(now, 1)
	delay := token.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	return p.wait(ctx, token, delay)
}

func (p *Pace) wait(ctx context.Context, token *rate.Reservation, delay time.Duration) error {
	timer := p.clock.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		token.CancelAt(p.clock.Now())
		return ctx.Err()
	case <-timer.C():
		return nil
	}
}
