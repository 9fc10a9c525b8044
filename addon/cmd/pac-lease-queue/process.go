package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/zapr"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	client "k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/configmap"
	knative "knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/injection/sharedmain"
	"knative.dev/pkg/leaderelection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/observability/runtime"
	profiling "knative.dev/pkg/observability/runtime/k8s"
	"knative.dev/pkg/system"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/scrape"
)

// flushTimeout bounds the last export of metrics and traces.
const flushTimeout = 10 * time.Second

// runProcess runs a controller until the context ends. It does what sharedmain.MainWithConfig does
// for a controller without knative's webhooks and probes, from the same parts and in the same
// order, except that the debug port listens on loopback: knative's profiles are on every interface.
// debug is the mux of that port, before anything else is started; parts is how many leaders are
// elected. What cannot be set up ends the process.
func runProcess(
	ctx context.Context, rest *client.Config, env config.Environment, debug *http.ServeMux,
	construct func(ctx context.Context, cmw configmap.Watcher, parts uint32) *knative.Impl,
) error {
	ctx, startInformers := injection.EnableInjectionOrDie(ctx, rest)
	logger, level := sharedmain.SetupLoggerOrDie(ctx, config.Component)
	defer func() { _ = logger.Sync() }()
	ctx = logging.WithLogger(ctx, logger)
	klog.SetLogger(zapr.NewLogger(logger.Desugar()))
	client.SetDefaultWarningHandler(&logging.WarningHandler{Logger: logger})

	profiles := profiling.NewProfilingServer(logger.Named("pprof"))
	listener, err := debugListener(profiles.ProfilingServer, debug)
	if err != nil {
		return err
	}
	sharedmain.CheckK8sClientMinimumVersionOrDie(ctx, logger)
	configMaps := sharedmain.SetupConfigMapWatchOrDie(ctx, logger)
	election, err := sharedmain.GetLeaderElectionConfig(ctx)
	if err != nil {
		return fmt.Errorf("read the configuration of the leader election: %w", err)
	}
	component := election.GetComponentConfig(config.Component)
	component.LeaseName = func(part uint32) string { return controller.ElectionLease(part, component.Buckets) }
	component.Identity = controller.ElectionIdentity(system.PodName())
	if err := controller.PrepareElection(ctx, kubeclient.Get(ctx), env, component.Buckets); err != nil {
		logger.Warnw("Cannot prepare leader election: its Leases may stay when the release is uninstalled", "error", err)
	}
	ctx = leaderelection.WithDynamicLeaderElectorBuilder(ctx, kubeclient.Get(ctx), component)
	meters, tracers := sharedmain.SetupObservabilityOrDie(ctx, config.Component, logger, profiles)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		if err := errors.Join(meters.Shutdown(ctx), tracers.Shutdown(ctx)); err != nil {
			logger.Errorw("Cannot flush metrics and traces", "error", err)
		}
	}()

	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return profiles.Serve(listener) })
	if env.SecureMetrics != nil {
		server, err := metricsServer(ctx, rest, *env.SecureMetrics, logger.Named("metrics"))
		if err != nil {
			return err
		}
		context.AfterFunc(groupCtx, func() { _ = server.Close() })
		group.Go(server.Serve)
	}
	impl := construct(ctx, configMaps, component.Buckets)
	sharedmain.WatchLoggingConfigOrDie(ctx, configMaps, logger, level, config.Component)
	sharedmain.WatchObservabilityConfigOrDie(ctx, configMaps, profiles, logger, config.Component)
	if err := configMaps.Start(ctx.Done()); err != nil {
		return fmt.Errorf("watch ConfigMaps: %w", err)
	}
	startInformers()
	group.Go(func() error { return knative.StartAll(ctx, impl) })
	<-groupCtx.Done() // a signal, or the first part that failed
	_ = profiles.Close()
	if err := group.Wait(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// metricsServer serves over TLS what knative serves on loopback: its exporter is registered with
// the default registry of Prometheus.
func metricsServer(ctx context.Context, rest *client.Config, m config.SecureMetrics, logger *zap.SugaredLogger) (*scrape.Server, error) {
	log, err := zap.NewStdLogAt(logger.Desugar(), zap.DebugLevel) // any client can fail a handshake, as often as it likes
	if err != nil {
		return nil, err
	}
	return scrape.New(ctx, rest, promhttp.Handler(), scrape.Options{
		Port: m.Port, Certificate: m.Certificate, Host: config.Component, Log: log,
	})
}

// debugListener has the profiling server serve all of the mux, Go's profiles included, on loopback
// only. No client is authenticated there, so only those may reach it who may enter the pod, as
// kubectl port-forward does.
func debugListener(s *runtime.ProfilingServer, mux *http.ServeMux) (net.Listener, error) {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", runtime.ProfilingPortEnvKey, err)
	}
	mux.Handle("/", s.ProfilingHandler)
	s.Handler = mux
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("serve the debug port: %w", err)
	}
	return listener, nil
}
