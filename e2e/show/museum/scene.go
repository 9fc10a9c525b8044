package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Deadlines. They bound how long a failing exhibit takes; none of them measures speed.
const (
	queuedDeadline = 90 * time.Second // from a push until all of its runs exist and have an order
	stepDeadline   = 60 * time.Second // one step
	drainDeadline  = 2 * time.Minute  // all runs finish
	clearDeadline  = 60 * time.Second // every trace of an exhibit is removed
)

// limit is the concurrency limit of every exhibit: one run at a time shows the most.
const limit = 1

// scene is one performance of an exhibit: a queue in a namespace of its own, with a repository in
// Gitea. It differs from a scene of package suite in what PAC alone needs: watchers that start
// anew, Repositories that share a namespace, and removal past PAC's finalizers.
type scene struct {
	*museum
	ctx        context.Context
	key        queue.Key
	repository *stack.PACRepository
	tekton     tektonclient.Interface
	paas       pacclient.Interface
	pushes     []string // commits
	runs       int      // pushed or created so far
	neighbours []*scene
	mishaps    []*mishap
	undo       []func(context.Context) error
}

// newScene creates a Repository and starts the given number of fresh watchers. The scene must be
// cleared even if it comes with an error.
func newScene(ctx context.Context, m *museum, name string, watchers int) (*scene, error) {
	if m.addon == nil {
		name += "-pac"
	} else {
		name += "-addon"
	}
	s := &scene{museum: m, ctx: ctx, key: queue.Key{Namespace: name, Repository: name}}
	if err := s.StartWatchers(ctx, watchers); err != nil {
		return s, err
	}
	return s, s.open()
}

// open creates the Repository.
func (s *scene) open() (err error) {
	if s.tekton, err = tektonclient.NewForConfig(s.Config(stack.Developer)); err != nil {
		return err
	}
	if s.paas, err = pacclient.NewForConfig(s.Config(stack.Admin)); err != nil {
		return err
	}
	git, err := s.Gitea().NewRepository(s.ctx, s.key.Repository)
	if err != nil {
		return err
	}
	s.repository, err = s.NewPACRepository(s.ctx, s.key.Namespace, s.key.Repository, git, new(limit))
	return err
}

// neighbour creates another Repository in the same namespace.
func (s *scene) neighbour() (*scene, error) {
	key := queue.Key{Namespace: s.key.Namespace, Repository: s.key.Repository + "-2"}
	n := &scene{museum: s.museum, ctx: s.ctx, key: key}
	s.neighbours = append(s.neighbours, n)
	return n, n.open()
}

// all returns the scene and its neighbours.
func (s *scene) all() []*scene { return append([]*scene{s}, s.neighbours...) }

// clear removes every trace of the scene that could disturb another. PAC's watchers stop first:
// some runs would make them panic.
func (s *scene) clear() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), clearDeadline)
	defer cancel()
	errs := []error{s.StopWatchers(ctx)}
	for _, one := range s.all() {
		errs = append(errs, one.remove(ctx))
	}
	for _, undo := range slices.Backward(s.undo) {
		errs = append(errs, undo(ctx))
	}
	return errors.Join(errs...)
}

// remove deletes the Repository and its runs.
func (s *scene) remove(ctx context.Context) error {
	if s.repository == nil {
		return nil
	}
	errs := []error{s.repository.Delete(ctx)}
	runs := s.tekton.TektonV1().PipelineRuns(s.key.Namespace)
	for name := range s.view().PipelineRuns {
		// PAC's finalizer would wait for a watcher.
		_, err := runs.Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		if err == nil {
			err = runs.Delete(ctx, name, metav1.DeleteOptions{})
		}
		if !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	gone := func(v history.View) bool { return len(v.Runs) == 0 }
	return errors.Join(append(errs, s.recorder.Wait(ctx, s.key, gone))...)
}

// view returns the queue as it is now.
func (s *scene) view() history.View { return s.recorder.View(s.key) }

// push pushes runs in one commit.
func (s *scene) push(files map[string]string) error {
	s.runs += len(files)
	sha, err := s.repository.Git.Push(s.ctx, files, fmt.Sprintf("%d runs by now", s.runs))
	s.pushes = append(s.pushes, sha)
	return err
}

// wait waits until the condition holds for the queue.
func (s *scene) wait(what string, within time.Duration, condition func(history.View) bool) (history.View, error) {
	return s.recorder.Await(s.ctx, s.key, what, within, condition)
}

// queued waits until every run exists and those that wait have an order.
func (s *scene) queued() (history.View, error) {
	return s.wait(fmt.Sprintf("%d runs with an order", s.runs), queuedDeadline, func(v history.View) bool {
		return v.Ordered(s.runs)
	})
}

// running waits until one run is started and the others wait with an order, and returns the started
// run.
func (s *scene) running() (queue.Run, error) {
	v, err := s.wait("one started run and the others with an order", queuedDeadline, func(v history.View) bool {
		return len(v.In(queue.Started)) == 1 && len(v.In(queue.Pending)) == s.runs-1 && v.Ordered(s.runs)
	})
	if err != nil {
		return queue.Run{}, err
	}
	return v.In(queue.Started)[0], nil
}

// over waits until a run is done.
func (s *scene) over(r queue.Run) error {
	_, err := s.wait("the end of "+definition(r.Name), stepDeadline, func(v history.View) bool {
		return slices.ContainsFunc(v.In(queue.Done), func(done queue.Run) bool { return done.UID == r.UID })
	})
	return err
}

// patch changes a run with the rights of a developer on the team.
func (s *scene) patch(run, body string) (*tektonv1.PipelineRun, error) {
	return s.tekton.TektonV1().PipelineRuns(s.key.Namespace).Patch(s.ctx, run, types.MergePatchType, []byte(body), metav1.PatchOptions{})
}

// crashWatcher kills the watcher and starts it again.
func (s *scene) crashWatcher() error {
	if err := s.Watchers()[0].Kill(); err != nil {
		return err
	}
	return s.StartWatchers(s.ctx, 1)
}

// definition returns a run's name without PAC's random suffix.
func definition(run string) string { return run[:max(strings.LastIndex(run, "-"), 0)] }
