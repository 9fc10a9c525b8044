// Package watches has the informers of what queues are made of. They keep no more of each object
// than decisions need.
package watches

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	pacinformers "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/informers/externalversions"
	repositoryinformers "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/informers/externalversions/pipelinesascode/v1alpha1"
	repositorylisters "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Clients are those of one API server. Those of what is not watched may be nil.
type Clients struct {
	Kube kubernetes.Interface
	// Tekton needs v1 only.
	Tekton    tektonclient.Interface
	PAC       pacclient.Interface
	Metadata  metadata.Interface
	RunQueues *runqueue.Client
}

// Want is what is watched besides the slots.
type Want struct {
	// Namespace of the queues; empty for all.
	Namespace string
	// PAC is nil if nothing of PAC is watched: only runs that are labelled are queued.
	PAC *PAC
	// RunQueues says that RunQueues are watched, and the runs that are queued by their label.
	RunQueues bool
	// Pods says that the pods of runs are watched.
	Pods bool
}

// PAC is Pipelines-as-Code in a cluster: its runs and Repositories are watched in the namespace of
// the queues, and what concerns every queue in its own.
type PAC struct {
	Namespace string
	// ConfigMaps are those of its controllers.
	ConfigMaps []string
}

// Watches are the informers of one namespace, or of all, and those of PAC's namespace that concern
// every queue. Indexes and handlers are added before [Watches.Fill].
type Watches struct {
	Leases cache.SharedIndexInformer
	// Runs are PAC's, and Labelled those that are queued by their label; nil if they are not
	// watched.
	Runs, Labelled cache.SharedIndexInformer
	// Arrivals note when runs came, by informer, and Ends which of them are done.
	Arrivals []*pac.Arrivals
	Ends     *pac.Ends
	// Pods are nil unless they are watched.
	Pods cache.SharedIndexInformer
	// RunQueues are nil unless they are watched, and served says whether the API server has any.
	RunQueues cache.SharedIndexInformer

	served  func(context.Context) (bool, error)
	trimmer *pac.Trimmer
	// repositories are nil without PAC.
	repositories repositoryinformers.RepositoryInformer
	// global are the Repositories of PAC's namespace; the same as repositories
	// if those are of all namespaces.
	global repositoryinformers.RepositoryInformer
	// settings are the ConfigMaps of PAC's controllers, each by itself: a replica may watch those
	// alone.
	settings []settings
	read     controllersRead
	start    []func(stop <-chan struct{})
}

// settings is the ConfigMap of one controller.
type settings struct {
	name string
	coreinformers.ConfigMapInformer
}

// New returns the informers of what is wanted, which nothing has started yet.
func New(c Clients, want Want) (*Watches, error) {
	leases := informers.NewSharedInformerFactoryWithOptions(c.Kube, 0, informers.WithNamespace(want.Namespace),
		informers.WithTransform(lease.Trim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = lease.Selector }))
	w := &Watches{
		Leases: leases.Coordination().V1().Leases().Informer(), Ends: pac.NewEnds(), trimmer: pac.NewTrimmer(),
		start: []func(<-chan struct{}){leases.Start},
	}
	if want.RunQueues {
		err := errors.Join(w.watchRuns(c, want.Namespace, pac.LabelledSelector, &w.Labelled), w.watchRunQueues(c, want.Namespace))
		if err != nil {
			return nil, err
		}
	}
	if want.PAC != nil {
		err := errors.Join(w.watchRuns(c, want.Namespace, pac.Selector, &w.Runs), w.watchPAC(c, want.Namespace, *want.PAC))
		if err != nil {
			return nil, err
		}
	}
	if want.Pods {
		return w, w.watchPods(c, want.Namespace)
	}
	return w, nil
}

// watchRuns watches the runs that the selector selects. All of them share one budget.
func (w *Watches) watchRuns(c Clients, namespace, selector string, as *cache.SharedIndexInformer) error {
	arrivals := pac.NewArrivals()
	runs := tektoninformers.NewSharedInformerFactoryWithOptions(c.Tekton, 0, tektoninformers.WithNamespace(namespace),
		tektoninformers.WithTransform(func(obj any) (any, error) {
			arrivals.Note(obj)
			w.Ends.Note(obj)
			return w.trimmer.Cache(obj)
		}),
		tektoninformers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = selector
			arrivals.NoteRequest(*o)
		}))
	*as = runs.Tekton().V1().PipelineRuns().Informer()
	w.start, w.Arrivals = append(w.start, runs.Start), append(w.Arrivals, arrivals)
	if err := w.trimmer.Follow(*as); err != nil {
		return fmt.Errorf("trim PipelineRuns: %w", err)
	}
	if err := arrivals.Follow(*as); err != nil {
		return fmt.Errorf("note when PipelineRuns come: %w", err)
	}
	return nil
}

// watchPAC watches the Repositories and the settings of PAC.
func (w *Watches) watchPAC(c Clients, namespace string, of PAC) error {
	if namespace == metav1.NamespaceAll {
		of.Namespace = metav1.NamespaceAll // whichever it is, now or later
	}
	repositories := pacinformers.NewSharedInformerFactoryWithOptions(c.PAC, 0, pacinformers.WithNamespace(namespace))
	global := repositories
	if namespace != of.Namespace {
		global = pacinformers.NewSharedInformerFactoryWithOptions(c.PAC, 0, pacinformers.WithNamespace(of.Namespace))
	}
	w.repositories = repositories.Pipelinesascode().V1alpha1().Repositories()
	w.global = global.Pipelinesascode().V1alpha1().Repositories()
	w.start = append(w.start, repositories.Start, global.Start)
	for _, name := range of.ConfigMaps {
		one := informers.NewSharedInformerFactoryWithOptions(c.Kube, 0, informers.WithNamespace(of.Namespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name }))
		is := one.Core().V1().ConfigMaps()
		is.Informer() // a factory starts those that have been asked for
		w.settings = append(w.settings, settings{name, is})
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
func (w *Watches) watchPods(c Clients, namespace string) error {
	pods := metadatainformer.NewFilteredSharedInformerFactory(c.Metadata, 0, namespace, func(o *metav1.ListOptions) {
		o.LabelSelector, o.FieldSelector = pac.PodSelector, pac.PodFields
	})
	w.Pods = pods.ForResource(corev1.SchemeGroupVersion.WithResource("pods")).Informer()
	w.start = append(w.start, pods.Start)
	if err := w.Pods.SetTransform(pac.TrimPod); err != nil {
		return fmt.Errorf("trim pods: %w", err)
	}
	return nil
}

// Fill starts the informers and returns once every cache is filled.
func (w *Watches) Fill(ctx context.Context) error {
	for _, start := range w.start {
		start(ctx.Done())
	}
	synced := []cache.InformerSynced{w.Leases.HasSynced}
	for _, s := range w.settings {
		synced = append(synced, s.Informer().HasSynced)
	}
	for _, informer := range append(w.Repositories(), w.Runs, w.Labelled, w.Pods) {
		if informer != nil {
			synced = append(synced, informer.HasSynced)
		}
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) || w.RunQueues != nil && w.runQueuesKnown(ctx) != nil {
		return errors.New("stopped before the caches were filled")
	}
	return nil
}

// Repositories are the informers of Repositories, each once.
func (w *Watches) Repositories() []cache.SharedIndexInformer {
	switch {
	case w.repositories == nil:
		return nil
	case w.global.Informer() == w.repositories.Informer():
		return []cache.SharedIndexInformer{w.repositories.Informer()}
	default:
		return []cache.SharedIndexInformer{w.repositories.Informer(), w.global.Informer()}
	}
}

// RepositoryKeys are the queues of the Repositories in the watched namespace, whatever limit they
// have.
func (w *Watches) RepositoryKeys() []queue.Key {
	if w.repositories == nil {
		return nil
	}
	var keys []queue.Key
	for _, name := range w.repositories.Informer().GetStore().ListKeys() {
		keys = append(keys, queue.ParseKey(name))
	}
	return keys
}

// RunsOfPAC are PAC's runs; nil without PAC.
func (w *Watches) RunsOfPAC() cache.Indexer {
	if w.Runs == nil {
		return nil
	}
	return w.Runs.GetIndexer()
}

// Sources are the informers of runs.
func (w *Watches) Sources() []pac.Source {
	var sources []pac.Source
	if w.Runs != nil {
		sources = append(sources, pac.OfPAC(w.Runs))
	}
	if w.Labelled != nil {
		sources = append(sources, pac.Labelled(w.Labelled))
	}
	return sources
}

// Lister finds the Repositories of the watched namespace and of PAC's; nil without PAC.
func (w *Watches) Lister(pacNamespace func() string) repositorylisters.RepositoryLister {
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

// Controllers reads what PAC's controllers in the namespace are set to. It returns the same object
// until that changes.
func (w *Watches) Controllers(pacNamespace string) *pac.Controllers {
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
