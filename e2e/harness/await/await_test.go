package await_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
)

func TestUntil(t *testing.T) {
	tries := 0
	if err := await.Until(t.Context(), time.Millisecond, func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("%v after %d tries, want success at the third", err, tries)
	}

	late, wrong := errors.New("too late"), errors.New("not yet")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := await.Until(ctx, time.Hour, func() error { cancel(late); return wrong })
	if !errors.Is(err, late) || !errors.Is(err, wrong) || err.Error() != "too late: not yet" {
		t.Errorf("%v, want the cause and then the last failure", err)
	}
}

func TestPause(t *testing.T) {
	if err := await.Pause(t.Context(), time.Millisecond); err != nil {
		t.Error(err)
	}
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if err := await.Pause(ctx, time.Hour); !errors.Is(err, late) {
		t.Errorf("%v, want the cause", err)
	}
}
