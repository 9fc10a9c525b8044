package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"go.opentelemetry.io/otel"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
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

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller/watchdog"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/live"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
)

const (
	// concurrency is how many queues are worked on at a time: it is all waiting
	// for the API server.
	concurrency = 8

	// After a refused write the informer usually brings the news within
	// milliseconds; this is for the case that it does not.
	staleRetry = 200 * time.Millisecond
	// After an error, per queue: recovery would look again after seconds anyway.
	errorRetryMin, errorRetryMax = 100 * time.Millisecond, 5 * time.Second
)

// Outside is what the process around a controller has to do with it.
type Outside struct {
	// Environment is what the process was told.
	Environment config.Environment
	// Watchdog watches over its work.
	Watchdog *watchdog.Watchdog
	// Live is told what it sees.
	Live *live.Queues
	// Ready is called once every cache is filled.
	Ready func()
}

// New builds the controller. It returns once every cache is filled.
func New(outside Outside) injection.ControllerConstructor {
	return func(ctx context.Context, cmw configmap.Watcher) *controller.Impl {
		impl, err := build(ctx, cmw, outside)
		if err != nil {
			logging.FromContext(ctx).Fatalw("Cannot start", "error", err)
		}
		outside.Ready()
		return impl
	}
}

// clients are those of one API server.
type clients struct {
	kube   kubernetes.Interface
	tekton tektonclient.Interface
	pac    pacclient.Interface
}

func newClients(ctx context.Context) (*clients, error) {
	config := injection.GetConfig(ctx)
	tekton, err := tektonclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("tekton client: %w", err)
	}
	paas, err := pacclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("pipelines-as-code client: %w", err)
	}
	return &clients{kube: kubeclient.Get(ctx), tekton: tekton, pac: paas}, nil
}

func build(ctx context.Context, cmw configmap.Watcher, outside Outside) (*controller.Impl, error) {
	c, err := newClients(ctx)
	if err != nil {
		return nil, err
	}
	recorder := newRecorder(ctx, c.kube)
	clk := clock.RealClock{}
	live, err := watchConfiguration(ctx, c.kube, outside.Environment, cmw, recorder, clk)
	if err != nil {
		return nil, err
	}
	slots := memory.New()
	r := &queues{live: live, clock: clk, watchdog: outside.Watchdog, shards: map[string]*shard{}}
	impl := controller.NewContext(ctx, r, controller.ControllerOptions{
		WorkQueueName: "queues",
		// knative tells of every reconcile that went well; the engine tells of
		// those that changed something.
		Logger:      logging.FromContext(ctx).WithOptions(zap.IncreaseLevel(zap.WarnLevel)),
		Concurrency: concurrency,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[any](errorRetryMin, errorRetryMax),
	})
	wake := func(key queue.Key) { impl.EnqueueKey(name(key)) }
	r.after = func(key queue.Key, d time.Duration) { impl.EnqueueKeyAfter(name(key), d) }
	r.PromoteFunc = func(b reconciler.Bucket, enqueue func(reconciler.Bucket, types.NamespacedName)) error {
		r.leads.set(b, true)
		slots.Forget(func(key queue.Key) bool { return b.Has(name(key)) })
		for _, key := range r.keys() {
			if b.Has(name(key)) {
				enqueue(b, name(key))
			}
		}
		return nil
	}
	r.DemoteFunc = func(b reconciler.Bucket) { r.leads.set(b, false) }
	live.OnChange(func() { // every deadline may have moved
		for _, key := range r.keys() {
			wake(key)
		}
	})

	counts, err := metrics.New(metrics.Config{
		Meters: otel.GetMeterProvider(), Clock: clk, MaxQueues: func() int { return live.Get().MetricsMaxQueues },
	})
	if err != nil {
		return nil, err
	}
	common := shared{
		clients: c, live: live, slots: slots, recorder: report.NewRecorder(recorder), metrics: counts, clock: clk, outside: outside, wake: wake, acts: r.acts, overdue: r.overdue,
	}
	for _, namespace := range outside.Environment.Watched.Each() {
		if r.shards[namespace], err = newShard(common, namespace); err != nil {
			return nil, err
		}
	}
	outside.Live.Of(r.replica())
	for _, s := range r.shards {
		if err := s.watches.fill(ctx); err != nil {
			return nil, err
		}
	}
	if err := counts.Report(r.keys, r.leads.count); err != nil {
		return nil, err
	}
	for _, s := range r.shards {
		go s.recovery.Run(ctx)
		go s.notices.Run(ctx)
	}
	return impl, nil
}

// union is all keys, each once.
func union(lists ...[]queue.Key) []queue.Key {
	all := map[queue.Key]bool{}
	for _, key := range slices.Concat(lists...) {
		all[key] = true
	}
	return slices.Collect(maps.Keys(all))
}

func name(key queue.Key) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: key.Repository}
}

func newRecorder(ctx context.Context, kube kubernetes.Interface) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: kube.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: config.Component, Host: system.PodName()})
}
