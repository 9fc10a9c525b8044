package controller

import (
	"context"
	"time"

	"k8s.io/utils/clock"
	"knative.dev/pkg/system"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/annotate"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
)

// shard is all that works on the queues of one namespace, or of all namespaces: a
// replica that may not look everywhere has one for each that it may look into.
type shard struct {
	engine   *engine.Engine
	recovery *recovery.Loop
	notices  *annotate.Annotator
	keys     func() []queue.Key
	watches  *watches
}

// shared is what shards have in common.
type shared struct {
	clients  *clients
	live     *configuration
	slots    *memory.Store
	recorder engine.Recorder
	metrics  *metrics.Metrics
	clock    clock.Clock
	wake     func(queue.Key)
	outside  Outside
	acts     func(*shard, queue.Key) bool
	// overdue is what recovery goes by, given what the engine says.
	overdue func(context.Context, *engine.Engine, queue.Key) ([]queue.Action, error)
}

func newShard(c shared, namespace string) (*shard, error) {
	live := c.live
	w, err := newWatches(c.clients, namespace, live.Get().PACNamespace)
	if err != nil {
		return nil, err
	}
	runs, err := pac.NewRuns(pac.By{Replica: system.PodName(), Clock: c.clock}, c.clients.tekton.TektonV1(), w.runs)
	if err != nil {
		return nil, err
	}
	leases, err := lease.New(c.clients.kube.CoordinationV1(), w.leases, c.clock, func() time.Duration { return live.Get().Policy.ClaimTTL })
	if err != nil {
		return nil, err
	}
	pacNamespace := func() string { return live.Get().PACNamespace }
	s := &shard{watches: w}
	s.keys = func() []queue.Key { return union(runs.Keys(), leases.Keys()) }
	s.notices = annotate.New(annotate.Config{
		Board: runs, Recorder: c.recorder, Clock: c.clock,
		Policy:  func() queue.Policy { return live.Get().Policy },
		Refresh: func() annotate.Refresh { return live.Get().Annotations },
		Acts:    func(key queue.Key) bool { return c.acts(s, key) },
	})
	repositories := pac.NewRepositories(c.clients.pac.PipelinesascodeV1alpha1(), w.lister(pacNamespace), w.runs.GetIndexer(), func() pac.Settings {
		is := live.Get()
		return pac.Settings{Namespace: is.PACNamespace, GlobalRepository: is.PACGlobalRepository, CancelInProgress: w.cancelInProgress(is.PACNamespace)}
	})
	s.engine = engine.New(engine.Config{
		Repositories: repositories,
		Runs:         runs,
		Stores: func() []engine.Store {
			if live.Get().Backend == config.BackendMemory {
				return []engine.Store{c.slots, leases}
			}
			return []engine.Store{leases, c.slots}
		},
		Recorder: c.recorder,
		Clock:    c.clock,
		Policy:   func() queue.Policy { return live.Get().Policy },
		HandBack: func() bool { return live.Get().HandBack },
		Observer: engine.Observers{c.metrics, s.notices, c.outside.Live},
	})
	s.recovery = recovery.New(recovery.Config{
		Keys: s.keys, Wake: c.wake, Clock: c.clock,
		Due:    func(ctx context.Context, key queue.Key) ([]queue.Action, error) { return c.overdue(ctx, s.engine, key) },
		Timing: func() recovery.Timing { return live.Get().Recovery },
		Late:   c.metrics.Late,
		TookOver: func(key queue.Key, step queue.Action, after time.Duration) {
			// As the cache has it: no request, and nothing to wait for.
			if q, exists, err := repositories.Get(context.Background(), key, queue.Cached); err == nil && exists {
				c.recorder.Record(report.Recovered(key, q.UID, step, after))
			}
		},
	})
	return s, w.each(c.wake, s.keys, pacNamespace)
}
