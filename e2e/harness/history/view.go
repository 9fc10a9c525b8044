package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// View is a queue as it is now.
type View struct {
	Key          queue.Key
	Limit        queue.Limit
	Runs         []queue.Run // in queue order
	PipelineRuns map[string]*tektonv1.PipelineRun
	Slots        []queue.Slot // by index
	RunQueue     *v1alpha1.RunQueue
	Changed      time.Time // when a run or slot was last seen to change
}

// In returns the runs in the given phase, in queue order.
func (v View) In(p queue.Phase) []queue.Run {
	var runs []queue.Run
	for _, r := range v.Runs {
		if r.Phase == p {
			runs = append(runs, r)
		}
	}
	return runs
}

// Ordered reports whether n runs exist and PAC has given an order to all those that wait.
func (v View) Ordered(n int) bool {
	return len(v.Runs) == n && !slices.ContainsFunc(v.In(queue.Pending), func(r queue.Run) bool { return r.Sequence() == nil })
}

// Free reports whether no slot has a holder.
func (v View) Free() bool {
	return !slices.ContainsFunc(v.Slots, func(s queue.Slot) bool { return s.Holder != nil })
}

// View returns the queue as it is now.
func (r *Recorder) View(key queue.Key) View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view(key)
}

func (r *Recorder) view(key queue.Key) View {
	v := View{Key: key, PipelineRuns: map[string]*tektonv1.PipelineRun{}}
	var runs []queue.Run
	var local, global *pacv1alpha1.Repository
	for _, c := range r.current {
		if run, ok := c.runOf(key); ok {
			runs = append(runs, run)
			v.PipelineRuns[run.Name] = c.object.(*tektonv1.PipelineRun)
		} else if slot, ok := c.slotOf(key); ok {
			v.Slots = append(v.Slots, slot)
		} else if repository, ok := c.object.(*pacv1alpha1.Repository); ok {
			switch keyOf(repository) {
			case key:
				local = repository
			case GlobalRepository:
				global = repository
			}
			continue
		} else {
			if rq, ok := c.object.(*v1alpha1.RunQueue); ok && keyOf(rq) == key {
				v.RunQueue = rq
			}
			continue
		}
		if c.at.After(v.Changed) {
			v.Changed = c.at
		}
	}
	switch {
	case local != nil:
		v.Limit, _ = pac.ReadLimit(local, global)
	case v.RunQueue != nil:
		v.Limit = queue.Limit(v.RunQueue.Spec.Limit)
	}
	for _, run := range queue.InOrder(queue.Shared(runs), v.Slots) {
		v.Runs = append(v.Runs, *run)
	}
	slices.SortFunc(v.Slots, func(a, b queue.Slot) int { return cmp.Compare(a.Index, b.Index) })
	return v
}

// Changed returns a channel that is closed at the next change.
func (r *Recorder) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notify
}

// Wait checks the condition at every change and returns as soon as it holds for the queue.
func (r *Recorder) Wait(ctx context.Context, key queue.Key, condition func(View) bool) error {
	for {
		r.mu.Lock()
		v, next := r.view(key), r.notify
		r.mu.Unlock()
		if condition(v) {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Await waits for the condition, like Wait, but no longer than the deadline, and returns the last
// view. The error names what it waited for, and any hole in the record.
func (r *Recorder) Await(
	ctx context.Context, key queue.Key, what string, within time.Duration, condition func(View) bool,
) (View, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s: waited %s for %s", key, within, what))
	defer cancel()
	var last View
	if err := r.Wait(ctx, key, func(v View) bool { last = v; return condition(v) }); err != nil {
		return last, errors.Join(err, r.Err())
	}
	return last, nil
}
