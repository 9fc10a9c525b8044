package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacinformers "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/informers/externalversions"
	repositoryinformers "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/informers/externalversions/pipelinesascode/v1alpha1"
	repositorylisters "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// watches are the informers of one namespace, or of all, and those of PAC's namespace that concern
// every queue. They keep no more of each object than decisions need.
type watches struct {
	leases cache.SharedIndexInformer
	// runs are PAC's, and labelled those that are queued by their label; nil if there are none.
	runs, labelled cache.SharedIndexInformer
	trimmer        *pac.Trimmer
	arrivals       []*pac.Arrivals
	ends           *pac.Ends
	// repositories are nil without PAC.
	repositories repositoryinformers.RepositoryInformer
	// global are the Repositories of PAC's namespace; the same as repositories
	// if those are of all namespaces.
	global repositoryinformers.RepositoryInformer
	// settings are the ConfigMaps of PAC's controllers, each by itself: a replica may watch those
	// alone. The first one is [pac.SettingsName].
	settings []pacSettings
	read     controllersRead
	// pods are nil if a slot is free once its holder is done.
	pods cache.SharedIndexInformer
	// runQueues are nil if queues have none, and served says whether the API server has any.
	runQueues cache.SharedIndexInformer
	served    func(context.Context) (bool, error)
	start     []func(stop <-chan struct{})
}

// pacSettings is the ConfigMap of one controller.
type pacSettings struct {
	name string
	coreinformers.ConfigMapInformer
}

// newWatches watches the queues of a namespace, with PAC in the other namespace.
func newWatches(c *clients, namespace, pacNamespace string, environment config.Environment) (*watches, error) {
	if namespace == metav1.NamespaceAll {
		pacNamespace = metav1.NamespaceAll // whichever it is, now or later
	}
	leases := informers.NewSharedInformerFactoryWithOptions(c.kube, 0, informers.WithNamespace(namespace),
		informers.WithTransform(lease.Trim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = lease.Selector }))
	w := &watches{
		leases: leases.Coordination().V1().Leases().Informer(), ends: pac.NewEnds(), trimmer: pac.NewTrimmer(),
		start: []func(<-chan struct{}){leases.Start},
	}
	if environment.RunQueues {
		if err := w.watchRuns(c, namespace, pac.LabelledSelector, &w.labelled); err != nil {
			return nil, err
		}
	}
	if environment.WithoutPAC {
		return w, nil
	}
	if err := w.watchRuns(c, namespace, pac.Selector, &w.runs); err != nil {
		return nil, err
	}
	return w, w.watchPAC(c, namespace, pacNamespace, environment.PACConfigMaps)
}

// watchRuns watches the runs that the selector selects. All of them share one budget.
func (w *watches) watchRuns(c *clients, namespace, selector string, as *cache.SharedIndexInformer) error {
	arrivals := pac.NewArrivals()
	runs := tektoninformers.NewSharedInformerFactoryWithOptions(c.tekton, 0, tektoninformers.WithNamespace(namespace),
		tektoninformers.WithTransform(func(obj any) (any, error) {
			arrivals.Note(obj)
			w.ends.Note(obj)
			return w.trimmer.Cache(obj)
		}),
		tektoninformers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = selector
			arrivals.NoteRequest(*o)
		}))
	*as = runs.Tekton().V1().PipelineRuns().Informer()
	w.start, w.arrivals = append(w.start, runs.Start), append(w.arrivals, arrivals)
	if err := w.trimmer.Follow(*as); err != nil {
		return fmt.Errorf("trim PipelineRuns: %w", err)
	}
	if err := arrivals.Follow(*as); err != nil {
		return fmt.Errorf("note when PipelineRuns come: %w", err)
	}
	return nil
}

// watchPAC watches the Repositories and the settings of PAC.
func (w *watches) watchPAC(c *clients, namespace, pacNamespace string, further []string) error {
	repositories := pacinformers.NewSharedInformerFactoryWithOptions(c.pac, 0, pacinformers.WithNamespace(namespace))
	global := repositories
	if namespace != pacNamespace {
		global = pacinformers.NewSharedInformerFactoryWithOptions(c.pac, 0, pacinformers.WithNamespace(pacNamespace))
	}
	w.repositories = repositories.Pipelinesascode().V1alpha1().Repositories()
	w.global = global.Pipelinesascode().V1alpha1().Repositories()
	w.start = append(w.start, repositories.Start, global.Start)
	for _, name := range slices.Concat([]string{pac.SettingsName}, further) {
		one := informers.NewSharedInformerFactoryWithOptions(c.kube, 0, informers.WithNamespace(pacNamespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name }))
		w.settings = append(w.settings, pacSettings{name, one.Core().V1().ConfigMaps()})
		w.start = append(w.start, one.Start)
	}
	for _, r := range []repositoryinformers.RepositoryInformer{w.repositories, w.global} {
		if err := r.Informer().SetTransform(pac.TrimRepository); err != nil {
			return fmt.Errorf("trim Repositories: %w", err)
		}
	}
	return nil
}

// watchPods watches the pods of runs in a namespace, too.
func (w *watches) watchPods(c *clients, namespace string) error {
	pods := metadatainformer.NewFilteredSharedInformerFactory(c.metadata, 0, namespace, func(o *metav1.ListOptions) {
		o.LabelSelector, o.FieldSelector = pac.PodSelector, pac.PodFields
	})
	w.pods = pods.ForResource(corev1.SchemeGroupVersion.WithResource("pods")).Informer()
	w.start = append(w.start, pods.Start)
	if err := w.pods.SetTransform(pac.TrimPod); err != nil {
		return fmt.Errorf("trim pods: %w", err)
	}
	return nil
}

// canWait says whether what an event says anew can wait for a moment: a start and what follows it
// are then looked at together. Nothing can that may make room.
func canWait(was, is any) bool { return pac.CanWait(was, is) || lease.CanWait(is) }

// listener is told what the watches show. No function of it may wait.
type listener struct {
	// changed is called for a queue of which an event says anything new, and with whether that can
	// wait.
	changed func(key queue.Key, canWait bool)
	// allChanged is called for an event that may concern every queue, and one before all.
	allChanged func(first queue.Key)
	// progress is called for a write of a replica to a queue. The replica is empty if the write
	// does not tell.
	progress func(key queue.Key, replica string)
	// shown is called for a queue whose RunQueue has another status.
	shown func(key queue.Key)
}

// each tells a listener of every event.
func (w *watches) each(l listener, pacNamespace func() string) error {
	ofRun := func(obj any, canWait bool) {
		if key, ok := pac.KeyOfCached(obj); ok {
			l.changed(key, canWait)
		}
	}
	ofLease := func(obj any, canWait bool) {
		if key, ok := lease.KeyOf(obj); ok {
			l.changed(key, canWait)
		}
	}
	ofSettings := func(any, bool) { l.allChanged(queue.Key{}) }
	ofRepository := func(obj any, _ bool) {
		o, ok := obj.(*pacv1alpha1.Repository)
		if !ok {
			return
		}
		key := queue.Key{Namespace: o.GetNamespace(), Repository: o.GetName()}
		if o.GetNamespace() == pacNamespace() {
			l.allChanged(key) // perhaps the global one, whose limit is the default of every queue
			return
		}
		l.changed(key, false)
	}
	type watch struct {
		informer cache.SharedIndexInformer
		tell     func(obj any, canWait bool)
	}
	watched := []watch{{w.leases, ofLease}}
	for _, runs := range []cache.SharedIndexInformer{w.runs, w.labelled} {
		if runs != nil {
			watched = append(watched, watch{runs, ofRun})
		}
	}
	for _, repositories := range w.ofPAC() {
		watched = append(watched, watch{repositories, ofRepository})
	}
	for _, s := range w.settings {
		watched = append(watched, watch{s.Informer(), ofSettings})
	}
	if w.pods != nil {
		watched = append(watched, watch{w.pods, ofRun})
	}
	for _, watch := range watched {
		tell := func(obj any, canWait bool) {
			if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
				obj = tombstone.Obj
			}
			watch.tell(obj, canWait)
		}
		if _, err := watch.informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(is any, listed bool) {
				if !listed {
					l.moved(nil, is)
				}
				tell(is, canWait(nil, is))
			},
			UpdateFunc: func(was, is any) {
				if !pac.IsNews(was, is) {
					return
				}
				l.moved(was, is)
				tell(is, canWait(was, is))
				if left(was, is) {
					tell(was, false)
				}
			},
			DeleteFunc: func(obj any) { tell(obj, false) },
		}); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	if w.runQueues != nil {
		return w.eachRunQueue(l)
	}
	return nil
}

// left says that an object has gone from the queue that it was in.
func left(was, is any) bool {
	before, queued := keyOf(was)
	now, still := keyOf(is)
	return queued && !(still && before == now)
}

// keyOf is the queue that a slot, a run or a pod of one is in.
func keyOf(obj any) (queue.Key, bool) {
	if key, ours := lease.KeyOf(obj); ours {
		return key, true
	}
	return pac.KeyOfCached(obj)
}

// moved tells of a write by a replica, if that is what lies between two versions of an object. was
// is nil for a new one.
func (l listener) moved(was, is any) {
	replica, moved := lease.Moved(was, is)
	if _, isRun := is.(*pac.Cached); isRun {
		replica, moved = pac.Moved(was, is)
	}
	if key, ours := keyOf(is); moved && ours {
		l.progress(key, replica)
	}
}

// fill starts the informers and returns once every cache is filled.
func (w *watches) fill(ctx context.Context) error {
	for _, start := range w.start {
		start(ctx.Done())
	}
	synced := []cache.InformerSynced{w.leases.HasSynced}
	for _, s := range w.settings {
		synced = append(synced, s.Informer().HasSynced)
	}
	for _, informer := range append(w.ofPAC(), w.runs, w.labelled, w.pods) {
		if informer != nil {
			synced = append(synced, informer.HasSynced)
		}
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) || w.runQueues != nil && w.runQueuesKnown(ctx) != nil {
		return errors.New("stopped before the caches were filled")
	}
	return nil
}

// ofPAC are the informers of Repositories, each once.
func (w *watches) ofPAC() []cache.SharedIndexInformer {
	switch {
	case w.repositories == nil:
		return nil
	case w.global.Informer() == w.repositories.Informer():
		return []cache.SharedIndexInformer{w.repositories.Informer()}
	default:
		return []cache.SharedIndexInformer{w.repositories.Informer(), w.global.Informer()}
	}
}

// runsOfPAC are PAC's runs; nil without PAC.
func (w *watches) runsOfPAC() cache.Indexer {
	if w.runs == nil {
		return nil
	}
	return w.runs.GetIndexer()
}

// sources are the informers of runs.
func (w *watches) sources() []pac.Source {
	var sources []pac.Source
	if w.runs != nil {
		sources = append(sources, pac.OfPAC(w.runs))
	}
	if w.labelled != nil {
		sources = append(sources, pac.Labelled(w.labelled))
	}
	return sources
}

// lister finds the Repositories of the watched namespace and of PAC's; nil without PAC.
func (w *watches) lister(pacNamespace func() string) repositorylisters.RepositoryLister {
	if w.repositories == nil {
		return nil
	}
	return repositories{w.repositories.Lister(), w.global.Lister(), pacNamespace}
}

type repositories struct {
	repositorylisters.RepositoryLister
	global       repositorylisters.RepositoryLister
	pacNamespace func() string
}

// Repositories implements repositorylisters.RepositoryLister.
func (r repositories) Repositories(namespace string) repositorylisters.RepositoryNamespaceLister {
	if namespace == r.pacNamespace() {
		return r.global.Repositories(namespace)
	}
	return r.RepositoryLister.Repositories(namespace)
}

// controllersRead is what the ConfigMaps of PAC's controllers were read as.
type controllersRead struct {
	mu   sync.Mutex
	from []*corev1.ConfigMap // objects of informers, which never change
	as   *pac.Controllers
}

// controllers reads what PAC's controllers in the namespace are set to. It returns the same object
// until that changes.
func (w *watches) controllers(pacNamespace string) *pac.Controllers {
	from := make([]*corev1.ConfigMap, len(w.settings))
	for i, s := range w.settings {
		if cm, err := s.Lister().ConfigMaps(pacNamespace).Get(s.name); err == nil {
			from[i] = cm
		}
	}
	w.read.mu.Lock()
	defer w.read.mu.Unlock()
	if w.read.as != nil && slices.Equal(from, w.read.from) {
		return w.read.as
	}
	is := &pac.Controllers{Unseen: true}
	for i, s := range w.settings {
		switch {
		case from[i] == nil:
		case s.name == pac.SettingsName:
			is.Default, is.Unseen = pac.ReadFeatures(from[i]), false
		default:
			if is.Further == nil {
				is.Further = map[string]pac.Features{}
			}
			is.Further[s.name] = pac.ReadFeatures(from[i])
		}
	}
	w.read.from, w.read.as = from, is
	return is
}
