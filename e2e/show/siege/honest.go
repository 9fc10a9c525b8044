package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/upstream"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

// resident is an honest queue that goes on throughout. Its runs come in events of a few, so that
// runs nearly always wait.
type resident struct {
	key      queue.Key
	clients  fixture.Clients // PAC's
	admin    fixture.Clients
	upstream *upstream.Upstream
	recorder *history.Recorder
	pushed   int
}

const (
	// eventSize is how many runs an event of an honest queue has.
	eventSize = 4
	// honestPoll is how often the honest look whether to push again.
	honestPoll = 20 * time.Millisecond
	// newcomerPause is between one newcomer and the next.
	newcomerPause = 150 * time.Millisecond
)

// live pushes until the context ends. Now and then it lets the queue run dry.
func (r *resident) live(ctx context.Context) error {
	for ctx.Err() == nil {
		r.pushed++
		names := event(fmt.Sprintf("%s-%d", r.key.Repository, r.pushed), eventSize)
		if err := push(ctx, r.clients, r.key, names); err != nil {
			return err
		}
		enough := started
		if r.pushed%4 == 0 {
			enough = finished
		}
		if !allAre(ctx, r.upstream, r.key.Namespace, names, enough) {
			return nil
		}
		if err := r.forget(ctx); err != nil {
			return err
		}
	}
	return nil
}

// forget deletes the runs of an earlier event, all of which are over.
func (r *resident) forget(ctx context.Context) error {
	const kept = 4
	if r.pushed <= kept {
		return nil
	}
	for _, name := range event(fmt.Sprintf("%s-%d", r.key.Repository, r.pushed-kept), eventSize) {
		if err := remove(ctx, r.admin, r.key.Namespace, name); err != nil {
			return err
		}
	}
	return nil
}

// newcomers are honest queues that are new: a Repository after the other, with two runs each. The
// first start of a queue costs the add-on the most.
type newcomers struct {
	namespace string
	clients   fixture.Clients // PAC's
	admin     fixture.Clients
	upstream  *upstream.Upstream
	recorder  *history.Recorder
	keys      []queue.Key
	gone      atomic.Int64 // how many have come and gone
}

// live makes one queue after the other until the context ends.
func (n *newcomers) live(ctx context.Context) error {
	for ctx.Err() == nil {
		key := queue.Key{Namespace: n.namespace, Repository: fmt.Sprintf("new-%d", len(n.keys)+1)}
		n.keys = append(n.keys, key)
		if err := n.admin.CreateRepository(ctx, key, new(1)); err != nil {
			return ended(ctx, err)
		}
		names := event(key.Repository, 2)
		if err := push(ctx, n.clients, key, names); err != nil {
			return err
		}
		if !allAre(ctx, n.upstream, n.namespace, names, finished) {
			return nil
		}
		for _, name := range names {
			if err := remove(ctx, n.admin, n.namespace, name); err != nil {
				return err
			}
		}
		err := n.admin.PAC.PipelinesascodeV1alpha1().Repositories(n.namespace).Delete(ctx, key.Repository, metav1.DeleteOptions{})
		if err != nil {
			return ended(ctx, err)
		}
		n.gone.Add(1)
		select {
		case <-time.After(newcomerPause):
		case <-ctx.Done():
		}
	}
	return nil
}

// event returns the names of the runs of an event.
func event(name string, runs int) []string {
	names := make([]string, runs)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", name, i)
	}
	return names
}

// push creates the runs of an event as PAC does.
func push(ctx context.Context, clients fixture.Clients, key queue.Key, names []string) error {
	for _, name := range names {
		if err := clients.CreateRun(ctx, key.Namespace, fixture.Run(key, name, names...)); err != nil {
			return ended(ctx, fmt.Errorf("create the honest run %s/%s: %w", key.Namespace, name, err))
		}
	}
	return nil
}

func remove(ctx context.Context, clients fixture.Clients, namespace, name string) error {
	return ended(ctx, ignoreGone(clients.Tekton.TektonV1().PipelineRuns(namespace).Delete(ctx, name, metav1.DeleteOptions{})))
}

// ignoreGone drops the error of an object that was deleted meanwhile.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// ended drops an error that came because the context ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func started(pr *tektonv1.PipelineRun) bool  { return !pr.IsPending() }
func finished(pr *tektonv1.PipelineRun) bool { return pr.IsDone() }

// allAre waits until every one of the runs is as wanted. It reports false if the context ends
// first.
func allAre(ctx context.Context, u *upstream.Upstream, namespace string, names []string, is func(*tektonv1.PipelineRun) bool) bool {
	for _, name := range names {
		for {
			if pr := u.Run(namespace, name); pr != nil && is(pr) {
				break
			}
			select {
			case <-time.After(honestPoll):
			case <-ctx.Done():
				return false
			}
		}
	}
	return true
}
