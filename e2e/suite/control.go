package suite

import (
	"context"
	"errors"
	"fmt"
)

// NegativeControl shows that the list can fail: PAC's own queue, shared by two
// watchers, fails the very function that limit_2_replicas runs. The add-on then
// takes the broken queues over and finishes them.
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
			// Once in some hundred times all runs of a queue are of the same watcher.
			broken, err = brokenBy(limitHolds(ctx, e))
		}
		if err != nil {
			return err
		}
		e.Log("as it should: %v", broken)
		if err := e.Cluster.Upgrade(ctx); err != nil {
			return err
		}
		for _, s := range e.played.scenes {
			if _, err := s.Done(ctx, len(s.View().Runs)); err != nil {
				return fmt.Errorf("with the add-on: %w", err)
			}
		}
		return nil
	}}
}

// Why a negative control proves nothing.
var (
	errHeld  = errors.New("PAC's own queue with two watchers kept the limit: the list cannot tell good from bad here")
	errOther = errors.New("PAC's own queue with two watchers failed for another reason than a broken limit or a stuck queue")
)

// brokenBy is how a queue broke, if it is that by which limitHolds failed: more runs
// than the limit, or a queue that is stuck. Any other failure is no proof of anything.
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
