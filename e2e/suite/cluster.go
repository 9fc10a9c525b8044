package suite

import (
	"context"
	"time"

	"k8s.io/client-go/rest"
)

// Cluster is where the scenarios run: an API server with Tekton, PAC and the add-on, installed as
// an administrator installs them.
type Cluster interface {
	// Config returns the administrator's configuration, without client-side rate limits.
	Config() *rest.Config

	// Upgrade sets chart values of the add-on, each as helm's --set takes it, on top of the current
	// ones, and returns when every replica has the new values and is ready. It installs the add-on
	// if it is not installed. Without values it only waits for that state.
	Upgrade(ctx context.Context, values ...string) error
	// Uninstall runs helm uninstall with its hooks.
	Uninstall(ctx context.Context) error
	// Kill kills the leading replica of the add-on, without a grace period, and returns its name
	// when it is gone. The cluster replaces it as its Deployment would.
	Kill(ctx context.Context) (replica string, err error)
	// Restart replaces every replica of the add-on, one after the other, and returns when all are
	// ready.
	Restart(ctx context.Context) error
	// Drain evicts the add-on's pods from the node of the leading replica, as kubectl drain does,
	// and returns when they are gone. Nothing is scheduled there until restore is called, which
	// returns when every replica is ready.
	Drain(ctx context.Context) (restore func(context.Context) error, err error)

	// Board returns what the board serves at a path. The add-on is installed with board.enabled.
	Board(ctx context.Context, path string) (body string, err error)

	// Watchers makes n PAC watchers share the work, each with a bucket of the queue keys. n may be
	// zero.
	Watchers(ctx context.Context, n int) error

	// RunFile returns the file of one PipelineRun for pushes to the default branch. Its only step
	// takes the given time. Each further annotation is "key: value".
	RunFile(name string, each time.Duration, annotations ...string) string
}
