package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
	"knative.dev/pkg/configmap"
	knative "knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/signals"

	"github.com/pac-lease-queue/pac-lease-queue/addon/admission"
	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller/watchdog"
	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
)

// patience is how long work may show no sign of life. Dead connections are closed within 45
// seconds.
const patience = 2 * time.Minute

func controllerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "controller",
		Short: "Run one replica of the controller",
		Long: `Run one replica of the controller.

It reads the ConfigMaps of the Helm chart in the namespace SYSTEM_NAMESPACE; the environment
variables CONFIG_NAME, CONFIG_LOGGING_NAME, CONFIG_OBSERVABILITY_NAME and
CONFIG_LEADERELECTION_NAME name them. WATCH_NAMESPACES lists the namespaces whose queues it
works on, separated by commas; unset, it works on all. PAC_CONFIGMAPS lists the ConfigMaps of
further controllers of Pipelines-as-Code, in its namespace. RELEASE is podsGone to keep the slot of
a run until its pods are gone, and perQueue where RunQueues say so. With RUN_QUEUES=true, RunQueues
shape and show queues, and PipelineRuns with the label pac-lease-queue.dev/queue wait in the queue
that it names. With WITHOUT_PAC=true, the cluster has no Pipelines-as-Code.

PROBES_PORT is the port of the health probes; PROFILING_PORT (8008) that of the debug view and, if
they are on, of Go's profiles, on loopback only. METRICS_PROMETHEUS_PORT (9090) is the port of the
metrics. Outside a cluster, KUBECONFIG says where the cluster is.

With METRICS_SECURE_PORT, it also serves the metrics on that port: over TLS, with tls.crt and
tls.key of the directory METRICS_SECURE_CERTIFICATE or, unset, a certificate that it signs itself,
and only to those whom the API server lets get the path /metrics. METRICS_PROMETHEUS_HOST must then
be 127.0.0.1, which keeps the other port to the pod.

With HOLD_WEBHOOK, the name of a MutatingWebhookConfiguration, it also serves the hold as a
webhook: on port WEBHOOK_PORT, for the Service WEBHOOK_SERVICE, with the certificate in the
Secret WEBHOOK_SECRET.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runController(signals.NewContext()) },
	}
}

func runController(ctx context.Context) error {
	limitMemory()
	env, err := config.ReadEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	rest, err := clusterConfig()
	if err != nil {
		return err
	}
	// The API server's own priority and fairness is the limit; a client-side one
	// would add its waits to every start.
	rest.QPS = -1
	dog := watchdog.New(clock.RealClock{}, patience)
	rest.Wrap(dog.Through)
	rest.Wrap(paged.Through)

	// Probes answer from the beginning: alive until work is stuck, ready when the
	// caches are filled and the API server can be served.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		filled atomic.Bool
		hold   atomic.Pointer[admission.Server]
	)
	go giveBack(ctx)
	mux := http.NewServeMux()
	mux.HandleFunc("/readiness", func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch server := hold.Load(); {
		case ctx.Err() != nil:
			err = errors.New("shutting down")
		case !filled.Load():
			err = errors.New("caches are not filled yet")
		case server != nil:
			err = server.Ready(r.Context())
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if err := dog.Check(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	go func() {
		if err := serve(ctx, env.ProbesPort, mux); err != nil {
			logging.FromContext(ctx).Fatalw("Cannot serve probes", "error", err)
		}
	}()
	if err := awaitConfiguration(ctx, rest, env); err != nil {
		return err
	}
	debug := http.NewServeMux()
	outside := controller.Outside{
		Environment: env,
		Watchdog:    dog,
		Debug:       func(h http.Handler) { debug.Handle("/debug/queues", h) },
		Ready:       func() { filled.Store(true) },
	}
	err = runProcess(ctx, rest, env, debug, func(ctx context.Context, cmw configmap.Watcher, parts uint32) *knative.Impl {
		if env.Webhook != nil {
			hold.Store(serveHold(ctx, *env.Webhook))
		}
		outside.Parts = parts
		return controller.New(outside)(ctx, cmw)
	})
	stop()
	if server := hold.Load(); server != nil {
		err = errors.Join(err, server.Wait()) // the API server may still send requests to this replica
	}
	return err
}

// serve serves until the context ends. From then on probes fail, and the replica receives no more
// traffic.
func serve(ctx context.Context, port int, handler http.Handler) error {
	server := &http.Server{Addr: ":" + strconv.Itoa(port), Handler: handler, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
