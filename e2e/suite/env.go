package suite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// Deadlines. They bound how long a failing scenario takes; none is a measure of
// speed.
const (
	scenarioDeadline = 15 * time.Minute // a whole one
	undoDeadline     = 5 * time.Minute  // everything in the cluster changed back
	deleteDeadline   = 2 * time.Minute  // a Git repository deleted
	collectDeadline  = 2 * time.Minute  // what there is to see of a failure is in files

	QueuedDeadline = 90 * time.Second // from a push to all of its runs being held in order
	StepDeadline   = 60 * time.Second // one thing happening
	DrainDeadline  = 5 * time.Minute  // everything finished
)

// Scenario is one item of the list.
type Scenario struct {
	// Name is unique, and fit for a file's name and a variable's (SKIP_order).
	Name string
	// Replicas of the add-on that it begins with, as Play sees to it.
	Replicas int
	Run      func(ctx context.Context, e *Env) error
}

// Env is what scenarios find. Tests may open scenes in it without Play, and then
// clear them away themselves.
type Env struct {
	Cluster Cluster
	// Providers of Git repositories; the first is the one scenarios use that need one.
	Providers []provider.Provider
	Recorder  *history.Recorder
	// MayWarn is for the scenes of all scenarios that do not say it themselves.
	MayWarn Warner
	Log     func(format string, args ...any)
	// Artifacts is the folder in which Play leaves what there is to see of a
	// failure, in a folder of the scenario's name.
	Artifacts string

	played *played // nil without Play
}

// played is what one scenario leaves to be cleared away.
type played struct {
	scenes []*Scene
	undo   []func(context.Context) error
}

// Play plays a scenario. When it fails, everything there is to see is collected
// first; then what the scenario changed is changed back, and its repositories and
// namespaces are deleted. The namespaces of a failed one stay.
func (e *Env) Play(ctx context.Context, s Scenario) error {
	began := time.Now()
	own := *e
	own.played = &played{}
	err := own.run(ctx, s)
	if err != nil {
		err = errors.Join(fmt.Errorf("%s: %w", s.Name, err), own.collect(ctx, s))
	}
	err = errors.Join(err, own.clear(ctx, err == nil))
	e.Log("%s: %s, %s", s.Name, outcome(err), time.Since(began).Round(100*time.Millisecond))
	return err
}

func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "passed"
}

func (e *Env) run(ctx context.Context, s Scenario) error {
	ctx, cancel := context.WithTimeoutCause(ctx, scenarioDeadline, fmt.Errorf("not over within %s", scenarioDeadline))
	defer cancel()
	if err := e.Cluster.Upgrade(ctx, fmt.Sprintf("replicaCount=%d", s.Replicas)); err != nil {
		return err
	}
	return s.Run(ctx, e)
}

// afterwards has something changed back when the scenario is over, the latest
// first.
func (e *Env) afterwards(undo func(context.Context) error) {
	e.played.undo = append(e.played.undo, undo)
}

// collect leaves everything there is to see in the scenario's folder.
func (e *Env) collect(ctx context.Context, s Scenario) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectDeadline)
	defer cancel()
	dir := filepath.Join(e.Artifacts, s.Name)
	var errs []error
	for _, scene := range e.played.scenes {
		e.Log("%s", scene.Explain())
		errs = append(errs, writeFile(filepath.Join(dir, scene.Key.Namespace+".history"), e.Recorder.Text(scene.Key)))
	}
	errs = append(errs, Collect(ctx, e.Cluster.Config(), dir))
	e.Log("%s: logs, events and objects of every namespace are in %s", s.Name, dir)
	return errors.Join(errs...)
}

// clear changes back what the scenario changed, and deletes its repositories and, if
// it passed, its namespaces. However sick the cluster is, no private repository is
// left on somebody's account.
func (e *Env) clear(ctx context.Context, passed bool) error {
	ctx = context.WithoutCancel(ctx)
	inCluster, cancel := context.WithTimeout(ctx, undoDeadline)
	defer cancel()
	var errs []error
	for _, undo := range slices.Backward(e.played.undo) {
		errs = append(errs, undo(inCluster))
	}
	for _, scene := range e.played.scenes {
		errs = append(errs, scene.deleteGit(ctx))
		if passed {
			errs = append(errs, scene.deleteNamespace(inCluster))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	return nil
}
