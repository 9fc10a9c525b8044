package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

// floor measures what the API server and the machine make of the least that any queue in Leases has
// to do for a start: see that a run is over, write a Lease, patch the next run. Every other step is
// that of a first start, which also has to prove by a list that no run goes on without a slot. The
// API server answers a list once its watch cache has caught up with etcd, so the large objects of
// one tenant hold up the lists of all. The floor has no part in the add-on's work, so it tells a
// slow add-on from a busy cluster.
type floor struct {
	namespace string
	clients   fixture.Clients

	mu          sync.Mutex
	first, next []sample
}

// sample is one step of the floor.
type sample struct {
	begun time.Time     // when the floor asked for what it then has to see
	at    time.Time     // when it saw that a run is over
	took  time.Duration // from then on
}

// floors are how long the steps of the floor took for a first start and for one after that.
type floors struct{ first, next []time.Duration }

// errUnseen says that the API server has not shown a step for as long as it may take.
var errUnseen = errors.New("not seen")

const (
	floorName = "floor"
	// floorPause is between two steps.
	floorPause = 50 * time.Millisecond
	// floorDeadline is the most that a step counts as.
	floorDeadline = 30 * time.Second
)

// measure takes steps until the context ends.
func (f *floor) measure(ctx context.Context) error {
	leases, runs := f.clients.Kube.CoordinationV1().Leases(f.namespace), f.clients.Tekton.TektonV1().PipelineRuns(f.namespace)
	lease, err := leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: floorName}}, metav1.CreateOptions{})
	if err != nil {
		return ended(ctx, err)
	}
	run := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: floorName},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef: &tektonv1.PipelineRef{Name: "none"}, Status: tektonv1.PipelineRunSpecStatusPending,
		},
	}
	if run, err = runs.Create(ctx, run, metav1.CreateOptions{}); err != nil {
		return ended(ctx, err)
	}
	watch, err := runs.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + floorName, ResourceVersion: run.ResourceVersion})
	if err != nil {
		return ended(ctx, err)
	}
	defer watch.Stop()
	write := func(step string) error {
		return f.clients.AnnotateRun(ctx, f.namespace, floorName, map[string]string{"step": step})
	}
	see := func(step string) (time.Time, error) {
		deadline := time.After(floorDeadline)
		for {
			select {
			case e, open := <-watch.ResultChan():
				if pr, ok := e.Object.(*tektonv1.PipelineRun); ok && pr.Annotations["step"] == step {
					return time.Now(), nil
				}
				if !open {
					return time.Time{}, fmt.Errorf("the watch of the floor ended before step %s", step)
				}
			case <-deadline:
				return time.Time{}, fmt.Errorf("step %s of the floor: %w within %s", step, errUnseen, floorDeadline)
			}
		}
	}
	begun := time.Now()
	isFirst := func(n int) bool { return n%2 == 0 }
	note := func(n int, at time.Time, took time.Duration) {
		f.mu.Lock()
		defer f.mu.Unlock()
		steps := &f.next
		if isFirst(n) {
			steps = &f.first
		}
		*steps = append(*steps, sample{begun, at, took})
	}
	step := func(n int) error {
		begun = time.Now()
		over, next := fmt.Sprintf("%d over", n), fmt.Sprintf("%d next", n)
		if err := write(over); err != nil {
			return err
		}
		began, err := see(over)
		if err != nil {
			return err
		}
		if isFirst(n) {
			if _, err := runs.List(ctx, metav1.ListOptions{LabelSelector: pac.Selector}); err != nil {
				return err
			}
		}
		lease.Spec.HolderIdentity = &next
		if lease, err = leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
			return err
		}
		if err := write(next); err != nil {
			return err
		}
		done, err := see(next)
		if err != nil {
			return err
		}
		note(n, began, done.Sub(began))
		return nil
	}
	for n := 1; ctx.Err() == nil; n++ {
		switch err := step(n); {
		case errors.Is(err, errUnseen):
			note(n, begun, floorDeadline)
		case err != nil:
			return ended(ctx, fmt.Errorf("the floor: %w", err))
		}
		select {
		case <-time.After(floorPause):
		case <-ctx.Done():
		}
	}
	return nil
}

// during returns how long the steps took that were due in a time.
func (f *floor) during(from, to time.Time) floors {
	f.mu.Lock()
	defer f.mu.Unlock()
	return floors{first: during(f.first, from, to), next: during(f.next, from, to)}
}

// during returns how long those of the steps took that were due in a time. If none was, because the
// API server answers too slowly for that, they are those that were under way, with the time that it
// took to ask.
func during(steps []sample, from, to time.Time) []time.Duration {
	var due, underWay []time.Duration
	for _, s := range steps {
		done := s.at.Add(s.took)
		switch {
		case !s.at.Before(from) && s.at.Before(to):
			due = append(due, s.took)
		case s.begun.Before(to) && done.After(from):
			underWay = append(underWay, done.Sub(s.begun))
		}
	}
	if len(due) == 0 {
		return underWay
	}
	return due
}
