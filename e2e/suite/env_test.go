package suite

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// repository is one of which nothing but its end matters.
type repository struct {
	provider.Repository
	deleted bool
}

func (r *repository) Delete(ctx context.Context) error {
	r.deleted = ctx.Err() == nil
	return ctx.Err()
}

// Git repositories are deleted though the cluster does not answer any more, and
// though the test is being stopped.
func TestRepositoriesAreDeletedWhateverTheClusterDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		git := &repository{}
		e := &Env{played: &played{scenes: []*Scene{{}, {Git: git}}}}
		e.afterwards(func(ctx context.Context) error { // changed back never
			<-ctx.Done()
			return ctx.Err()
		})
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if err := e.clear(stopped, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("clear: %v, want that the deadline was exceeded", err)
		}
		if !git.deleted {
			t.Error("there was no time left to delete the Git repository")
		}
	})
}
