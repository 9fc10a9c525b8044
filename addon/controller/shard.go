package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"knative.dev/pkg/system"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller/watchdog"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/annotate"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/status"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
	"github.com/pac-lease-queue/pac-lease-queue/addon/watches"
)

// shard is what sees and writes the queues of one namespace, or of all namespaces.
type shard struct {
	engine  *engine.Engine
	runs    *pac.Runs
	leases  *lease.Store
	shapes  *runqueue.Shapes // nil without RunQueues
	watches *watches.Watches
}

// keys lists its queues; one that has runs and Leases is there twice.
func (s *shard) keys() []queue.Key {
	keys := slices.Concat(s.runs.Keys(), s.leases.Keys())
	if s.shapes != nil {
		keys = append(keys, s.shapes.Keys()...)
	}
	return keys
}

// distinctKeys lists its queues, each once.
func (s *shard) distinctKeys() []queue.Key { return slices.Collect(maps.Keys(queue.KeySet(s.keys()))) }

// ahead puts a queue that is among them before the others.
func ahead(keys []queue.Key, first queue.Key) []queue.Key {
	if i := slices.Index(keys, first); i > 0 {
		keys[0], keys[i] = keys[i], keys[0]
	}
	return keys
}

// shards are by namespace, or one of all namespaces: a replica that may not look everywhere has one
// for each namespace that it may look into. They are complete before anything is done with them.
// To the replica they are one engine, and to the annotator one board.
type shards struct {
	watchdog *watchdog.Watchdog
	of       map[string]*shard
}

var (
	_ replica.Engine = shards{}
	_ annotate.Board = shards{}
)

// shard returns the one that has the queue.
func (s shards) shard(key queue.Key) (*shard, error) {
	if shard, ok := s.of[key.Namespace]; ok {
		return shard, nil
	}
	if shard, ok := s.of[metav1.NamespaceAll]; ok {
		return shard, nil
	}
	return nil, fmt.Errorf("queue %s: this replica does not watch namespace %s", key, key.Namespace)
}

// keys lists all queues that exist as far as the caches know, each once.
func (s shards) keys() []queue.Key {
	all := map[queue.Key]bool{}
	for _, shard := range s.of {
		for _, key := range shard.keys() {
			all[key] = true
		}
	}
	return slices.Collect(maps.Keys(all))
}

// Reconcile implements replica.Engine.
func (s shards) Reconcile(ctx context.Context, key queue.Key) (time.Time, error) {
	shard, err := s.shard(key)
	if err != nil {
		return time.Time{}, err
	}
	ctx, end := s.watchdog.Begin(ctx, "queue "+key.String())
	defer end()
	return shard.engine.Reconcile(ctx, key)
}

// Changed implements replica.Engine.
func (s shards) Changed(key queue.Key) {
	if shard, err := s.shard(key); err == nil {
		shard.engine.Changed(key)
	}
}

// Overdue implements replica.Engine.
func (s shards) Overdue(ctx context.Context, key queue.Key) ([]queue.Action, time.Time, error) {
	shard, err := s.shard(key)
	if err != nil {
		return nil, time.Time{}, err
	}
	ctx, end := s.watchdog.Begin(ctx, "recovery of queue "+key.String())
	defer end()
	return shard.engine.Overdue(ctx, key)
}

// Shown implements annotate.Board.
func (s shards) Shown(key queue.Key, run queue.Run) (texts map[string]string, known bool) {
	shard, err := s.shard(key)
	if err != nil {
		return nil, false
	}
	return shard.runs.Shown(key, run)
}

// Show implements annotate.Board.
func (s shards) Show(ctx context.Context, key queue.Key, run queue.Run, texts map[string]string) error {
	shard, err := s.shard(key)
	if err != nil {
		return err
	}
	return shard.runs.Show(ctx, key, run, texts)
}

// runQueues returns the RunQueues that a queue has its own among; nil if those are not known.
func (s shards) runQueues(key queue.Key) *runqueue.Shapes {
	shard, err := s.shard(key)
	if err != nil || shard.shapes == nil || !shard.watches.RunQueues.HasSynced() {
		return nil
	}
	return shard.shapes
}

// common is what the shards of a replica share.
type common struct {
	clients       *clients
	environment   config.Environment
	configuration *configuration
	replica       *replica.Replica
	memory        *memory.Store
	observer      engine.Observer
	clock         clock.Clock
	gate          *paged.Gate
	kueue         *kueue
	statuses      *status.Writer // nil without RunQueues
}

// wanted is what a replica watches of a namespace.
func wanted(e config.Environment, namespace, pacNamespace string) watches.Want {
	want := watches.Want{Namespace: namespace, RunQueues: e.RunQueues, Pods: e.Release.SeesPods()}
	if !e.WithoutPAC {
		want.PAC = &watches.PAC{Namespace: pacNamespace, ConfigMaps: append([]string{pac.SettingsName}, e.PACConfigMaps...)}
	}
	return want
}

func newShard(c common, namespace string) (*shard, error) {
	configuration := c.configuration
	w, err := watches.New(c.clients.watched(), wanted(c.environment, namespace, configuration.Get().PACNamespace))
	if err != nil {
		return nil, err
	}
	by := pac.By{
		Replica: system.PodName(), Clock: c.clock, Gate: c.gate, Arrivals: w.Arrivals, Ends: w.Ends, Texts: c.clients.texts.runs,
		Controllers: func() *pac.Controllers { return w.Controllers(configuration.Get().PACNamespace) },
	}
	tells := watches.Listener{Changed: c.replica.Changed, Progress: c.replica.Progress}
	by.Learnt = tells.Moved
	s := &shard{watches: w}
	var shapes pac.Shapes
	if c.environment.RunQueues {
		s.shapes = runqueue.NewShapes(w.RunQueues.GetStore(), c.clients.runQueues.Get)
		shapes, tells.Shown = s.shapes, c.statuses.Changed
	}
	by.Shapes = shapes
	kueueStarts := func() bool { return configuration.Get().KueueAccounts != "" }
	by.Kueue = func() bool { return kueueStarts() && c.kueue.Admits() }
	by.AskForKueue = func(ctx context.Context) (bool, error) {
		if !kueueStarts() {
			return false, nil
		}
		return c.kueue.Look(ctx)
	}
	runs, err := pac.NewRuns(by, c.clients.tekton.TektonV1(), pac.MetadataOf(c.clients.metadata), w.Sources()...)
	if err != nil {
		return nil, err
	}
	leases, err := lease.New(
		system.PodName(),
		c.clients.kube.CoordinationV1(),
		w.Leases,
		c.clock,
		func() time.Duration { return configuration.Get().Policy.ClaimTTL },
		c.gate,
	)
	if err != nil {
		return nil, err
	}
	pacNamespace := func() string { return configuration.Get().PACNamespace }
	repositories := pac.NewRepositories(
		c.clients.pac.PipelinesascodeV1alpha1(),
		w.Lister(pacNamespace),
		w.RunsOfPAC(),
		func() pac.Settings {
			is := configuration.Get()
			absent := w.Controllers(is.PACNamespace).Unseen
			return pac.Settings{Namespace: is.PACNamespace, Absent: absent, GlobalRepository: is.PACGlobalRepository}
		},
		shapes,
	)
	var podsLeft func(queue.Key, queue.Holder) *queue.Pods
	if c.environment.Release.SeesPods() {
		pods, err := pac.NewPods(w.Pods)
		if err != nil {
			return nil, err
		}
		podsLeft = pods.Left
	}
	s.runs, s.leases = runs, leases
	s.engine = engine.New(engine.Config{
		Pods:         podsLeft,
		Release:      c.environment.Release.Of(queue.ReleaseByDefault),
		Repositories: repositories,
		Runs:         runs,
		Stores:       func() []engine.Store { return c.replica.Stores(leases, c.memory) },
		Clock:        c.clock,
		Policy:       func() queue.Policy { return configuration.Get().Policy },
		HandBack:     func() bool { return c.replica.Settings().HandBack },
		Observer:     c.observer,
		Bounds:       engine.Bounds{Writes: 32, Reads: 16, Starts: 8},
	})
	tells.AllChanged = func(first queue.Key) { c.replica.AllChanged(ahead(s.distinctKeys(), first)) }
	return s, tells.Follow(w, pacNamespace)
}
