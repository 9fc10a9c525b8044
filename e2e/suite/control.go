package suite

import (
	"context"
	"errors"
	"fmt"
)

// NegativeControl shows that the list can fail: with PAC's own queue, shared by two watchers, the
// function behind limit_2_replicas must fail. The add-on then takes over the broken queues and
// finishes them.
func NegativeControl() Scenario {
	return Scenario{"negative_control", 2, func(ctx context.Context, e *Env) error {
		e.afterwards(func(ctx context.Context) error { return e.Cluster.Upgrade(ctx) })
		e.afterwards(e.oneWatcher)
		if err := e.Cluster.Uninstall(ctx); err != nil {
			return err
		}
		if err := e.Cluster.Watchers(ctx, 2); err != nil {
			return err
		}
		broken, err := brokenBy(limitHolds(ctx, e))
		if errors.Is(err, errHeld) {
			// About once in a hundred times one watcher owns all runs of a queue.
			broken, err = brokenBy(limitHolds(ctx, e))
		}
		if err != nil {
			return err
		}
		e.Log("broken, as expected: %v", broken)
		if err := e.Cluster.Upgrade(ctx); err != nil {
			return err
		}
		for _, s := range e.session.scenes {
			if _, err := s.Done(ctx, len(s.View().Runs)); err != nil {
				return fmt.Errorf("with the add-on: %w", err)
			}
		}
		return nil
	}}
}

// Why a negative control proves nothing.
var (
	errHeld  = errors.New("PAC's own queue with two watchers kept the limit: the list cannot tell a good queue from a bad one here")
	errOther = errors.New("PAC's own queue with two watchers failed, but not by a broken limit or a stuck queue")
)

// brokenBy returns how a queue broke, given limitHolds's error: by more runs than the limit allows,
// or by being stuck. Any other failure proves nothing.
func brokenBy(err error) (*Broken, error) {
	var broken *Broken
	switch {
	case err == nil:
		return nil, errHeld
	case errors.As(err, &broken) && (broken.Stuck || broken.OverLimit()):
		return broken, nil
	default:
		return nil, fmt.Errorf("%w: %w", errOther, err)
	}
}
