package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	pacinformers "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/informers/externalversions"
	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/status"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/system"
)

const (
	// Component names this controller in leader election, logs and events.
	Component = "pac-lease-queue"

	// concurrency is how many queues are worked on at a time: it is all waiting
	// for the API server.
	concurrency = 8

	// After a refused write the informer usually brings the news within
	// milliseconds; this is for the case that it does not.
	staleRetry = 200 * time.Millisecond
	// After an error, per queue: recovery would look again after seconds anyway.
	errorRetryMin, errorRetryMax = 100 * time.Millisecond, 5 * time.Second
)

// New builds the controller. It returns once every cache is filled; ready is
// called then.
func New(ready func()) injection.ControllerConstructor {
	return func(ctx context.Context, cmw configmap.Watcher) *controller.Impl {
		impl, err := build(ctx, cmw)
		if err != nil {
			logging.FromContext(ctx).Fatalw("Cannot start", "error", err)
		}
		ready()
		return impl
	}
}

func build(ctx context.Context, cmw configmap.Watcher) (*controller.Impl, error) {
	restConfig := injection.GetConfig(ctx)
	kube := kubeclient.Get(ctx)
	tekton, err := tektonclient.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("tekton client: %w", err)
	}
	paas, err := pacclient.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("pipelines-as-code client: %w", err)
	}
	recorder := newRecorder(ctx, kube)
	clk := clock.RealClock{}

	live, err := watchConfiguration(ctx, kube, cmw, recorder, clk)
	if err != nil {
		return nil, err
	}

	// What every replica watches, and no more of it than decisions need.
	runFactory := tektoninformers.NewSharedInformerFactoryWithOptions(tekton, 0,
		tektoninformers.WithTransform(pac.TrimRun),
		tektoninformers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = pac.Selector }))
	leaseFactory := informers.NewSharedInformerFactoryWithOptions(kube, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = lease.Selector }))
	settingsFactory := informers.NewSharedInformerFactoryWithOptions(kube, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + pac.SettingsName }))
	repositoryFactory := pacinformers.NewSharedInformerFactoryWithOptions(paas, 0)
	runInformer := runFactory.Tekton().V1().PipelineRuns().Informer()
	leaseInformer := leaseFactory.Coordination().V1().Leases().Informer()
	repositories := repositoryFactory.Pipelinesascode().V1alpha1().Repositories()
	settings := settingsFactory.Core().V1().ConfigMaps()
	if err := repositories.Informer().SetTransform(pac.TrimRepository); err != nil {
		return nil, fmt.Errorf("trim Repositories: %w", err)
	}

	runs, err := pac.NewRuns(tekton.TektonV1(), runInformer)
	if err != nil {
		return nil, err
	}
	leases, err := lease.New(kube.CoordinationV1(), leaseInformer, clk, func() time.Duration { return live.Get().Policy.ClaimTTL })
	if err != nil {
		return nil, err
	}
	slots := memory.New()
	eng := engine.New(engine.Config{
		Repositories: pac.NewRepositories(paas.PipelinesascodeV1alpha1(), repositories.Lister(), runInformer.GetIndexer(),
			func() string { return live.Get().PACNamespace },
			func() queue.CancelInProgress {
				cm, err := settings.Lister().ConfigMaps(live.Get().PACNamespace).Get(pac.SettingsName)
				if err != nil {
					return queue.CancelInProgress{} // PAC's defaults, as without a ConfigMap
				}
				return pac.ReadCancelInProgress(cm.Data)
			}),
		Runs: runs,
		Stores: func() []engine.Store {
			if live.Get().Backend == config.BackendMemory {
				return []engine.Store{slots, leases}
			}
			return []engine.Store{leases, slots}
		},
		Recorder: status.NewRecorder(recorder),
		Clock:    clk,
		Policy:   func() queue.Policy { return live.Get().Policy },
		HandBack: func() bool { return live.Get().HandBack },
	})
	keys := func() []queue.Key { return union(runs.Keys(), leases.Keys()) }

	r := &queues{engine: eng, live: live, clock: clk}
	impl := controller.NewContext(ctx, r, controller.ControllerOptions{
		WorkQueueName: "queues",
		// knative tells of every reconcile that went well; the engine tells of
		// those that changed something.
		Logger:      logging.FromContext(ctx).WithOptions(zap.IncreaseLevel(zap.WarnLevel)),
		Concurrency: concurrency,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[any](errorRetryMin, errorRetryMax),
	})
	r.after = func(key queue.Key, d time.Duration) { impl.EnqueueKeyAfter(name(key), d) }
	r.PromoteFunc = func(b reconciler.Bucket, enqueue func(reconciler.Bucket, types.NamespacedName)) error {
		slots.Forget(func(key queue.Key) bool { return b.Has(name(key)) })
		for _, key := range keys() {
			if b.Has(name(key)) {
				enqueue(b, name(key))
			}
		}
		return nil
	}
	wake := func(key queue.Key) { impl.EnqueueKey(name(key)) }
	r.recovery = recovery.New(recovery.Config{
		Keys: keys, Due: r.overdue, Wake: wake, Clock: clk,
		Timing: func() recovery.Timing { return live.Get().Recovery },
	})
	live.OnChange(func() { // every deadline may have moved
		for _, key := range keys() {
			wake(key)
		}
	})

	for _, watch := range []struct {
		informer cache.SharedIndexInformer
		keysOf   func(obj any) []queue.Key
	}{
		{runInformer, one(func(o metav1.Object) (queue.Key, bool) { return pac.KeyOf(o) })},
		{leaseInformer, one(func(o metav1.Object) (queue.Key, bool) { return lease.KeyOf(o) })},
		{settings.Informer(), func(any) []queue.Key { return keys() }},
		{repositories.Informer(), func(obj any) []queue.Key {
			o, ok := obj.(metav1.Object)
			if ok && o.GetNamespace() == live.Get().PACNamespace {
				return keys() // perhaps the global Repository, whose limit is everybody's default
			}
			return one(func(o metav1.Object) (queue.Key, bool) {
				return queue.Key{Namespace: o.GetNamespace(), Repository: o.GetName()}, true
			})(obj)
		}},
	} {
		handler := controller.HandleAll(func(obj any) {
			for _, key := range watch.keysOf(obj) {
				wake(key)
			}
		})
		if _, err := watch.informer.AddEventHandler(handler); err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
	}

	runFactory.Start(ctx.Done())
	leaseFactory.Start(ctx.Done())
	repositoryFactory.Start(ctx.Done())
	settingsFactory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), runInformer.HasSynced, leaseInformer.HasSynced, repositories.Informer().HasSynced, settings.Informer().HasSynced) {
		return nil, errors.New("stopped before the caches were filled")
	}
	go r.recovery.Run(ctx)
	return impl, nil
}

// one adapts a function of objects to deletions whose last state is uncertain.
func one(keyOf func(metav1.Object) (queue.Key, bool)) func(obj any) []queue.Key {
	return func(obj any) []queue.Key {
		if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
			obj = tombstone.Obj
		}
		if o, ok := obj.(metav1.Object); ok {
			if key, ok := keyOf(o); ok {
				return []queue.Key{key}
			}
		}
		return nil
	}
}

func union(lists ...[]queue.Key) []queue.Key {
	var all []queue.Key
	seen := map[queue.Key]bool{}
	for _, list := range lists {
		for _, key := range list {
			if !seen[key] {
				seen[key] = true
				all = append(all, key)
			}
		}
	}
	return all
}

func name(key queue.Key) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: key.Repository}
}

func newRecorder(ctx context.Context, kube kubernetes.Interface) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: kube.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Component, Host: system.PodName()})
}
