package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/recovery"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"
)

// queues reconciles one queue at a time per key.
type queues struct {
	reconciler.LeaderAwareFuncs
	engine   *engine.Engine
	recovery *recovery.Loop
	clock    clock.PassiveClock
	after    func(queue.Key, time.Duration)
}

// Reconcile implements controller.Reconciler.
func (r *queues) Reconcile(ctx context.Context, id string) error {
	namespace, repository, err := cache.SplitMetaNamespaceKey(id)
	if err != nil {
		return controller.NewPermanentError(fmt.Errorf("queue key %q: %w", id, err))
	}
	key := queue.Key{Namespace: namespace, Repository: repository}
	if !r.IsLeaderFor(name(key)) && !r.recovery.Acting(key) {
		return controller.NewSkipKey(id)
	}
	next, err := r.engine.Reconcile(ctx, key)
	if !next.IsZero() {
		r.after(key, next.Sub(r.clock.Now()))
	}
	if errors.Is(err, engine.ErrOutrun) {
		// The queue is theirs: the leader's, or that of the replica that was
		// faster in taking it over.
		r.recovery.Yield(key)
	}
	if errors.Is(err, engine.ErrStale) {
		return controller.NewRequeueAfter(staleRetry)
	}
	return err
}
