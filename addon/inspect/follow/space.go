package follow

import (
	"context"
	"fmt"
	"slices"
	"time"

	repositorylisters "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/addon/watches"
)

// space has the queues of one namespace, or of all.
type space struct {
	watches      *watches.Watches
	runs         *pac.Runs
	leases       *lease.Store
	repositories *pac.Repositories
	shapes       *runqueue.Shapes // nil if RunQueues are not seen
	hidden       string           // what the user may not see of it
}

// newSpace watches what the user may watch of a namespace. It does not begin with it.
func newSpace(ctx context.Context, f *Follower, namespace string) (*space, error) {
	want, hidden, err := wanted(ctx, f, namespace)
	if err != nil {
		return nil, err
	}
	c := f.Clients
	s := &space{hidden: hidden}
	s.watches, err = watches.New(watches.Clients{Kube: c.Kube, Tekton: c.Tekton, PAC: c.PAC, RunQueues: c.RunQueues}, want)
	if err != nil {
		return nil, err
	}
	set := func() config.Config { return f.knows().Config(namespace) }
	var shapes pac.Shapes
	if want.RunQueues {
		s.shapes = runqueue.NewShapes(s.watches.RunQueues.GetStore(), nil)
		shapes = s.shapes
	}
	s.runs, err = pac.NewRuns(pac.By{
		Clock: f.Clock, Arrivals: s.watches.Arrivals, Ends: s.watches.Ends, Shapes: shapes,
		Kueue:       func() bool { return f.knows().Kueue && set().KueueAccounts != "" },
		Controllers: func() *pac.Controllers { return f.knows().controllersIn(set().PACNamespace) },
	}, nil, nil, s.watches.Sources()...)
	if err != nil {
		return nil, err
	}
	if s.leases, err = lease.New("", nil, s.watches.Leases, f.Clock, nil, nil); err != nil {
		return nil, err
	}
	s.repositories = pac.NewRepositories(nil, s.lister(f, namespace), s.watches.RunsOfPAC(), func() pac.Settings {
		is := set()
		return pac.Settings{
			Namespace: is.PACNamespace, Absent: f.knows().Absent[is.PACNamespace], GlobalRepository: is.PACGlobalRepository,
		}
	}, shapes)
	return s, s.tell(f, func() string { return set().PACNamespace })
}

// wanted is what there is to watch in a namespace, as far as the user may.
func wanted(ctx context.Context, f *Follower, namespace string) (want watches.Want, hidden string, err error) {
	c, first := f.Clients, metav1.ListOptions{Limit: 1}
	want = watches.Want{Namespace: namespace, PAC: &watches.PAC{Namespace: namespace}, RunQueues: f.knows().HeedRunQueues(namespace)}
	if _, err := c.Tekton.TektonV1().PipelineRuns(namespace).List(ctx, first); err != nil {
		return want, "", inspect.Explain(err, "PipelineRuns", namespace)
	}
	if _, err := c.Kube.CoordinationV1().Leases(namespace).List(ctx, first); err != nil {
		return want, "", inspect.Explain(err, "Leases", namespace)
	}
	switch _, err := c.PAC.PipelinesascodeV1alpha1().Repositories(namespace).List(ctx, first); {
	case apierrors.IsNotFound(err):
		want.PAC = nil
	case err != nil:
		return want, "", inspect.Explain(err, "Repositories", namespace)
	}
	if c.RunQueues == nil || !want.RunQueues {
		want.RunQueues = false
		return want, "", nil
	}
	switch _, err := c.RunQueues.In(namespace).List(ctx, first); {
	case apierrors.IsForbidden(err):
		want.RunQueues = false
		return want, inspect.RunQueuesHidden(namespace), nil
	case apierrors.IsNotFound(err): // their CRD may come
	case err != nil:
		return want, "", inspect.Explain(err, "RunQueues", namespace)
	}
	return want, "", nil
}

// tell has the observer told of what the watches show.
func (s *space) tell(f *Follower, pacNamespace func() string) error {
	listener := watches.Listener{
		Changed:    func(key queue.Key, _ bool) { f.Changed(key) },
		AllChanged: func(queue.Key) { f.AllChanged() },
	}
	if err := listener.Follow(s.watches, pacNamespace); err != nil {
		return err
	}
	for _, source := range s.watches.Sources() {
		if _, err := source.Informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(is any) { f.lived(nil, is) },
			UpdateFunc: f.lived,
			DeleteFunc: func(was any) { f.lived(was, nil) },
		}); err != nil {
			return fmt.Errorf("watch PipelineRuns: %w", err)
		}
	}
	return nil
}

func (s *space) keys() []queue.Key {
	keys := slices.Concat(s.runs.Keys(), s.leases.Keys(), s.watches.RepositoryKeys())
	if s.shapes != nil {
		keys = append(keys, s.shapes.Keys()...)
	}
	return keys
}

// snapshot reads a queue from the caches, slots before runs: see package inspect.
func (s *space) snapshot(key queue.Key, now time.Time) (is queue.Snapshot, missing bool, problems []string, err error) {
	ctx := context.Background()
	of, exists, err := s.repositories.Get(ctx, key, queue.Cached)
	if err != nil {
		return is, false, nil, err
	}
	is = queue.Snapshot{Key: key, Limit: of.Limit, Spec: of.Spec, Freshness: queue.Fresh}
	if is.Slots, err = s.leases.List(ctx, key, queue.Cached); err != nil {
		return is, false, nil, err
	}
	slices.SortFunc(is.Slots, func(a, b queue.Slot) int { return a.Index - b.Index })
	for i := range is.Slots {
		is.Slots[i].HeldSince = now // no claim is older than this look
	}
	is.Runs, err = s.runs.List(ctx, key, queue.Cached)
	return is, !exists, of.Problems, err
}

// lister finds the Repositories of the namespace, and those that other watches or the settings
// have; nil without PAC.
func (s *space) lister(f *Follower, namespace string) repositorylisters.RepositoryLister {
	watched := s.watches.Lister(func() string { return namespace })
	if watched == nil {
		return nil
	}
	return lister{watched, f, namespace}
}

type lister struct {
	repositorylisters.RepositoryLister
	f         *Follower
	namespace string
}

// Repositories implements repositorylisters.RepositoryLister.
func (l lister) Repositories(namespace string) repositorylisters.RepositoryNamespaceLister {
	if l.namespace == metav1.NamespaceAll || l.namespace == namespace {
		return l.RepositoryLister.Repositories(namespace)
	}
	if other := l.f.spaces[namespace]; other != nil {
		if watched := other.watches.Lister(func() string { return namespace }); watched != nil {
			return watched.Repositories(namespace)
		}
	}
	return l.f.knows().globals.Repositories(namespace)
}
