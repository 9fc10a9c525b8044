package suite

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// repository records only whether it was deleted in time.
type repository struct {
	provider.Repository
	deleted bool
}

func (r *repository) Delete(ctx context.Context) error {
	r.deleted = ctx.Err() == nil
	return ctx.Err()
}

// Git repositories are deleted even when the cluster no longer answers and the test is being
// stopped.
func TestRepositoriesAreDeletedWhateverTheClusterDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		git := &repository{}
		e := &Env{session: &session{scenes: []*Scene{{}, {Git: git}}}}
		e.afterwards(func(ctx context.Context) error { // never returns in time
			<-ctx.Done()
			return ctx.Err()
		})
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if err := e.clear(stopped, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("clear: %v, want an exceeded deadline", err)
		}
		if !git.deleted {
			t.Error("no time was left to delete the Git repository")
		}
	})
}
