package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller/watchdog"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/live"
)

// queues reconciles one queue at a time per key.
type queues struct {
	reconciler.LeaderAwareFuncs
	live     *configuration
	clock    clock.PassiveClock
	watchdog *watchdog.Watchdog
	after    func(queue.Key, time.Duration)
	leads    buckets
	// shards are by namespace, or one of all namespaces; complete before anything
	// is reconciled.
	shards map[string]*shard
}

// Reconcile implements controller.Reconciler.
func (r *queues) Reconcile(ctx context.Context, id string) error {
	namespace, repository, err := cache.SplitMetaNamespaceKey(id)
	if err != nil {
		return controller.NewPermanentError(fmt.Errorf("queue key %q: %w", id, err))
	}
	key := queue.Key{Namespace: namespace, Repository: repository}
	s := r.shard(key)
	if s == nil || !r.acts(s, key) {
		return controller.NewSkipKey(id)
	}
	if rest := r.live.Rest(); rest > 0 {
		return controller.NewRequeueAfter(rest)
	}
	ctx, end := r.watchdog.Begin(ctx, "queue "+id)
	defer end()
	next, err := s.engine.Reconcile(ctx, key)
	if !next.IsZero() {
		r.after(key, next.Sub(r.clock.Now()))
	}
	if errors.Is(err, engine.ErrOutrun) {
		// The queue is theirs: the leader's, or that of the replica that was
		// faster in taking it over.
		s.recovery.Yield(key)
	}
	if errors.Is(err, engine.ErrStale) {
		return controller.NewRequeueAfter(staleRetry)
	}
	return err
}

// shard is what works on the queue; nil if nothing here does.
func (r *queues) shard(key queue.Key) *shard {
	if s, ok := r.shards[key.Namespace]; ok {
		return s
	}
	return r.shards[metav1.NamespaceAll]
}

// replica is what to know of for whoever asks this replica.
func (r *queues) replica() live.Replica {
	return live.Replica{
		Policy: func() queue.Policy { return r.live.Get().Policy },
		Acts:   func(key queue.Key) bool { s := r.shard(key); return s != nil && r.acts(s, key) },
		Keys:   r.keys,
	}
}

// keys lists all queues that exist as far as the caches know.
func (r *queues) keys() []queue.Key {
	var keys []queue.Key
	for _, s := range r.shards {
		keys = append(keys, s.keys()...)
	}
	return keys
}

// acts says whether this replica is to work on the queue: as its leader, or in
// place of one that does not. Slots in memory are nobody else's, so then only the
// leader may.
func (r *queues) acts(s *shard, key queue.Key) bool {
	return r.IsLeaderFor(name(key)) || r.live.Get().Backend != config.BackendMemory && s.recovery.Acting(key)
}

// overdue is what recovery goes by.
func (r *queues) overdue(ctx context.Context, e *engine.Engine, key queue.Key) ([]queue.Action, error) {
	if r.live.Get().Backend == config.BackendMemory && !r.IsLeaderFor(name(key)) {
		return nil, nil
	}
	ctx, end := r.watchdog.Begin(ctx, "recovery of queue "+key.String())
	defer end()
	return e.Overdue(ctx, key)
}
