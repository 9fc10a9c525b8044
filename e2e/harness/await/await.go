// Package await asks again and again, for what no watch tells of.
package await

import (
	"context"
	"fmt"
	"time"
)

// Until tries, with a pause in between, until try succeeds. When the context ends first, the error
// is the context's cause, with what was wrong last.
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
