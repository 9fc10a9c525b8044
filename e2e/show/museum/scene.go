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

// Deadlines. They bound how long a failing exhibit takes; none is a measure of
// speed.
const (
	queuedDeadline = 90 * time.Second // from a push to all of its runs being there, in order
	stepDeadline   = 60 * time.Second // one thing happening
	drainDeadline  = 2 * time.Minute  // everything finished
	clearDeadline  = 60 * time.Second // everything of an exhibit gone
)

// limit is that of every exhibit: one run at a time shows the most.
const limit = 1

// scene is one performance of an exhibit: a queue of its own, in its own
// namespace, with its own repository in Gitea.
type scene struct {
	*museum
	ctx        context.Context
	key        queue.Key
	repo       *stack.PACRepository
	tekton     tektonclient.Interface
	paas       pacclient.Interface
	pushes     []string // commits
	runs       int      // that were pushed or created
	neighbours []*scene
	mishaps    []*mishap
	undo       []func(context.Context) error
}

// newScene makes a Repository and starts so many watchers anew. A scene that comes
// with an error wants to be cleared too.
func newScene(ctx context.Context, m *museum, name string, watchers int) (*scene, error) {
	if m.addon == nil {
		name += "-pac"
	} else {
		name += "-addon"
	}
	s := &scene{museum: m, ctx: ctx, key: queue.Key{Namespace: name, Repository: name}}
	if err := s.stack.StartWatchers(ctx, watchers); err != nil {
		return s, err
	}
	return s, s.open()
}

// open makes the Repository.
func (s *scene) open() (err error) {
	if s.tekton, err = tektonclient.NewForConfig(s.stack.Config(stack.Developer)); err != nil {
		return err
	}
	if s.paas, err = pacclient.NewForConfig(s.stack.Config(stack.Admin)); err != nil {
		return err
	}
	git, err := s.stack.Gitea().NewRepository(s.ctx, s.key.Repository)
	if err != nil {
		return err
	}
	s.repo, err = s.stack.NewPACRepository(s.ctx, s.key.Namespace, s.key.Repository, git, new(limit))
	return err
}

// neighbour makes another Repository in the same namespace.
func (s *scene) neighbour() (*scene, error) {
	key := queue.Key{Namespace: s.key.Namespace, Repository: s.key.Repository + "-2"}
	n := &scene{museum: s.museum, ctx: s.ctx, key: key}
	s.neighbours = append(s.neighbours, n)
	return n, n.open()
}

// all are the scene and its neighbours.
func (s *scene) all() []*scene { return append([]*scene{s}, s.neighbours...) }

// clear leaves nothing of the scene behind that others could stumble over. PAC's
// watchers go first: some runs would make them panic.
func (s *scene) clear() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), clearDeadline)
	defer cancel()
	errs := []error{s.stack.StopWatchers(ctx)}
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
	if s.repo == nil {
		return nil
	}
	errs := []error{s.repo.Delete(ctx)}
	runs := s.tekton.TektonV1().PipelineRuns(s.key.Namespace)
	for name := range s.view().PipelineRuns {
		// PAC's finalizer waits for a watcher.
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

// view is the queue as it is now.
func (s *scene) view() history.View { return s.recorder.View(s.key) }

// push pushes runs in one commit.
func (s *scene) push(files map[string]string) error {
	s.runs += len(files)
	sha, err := s.repo.Git.Push(s.ctx, files, fmt.Sprintf("%d runs by now", s.runs))
	s.pushes = append(s.pushes, sha)
	return err
}

// wait waits for the queue to be so.
func (s *scene) wait(what string, within time.Duration, condition func(history.View) bool) (history.View, error) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, within, fmt.Errorf("not within %s: %s", within, what))
	defer cancel()
	var last history.View
	err := s.recorder.Wait(ctx, s.key, func(v history.View) bool { last = v; return condition(v) })
	return last, errors.Join(err, s.recorder.Err())
}

// queued waits until every run is there, and every one that waits has an order.
func (s *scene) queued() (history.View, error) {
	return s.wait("every run is there, in order", queuedDeadline, func(v history.View) bool {
		return len(v.Runs) == s.runs && !slices.ContainsFunc(v.In(queue.Pending), func(r queue.Run) bool { return r.Order == nil })
	})
}

// running waits until one run is started and the others wait in order, and
// returns the one.
func (s *scene) running() (queue.Run, error) {
	v, err := s.wait("a run is started and the others wait in order", queuedDeadline, func(v history.View) bool {
		waiting := v.In(queue.Pending)
		return len(v.In(queue.Started)) == 1 && len(waiting) == s.runs-1 &&
			!slices.ContainsFunc(waiting, func(r queue.Run) bool { return r.Order == nil })
	})
	if err != nil {
		return queue.Run{}, err
	}
	return v.In(queue.Started)[0], nil
}

// patch changes a run as a person on the team may.
func (s *scene) patch(run, body string) (*tektonv1.PipelineRun, error) {
	return s.tekton.TektonV1().PipelineRuns(s.key.Namespace).Patch(s.ctx, run, types.MergePatchType, []byte(body), metav1.PatchOptions{})
}

// definition is a run's name without PAC's random suffix.
func definition(run string) string { return run[:max(strings.LastIndex(run, "-"), 0)] }
