package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/pac-lease-queue/pac-lease-queue/addon/controller"
	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/injection/sharedmain"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/signals"
)

// probesPort is the environment variable with the port of the health probes.
const probesPort = "PROBES_PORT"

func controllerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "controller",
		Short: "Run one replica of the controller",
		Long: `Run one replica of the controller.

It is configured by the ConfigMaps that the Helm chart makes, named by the
environment variables CONFIG_NAME, CONFIG_LOGGING_NAME, CONFIG_OBSERVABILITY_NAME
and CONFIG_LEADERELECTION_NAME in the namespace SYSTEM_NAMESPACE. Outside a
cluster, KUBECONFIG says where the cluster is.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runController(signals.NewContext()) },
	}
}

func runController(ctx context.Context) error {
	if os.Getenv("SYSTEM_NAMESPACE") == "" {
		return errors.New("SYSTEM_NAMESPACE is not set: it must name the namespace of the controller's ConfigMaps")
	}
	port := injection.HealthCheckDefaultPort
	if value := os.Getenv(probesPort); value != "" {
		var err error
		if port, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("%s is %q, not a port number", probesPort, value)
		}
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	// The API server's own priority and fairness is the limit; a client-side one
	// would add its waits to every start.
	config.QPS = -1

	// Probes answer from the beginning: alive at once, ready when the caches are
	// filled.
	var ready atomic.Bool
	ctx = injection.AddReadiness(ctx, func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case ctx.Err() != nil:
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
		case !ready.Load():
			http.Error(w, "caches are not filled yet", http.StatusServiceUnavailable)
		}
	})
	go func() {
		if err := injection.ServeHealthProbes(ctx, port); err != nil {
			logging.FromContext(ctx).Fatalw("Cannot serve probes", "error", err)
		}
	}()
	sharedmain.MainWithConfig(sharedmain.WithHealthProbesDisabled(ctx), controller.Component, config,
		controller.New(func() { ready.Store(true) }))
	return nil
}
