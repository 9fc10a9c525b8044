// Package await polls for conditions that no watch reports.
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
