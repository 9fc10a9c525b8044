// Package await waits: for conditions that no watch reports, and for time to pass.
package await

import (
	"context"
	"fmt"
	"time"
)

// Until calls try until it succeeds, with a pause after each failure. When the context ends first,
// the error is the context's cause with the last failure.
func Until(ctx context.Context, pause time.Duration, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}

// Pause waits, and returns the cause of a context that ends before.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
