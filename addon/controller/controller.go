package controller

import (
	"context"
	"fmt"
	"net/http"
	"time"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	pacscheme "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned/scheme"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	tektonscheme "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/scheme"
	"go.opentelemetry.io/otel"
	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/system"

	"github.com/pac-lease-queue/pac-lease-queue/addon/codec"
	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller/watchdog"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/annotate"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/debug"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/status"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
	"github.com/pac-lease-queue/pac-lease-queue/addon/watches"
)

const (
	// concurrency is how many queues are worked on at a time: it is all waiting for the API server.
	// A namespace has half of it at most.
	concurrency = 64
	// moment is how long news can wait that makes no room: a start has its Lease, its run and
	// Tekton's first words change within it.
	moment = 100 * time.Millisecond
)

// Outside is what the process around a controller has to do with it.
type Outside struct {
	// Environment is what the process was told.
	Environment config.Environment
	// Parts is how many parts leader election divides the queues into.
	Parts uint32
	// Watchdog watches over its work.
	Watchdog *watchdog.Watchdog
	// Debug is given what shows the queues as this replica sees them.
	Debug func(http.Handler)
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
	kube kubernetes.Interface
	// tekton has v1 only.
	tekton   tektonclient.Interface
	pac      pacclient.Interface
	metadata metadata.Interface
	// runQueues are watched through it, and written over the connection of texts.
	runQueues *runqueue.Client
	texts     *textClients
}

func (c *clients) watched() watches.Clients {
	return watches.Clients{Kube: c.kube, Tekton: c.tekton, PAC: c.pac, Metadata: c.metadata, RunQueues: c.runQueues}
}

func newClients(ctx context.Context) (*clients, error) {
	config := injection.GetConfig(ctx)
	tekton, err := rest.RESTClientFor(codec.For(config, tektonv1.SchemeGroupVersion, tektonscheme.Scheme))
	if err != nil {
		return nil, fmt.Errorf("tekton client: %w", err)
	}
	paas, err := rest.RESTClientFor(codec.For(config, pacv1alpha1.SchemeGroupVersion, pacscheme.Scheme))
	if err != nil {
		return nil, fmt.Errorf("pipelines-as-code client: %w", err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("metadata client: %w", err)
	}
	runQueues, err := runqueue.NewClient(config)
	if err != nil {
		return nil, err
	}
	texts, err := newTextClients(config)
	if err != nil {
		return nil, err
	}
	return &clients{
		kube: kubeclient.Get(ctx), tekton: tektonclient.New(tekton), pac: pacclient.New(paas), metadata: meta,
		runQueues: runQueues, texts: texts,
	}, nil
}

func build(ctx context.Context, cmw configmap.Watcher, outside Outside) (*controller.Impl, error) {
	c, err := newClients(ctx)
	if err != nil {
		return nil, err
	}
	clk := clock.RealClock{}
	var configuration *configuration
	counts, err := metrics.New(metrics.Config{
		Meters: otel.GetMeterProvider(), Clock: clk, MaxQueues: func() int { return configuration.Get().MetricsMaxQueues },
	})
	if err != nil {
		return nil, err
	}
	texts := pace.New(clk, config.Defaults().TextsPerSecond)
	events := newRecorder(c.texts, clk, texts, counts)
	go events.Run(ctx) // it tells of a configuration that this replica cannot start with, too
	if configuration, err = watchConfiguration(ctx, c.kube, outside.Environment, cmw, events); err != nil {
		return nil, err
	}
	texts.Set(configuration.Get().TextsPerSecond)
	policy := func() queue.Policy { return configuration.Get().Policy }

	q := &queues{}
	impl := controller.NewContext(ctx, q, controller.ControllerOptions{
		WorkQueueName: "queues",
		// knative tells of every reconcile that went well; the engine tells of
		// those that changed something.
		Logger:      logging.FromContext(ctx).WithOptions(zap.IncreaseLevel(zap.WarnLevel)),
		Concurrency: concurrency,
	})
	wake := func(key queue.Key) { impl.EnqueueKey(name(key)) }
	wakeLater := func(key queue.Key) { impl.EnqueueKeyAfter(name(key), moment) }
	acts := func(key queue.Key) bool { return q.replica.Acts(key) }

	all := shards{watchdog: outside.Watchdog, of: map[string]*shard{}}
	looks := latest.New(acts)
	notices := annotate.New(annotate.Config{
		Board: all, Looks: looks, Events: events, Clock: clk, Pace: texts, Policy: policy, Acts: acts,
		Refresh: func() annotate.Refresh { return annotate.Refresh(configuration.Get().Annotations) },
	})
	// The events compare each look with the one before; the annotations read the latest.
	observer := engine.Observers{event.NewObserver(events, looks), looks, notices, counts}
	var statuses *status.Writer
	if outside.Environment.RunQueues {
		statuses = status.New(status.Config{
			Board: &status.Cluster{Client: c.texts.runQueues, Shapes: all.runQueues},
			Looks: looks, Events: events, Clock: clk, Pace: texts, Policy: policy, Acts: acts,
			SeesPods: outside.Environment.Release.SeesPods(),
		})
		observer = append(observer, statuses)
	}
	slots := memory.New()
	leaders := watchLeaders(ctx, c.kube, outside.Environment.Namespace, outside.Parts)
	q.replica = replica.New(replica.Config{
		Name: system.PodName(), Engine: all, Settings: settings(configuration.Get()), Keys: all.keys, Forget: slots.Forget,
		Wake: wake, WakeLater: wakeLater, Clock: clk, Observer: observer, Workers: concurrency,
		WakeAll: func(keys []queue.Key) {
			apart(keys, func(key queue.Key, delay time.Duration) { impl.EnqueueKeyAfter(name(key), delay) })
		},
		Leadership: recovery.Leadership{
			Leads: func(key queue.Key) bool { return q.IsLeaderFor(name(key)) }, Part: leaders.part, Leader: leaders.of,
		},
	})
	q.PromoteFunc, q.DemoteFunc = q.promoted, q.demoted
	gate := paged.NewGate(1)
	beside := &kueue{
		has:     func(ctx context.Context) (bool, error) { return pac.HasKueue(ctx, c.kube.Discovery().RESTClient()) },
		changed: func() { q.replica.Configure(settings(configuration.Get())) },
		clock:   clk,
	}
	for _, namespace := range outside.Environment.Watched.Each() {
		all.of[namespace], err = newShard(common{
			clients: c, environment: outside.Environment, configuration: configuration, replica: q.replica, memory: slots,
			observer: observer, clock: clk, gate: gate, kueue: beside, statuses: statuses,
		}, namespace)
		if err != nil {
			return nil, err
		}
	}
	configuration.Follow(func(is config.Config) {
		q.replica.Configure(settings(is))
		texts.Set(is.TextsPerSecond)
	})
	for _, s := range all.of {
		if err := s.watches.Fill(ctx); err != nil {
			return nil, err
		}
	}
	warnOfOthers(ctx, c.kube, outside.Environment, events, clk.Now())
	outside.Debug(debug.Handler{Looks: looks, Policy: policy, Clock: clk})
	if err := counts.Report(q.leads.count); err != nil {
		return nil, err
	}
	go q.replica.Run(ctx)
	go beside.Run(ctx)
	go notices.Run(ctx)
	if statuses != nil {
		go statuses.Run(ctx)
	}
	return impl, nil
}
