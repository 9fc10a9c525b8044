package suite

import (
	"context"
	"time"

	"k8s.io/client-go/rest"
)

// Cluster is where the scenarios run: an API server with Tekton, PAC and the
// add-on, all of them as an administrator has installed them.
type Cluster interface {
	// Config is the administrator's, without client-side rate limits.
	Config() *rest.Config

	// Upgrade changes chart values of the add-on, each as helm's --set takes them,
	// on top of those in force, and returns when every replica has what it changes
	// and is ready. An uninstalled add-on is installed anew; without values, nothing
	// else happens.
	Upgrade(ctx context.Context, values ...string) error
	// Uninstall runs helm uninstall, hooks included.
	Uninstall(ctx context.Context) error
	// Kill ends the replica of the add-on that leads, with no grace, and returns
	// its name when it is gone. What a Deployment does then, happens.
	Kill(ctx context.Context) (replica string, err error)
	// Restart replaces every replica of the add-on, one after the other, and
	// returns when all are ready.
	Restart(ctx context.Context) error
	// Drain empties a node of the add-on by eviction, as kubectl drain does, and
	// returns when its pods are gone. Nothing is scheduled there until restore is
	// called, which returns when every replica is ready.
	Drain(ctx context.Context) (restore func(context.Context) error, err error)

	// Watchers has n PAC watchers share the work, each with a bucket of the queue
	// keys; none is allowed.
	Watchers(ctx context.Context, n int) error

	// RunFile is the file of one PipelineRun on a push to the default branch, one
	// task of one step that takes so long, with more annotations if given, each as
	// "key: value".
	RunFile(name string, each time.Duration, annotations ...string) string
}
