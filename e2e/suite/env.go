package suite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/artifacts"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// Deadlines. They bound how long a failing scenario takes; none is a measure of speed.
const (
	scenarioDeadline = 15 * time.Minute // one scenario
	undoDeadline     = 5 * time.Minute  // undoing all changes to the cluster
	deleteDeadline   = 2 * time.Minute  // deleting a Git repository
	collectDeadline  = 2 * time.Minute  // collecting a failure's artifacts

	QueuedDeadline = 90 * time.Second // from a push until all of its runs are held in order
	StepDeadline   = 60 * time.Second // one step
	DrainDeadline  = 5 * time.Minute  // a whole queue, until all runs are done
)

// Scenario is one item of the list.
type Scenario struct {
	// Name is unique. It serves as a file name and as part of a variable's name (SKIP_order).
	Name string
	// Replicas is how many replicas of the add-on Play starts the scenario with.
	Replicas int
	Run      func(ctx context.Context, e *Env) error
}

// Env is the environment of a scenario. A test may also open scenes without Play, and then has to
// delete them itself.
type Env struct {
	Cluster Cluster
	// Providers are Git providers. Scenarios that need one use the first.
	Providers []provider.Provider
	Recorder  *history.Recorder
	// Tolerated is the default for the scenes of all scenarios.
	Tolerated Warnings
	Log       func(format string, args ...any)
	// Artifacts is the folder in which Play leaves the artifacts of a failure, below the scenario's
	// name.
	Artifacts string

	session *session // nil without Play
}

// session is what one scenario leaves to be cleared away.
type session struct {
	scenes []*Scene
	undo   []func(context.Context) error
}

// Play plays a scenario. If it fails, Play first collects its artifacts. Play then undoes what the
// scenario changed and deletes its Git repositories and namespaces. The namespaces of a failed
// scenario stay.
func (e *Env) Play(ctx context.Context, s Scenario) error {
	began := time.Now()
	own := *e
	own.session = &session{}
	err := own.run(ctx, s)
	if err != nil {
		err = errors.Join(fmt.Errorf("%s: %w", s.Name, err), own.collect(ctx, s))
	}
	err = errors.Join(err, own.clear(ctx, err == nil))
	outcome := "passed"
	if err != nil {
		outcome = "failed"
	}
	e.Log("%s: %s, %s", s.Name, outcome, time.Since(began).Round(100*time.Millisecond))
	return err
}

func (e *Env) run(ctx context.Context, s Scenario) error {
	ctx, cancel := context.WithTimeoutCause(ctx, scenarioDeadline, fmt.Errorf("not finished within %s", scenarioDeadline))
	defer cancel()
	if err := e.Cluster.Upgrade(ctx, fmt.Sprintf("replicaCount=%d", s.Replicas)); err != nil {
		return err
	}
	return s.Run(ctx, e)
}

// afterwards registers a function that undoes a change when the scenario is over. The last one
// registered runs first.
func (e *Env) afterwards(undo func(context.Context) error) {
	e.session.undo = append(e.session.undo, undo)
}

// collect leaves the state of the queues and the cluster in the scenario's folder.
func (e *Env) collect(ctx context.Context, s Scenario) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectDeadline)
	defer cancel()
	dir := filepath.Join(e.Artifacts, s.Name)
	var errs []error
	for _, scene := range e.session.scenes {
		e.Log("%s", scene.Explain())
		errs = append(errs, artifacts.WriteFile(filepath.Join(dir, scene.Key.Namespace+".history"), e.Recorder.Text(scene.Key)))
	}
	errs = append(errs, artifacts.Collect(ctx, e.Cluster.Config(), dir))
	e.Log("%s: logs, events and objects of every namespace are in %s", s.Name, dir)
	return errors.Join(errs...)
}

// clear undoes what the scenario changed and deletes its Git repositories and, if it passed, its
// namespaces. Git repositories have deadlines of their own: they are deleted even if the cluster no
// longer answers, so that none stays behind in a provider's account.
func (e *Env) clear(ctx context.Context, passed bool) error {
	ctx = context.WithoutCancel(ctx)
	inCluster, cancel := context.WithTimeout(ctx, undoDeadline)
	defer cancel()
	var errs []error
	for _, undo := range slices.Backward(e.session.undo) {
		errs = append(errs, undo(inCluster))
	}
	for _, scene := range e.session.scenes {
		errs = append(errs, scene.deleteGit(ctx))
		if passed {
			errs = append(errs, scene.deleteNamespace(inCluster))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clearing up: %w", err)
	}
	return nil
}
