package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Every watcher keeps a queue of its own and watches every run. Which watcher reconciles a run, and
// so learns of its start and its end, depends on the run's name (knative's buckets).
func twoWatchers(s *scene) error { return s.push(stack.RunFiles(8, short)) }

// brokenAndStuck waits for a standstill and then looks at the limit too: two watchers can break
// both. In one of 128 pushes all runs belong to the same watcher, hence the second chance.
func brokenAndStuck(s *scene) (string, error) {
	for chance := 0; ; chance++ {
		stuck, err := shows(standstill)(s)
		if err != nil {
			return "", err
		}
		broken, err := overLimit(s, s.view())
		if failures := []string{broken, stuck}; err != nil || broken+stuck != "" || chance > 0 {
			return strings.Join(slices.DeleteFunc(failures, func(s string) bool { return s == "" }), "; then "), err
		}
		if err := twoWatchers(s); err != nil {
			return "", err
		}
	}
}

// The runs created meanwhile are put back into the queue (queue_manager.go:InitQueues, since
// #1791), and a run that ended is reported as soon as the informer lists it.
func watcherDown(s *scene) error {
	if err := s.push(threeRuns()); err != nil {
		return err
	}
	first, err := s.running()
	if err != nil {
		return err
	}
	if err := s.Watchers()[0].Kill(); err != nil {
		return err
	}
	if err := s.push(stack.RunFiles(2, short)); err != nil {
		return err
	}
	if _, err := s.queued(); err != nil {
		return err
	}
	if err := s.over(first); err != nil {
		return err
	}
	return s.StartWatchers(s.ctx, 1)
}

// queue_manager.go:InitQueues reads the limit of the Repository only, and not that of the global
// Repository, which the reconciler inherits. Where the global limit applies, the rebuilt queue is
// empty, even if a run is running.
func globalLimit(s *scene) error {
	repositories := s.paas.PipelinesascodeV1alpha1().Repositories(history.GlobalRepository.Namespace)
	global := &pacv1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: history.GlobalRepository.Repository}}
	global.Spec.ConcurrencyLimit = new(limit)
	if _, err := repositories.Create(s.ctx, global, metav1.CreateOptions{}); err != nil {
		return err
	}
	s.undo = append(s.undo, func(ctx context.Context) error {
		return repositories.Delete(ctx, global.Name, metav1.DeleteOptions{})
	})
	if err := s.repository.SetLimit(s.ctx, nil); err != nil {
		return err
	}
	if err := s.push(threeRuns()); err != nil {
		return err
	}
	if _, err := s.running(); err != nil {
		return err
	}
	return s.crashWatcher()
}

// queue_manager.go:InitQueues counts the runs of the whole namespace for each Repository in it.
// When they end, they free slots of their own Repository only.
func sharedNamespace(s *scene) error {
	neighbour, err := s.neighbour()
	if err != nil {
		return err
	}
	for _, one := range s.all() {
		if err := one.push(threeRuns()); err != nil {
			return err
		}
		if _, err := one.running(); err != nil {
			return err
		}
	}
	if n := len(s.view().In(queue.Started)) + len(neighbour.view().In(queue.Started)); n != 2 {
		return fmt.Errorf("%d runs are started, want one of each Repository", n)
	}
	return s.crashWatcher()
}
