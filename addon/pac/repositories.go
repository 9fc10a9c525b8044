package pac

import (
	"cmp"
	"context"
	"fmt"
	"iter"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned/typed/pipelinesascode/v1alpha1"
	paclister "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Repositories is the [engine.Repositories] on PAC's Repositories. It answers from informers unless
// asked for a fresh answer, and is safe for concurrent use.
type Repositories struct {
	client       pacclient.RepositoriesGetter
	repositories paclister.RepositoryLister
	runs         cache.Indexer // with the index of [NewRuns]
	settings     func() Settings
	shapes       Shapes
}

// Settings are what queues depend on besides Repositories and runs.
type Settings struct {
	// Namespace is where PAC and its global Repository are.
	Namespace string
	// Absent says that PAC is not there: its ConfigMap [SettingsName] is not.
	Absent bool
	// GlobalRepository is the name of the global Repository for runs that name none.
	GlobalRepository string
}

// unshaped are queues that are as PAC has them.
type unshaped struct{}

// Of implements Shapes.
func (unshaped) Of(queue.Key) Shape { return nil }

// Own implements Shapes.
func (unshaped) Own(context.Context, queue.Key, queue.Freshness) (Own, bool, error) {
	return Own{}, false, nil
}

var _ engine.Repositories = (*Repositories)(nil)

// NewRepositories reads through the lister, and through the informer of PAC's runs to find out
// which global Repository their controller uses. It calls settings at every look. Without shapes,
// queues are as PAC has them. Without a lister, PAC is not in the cluster: there are no
// Repositories, and nothing but shapes is used.
func NewRepositories(
	client pacclient.RepositoriesGetter, repositories paclister.RepositoryLister, runs cache.Indexer, settings func() Settings,
	shapes Shapes,
) *Repositories {
	if shapes == nil {
		shapes = unshaped{}
	}
	return &Repositories{client: client, repositories: repositories, runs: runs, settings: settings, shapes: shapes}
}

// Get implements engine.Repositories. It merges the Repository with PAC's global one, as PAC does
// (pkg/reconciler/queue_pipelineruns.go). A queue without a Repository is that of the RunQueue.
func (r *Repositories) Get(ctx context.Context, key queue.Key, freshness queue.Freshness) (engine.Repository, bool, error) {
	repository, err := r.get(ctx, key.Namespace, key.Repository, freshness)
	switch {
	case err != nil:
		return engine.Repository{}, false, err
	case repository == nil:
		return r.own(ctx, key, freshness)
	case repository.DeletionTimestamp != nil:
		return engine.Repository{}, false, nil
	}
	settings := r.settings()
	var global *v1alpha1.Repository
	if repository.Spec.ConcurrencyLimit == nil { // else nothing is inherited
		name := cmp.Or(GlobalName(r.hints(key)), settings.GlobalRepository)
		if global, err = r.get(ctx, settings.Namespace, name, freshness); err != nil {
			return engine.Repository{}, false, err
		}
	}
	q := engine.Repository{Key: key, UID: string(repository.UID), Spec: r.spec(key)}
	q.Limit, q.Problems = ReadLimit(repository, global)
	if settings.Absent && q.Limit == queue.Unlimited {
		q.Limit, q.Problems = UnseenLimit(settings.Namespace, r.hints(key))
	}
	return q, true, nil
}

// own is the queue of a RunQueue without a Repository.
func (r *Repositories) own(ctx context.Context, key queue.Key, freshness queue.Freshness) (engine.Repository, bool, error) {
	own, exists, err := r.shapes.Own(ctx, key, freshness)
	if err != nil || !exists {
		return engine.Repository{}, false, err
	}
	return engine.Repository{Key: key, UID: own.UID, ByRunQueue: true, Limit: own.Limit, Spec: r.spec(key)}, true, nil
}

func (r *Repositories) spec(key queue.Key) queue.Spec {
	if shape := r.shapes.Of(key); shape != nil {
		return shape.Spec()
	}
	return queue.Spec{}
}

// get returns nil for a Repository that does not exist.
func (r *Repositories) get(
	ctx context.Context, namespace, name string, freshness queue.Freshness,
) (repository *v1alpha1.Repository, err error) {
	if r.repositories == nil {
		return nil, nil
	}
	if freshness == queue.Fresh {
		repository, err = r.client.Repositories(namespace).Get(ctx, name, metav1.GetOptions{})
	} else {
		repository, err = r.repositories.Repositories(namespace).Get(name)
	}
	if notThere(err) {
		return nil, nil
	}
	return repository, err
}

// ReadLimit returns the limit of a Repository, inherited from PAC's global one, if there is one,
// unless the Repository sets its own. PAC's CRD refuses limits below 1, but an installed CRD may be
// older: a negative limit is read as 1, the safest valid limit.
func ReadLimit(repository, global *v1alpha1.Repository) (queue.Limit, []string) {
	spec := v1alpha1.RepositorySpec{ConcurrencyLimit: repository.Spec.ConcurrencyLimit}
	if global != nil {
		spec.Merge(v1alpha1.RepositorySpec{ConcurrencyLimit: global.Spec.ConcurrencyLimit})
	}
	switch limit := spec.ConcurrencyLimit; {
	case limit == nil, *limit == 0:
		return queue.Unlimited, nil
	case *limit < 0:
		return 1, []string{fmt.Sprintf("concurrency_limit is %d, which is not a valid limit; runs start one at a time. Set "+
			"it to 1 or more, or remove it.", *limit)}
	default:
		return queue.Limit(*limit), nil
	}
}

// UnseenLimit returns the limit of a Repository that sets none if PAC is not in the namespace in
// which its global Repository is looked for. PAC queues a run only for a limit, so the runs of the
// queue prove one of at least 1, the only limit that cannot be too high. A queue in which PAC has
// started every run without queueing it has none.
func UnseenLimit(namespace string, runs iter.Seq[Hint]) (queue.Limit, []string) {
	queued, unqueued := false, false
	for hint := range runs {
		queued, unqueued = queued || hint.queued, unqueued || !hint.queued
	}
	if unqueued && !queued {
		return queue.Unlimited, nil
	}
	return 1, []string{fmt.Sprintf("Pipelines-as-Code is not in namespace %s, so the limit that it queues these runs for is not seen; "+
		"runs start one at a time. An operator must set the value pac.namespace of pac-lease-queue to where the ConfigMap %s of "+
		"Pipelines-as-Code is, or set a concurrency_limit here.", namespace, SettingsName)}
}

// Hint is what a run says of the limit of its queue.
type Hint struct {
	name    string
	created int64 // Unix seconds
	// info is its controller-info annotation (pkg/params/info/controller_info.go).
	info string
	// queued says that PAC has queued it.
	queued bool
}

// Hints are those of runs of one queue.
func Hints(runs []*tektonv1.PipelineRun) iter.Seq[Hint] {
	return func(yield func(Hint) bool) {
		for _, pr := range runs {
			if !yield(cached(Trim(pr)).hint()) {
				return
			}
		}
	}
}

func (c *Cached) hint() Hint {
	return Hint{
		name: c.name, created: c.created, info: c.shared.Value().info.Value(), queued: c.order != "" || c.pending,
	}
}

// hints are those of the runs of a queue in the informer that are not over.
func (r *Repositories) hints(key queue.Key) iter.Seq[Hint] {
	return func(yield func(Hint) bool) {
		objects, err := r.runs.ByIndex(indexQueue, key.String())
		if err != nil {
			return
		}
		for _, obj := range objects {
			if !yield(obj.(*Cached).hint()) {
				return
			}
		}
	}
}

// GlobalName returns the global Repository that the newest of a queue's runs names; empty if none
// does. A run that names none does not count: it would lift an inherited limit from all the others.
func GlobalName(runs iter.Seq[Hint]) string {
	name := ""
	var newest Hint
	var text string // nearly always the same for all runs
	var info controllerInfo
	for hint := range runs {
		if name != "" && (hint.created < newest.created || hint.created == newest.created && hint.name < newest.name) {
			continue
		}
		if hint.info != text {
			text, info = hint.info, readInfo(hint.info)
		}
		if info.GlobalRepository != "" {
			newest, name = hint, info.GlobalRepository
		}
	}
	return name
}
