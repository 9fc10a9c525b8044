package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"
	"knative.dev/pkg/signals"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac/handback"
)

func handBackCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "hand-back",
		Short: "Give every queued run back to Pipelines-as-Code, before an uninstall",
		Long: `Give every queued run back to Pipelines-as-Code, before an uninstall.

It tells the replicas to start no more runs and to hand the queued ones back once the started
ones are done, and removes the hold, along with the part of the guard that keeps
Pipelines-as-Code from starting queued runs (HOLD_NAME and GUARD_NAME name them). After the
timeout it hands back the rest itself, and removes all slots. The rest of the guard stays: it
is removed with the release. SYSTEM_NAMESPACE and CONFIG_NAME name the configuration, and
WATCH_NAMESPACES the namespaces of the queues.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHandBack(signals.NewContext(), cmd, timeout) },
	}
	c.Flags().DurationVar(&timeout, "timeout", 2*time.Minute, "how long the started runs may take to end")
	return c
}

func runHandBack(ctx context.Context, cmd *cobra.Command, timeout time.Duration) error {
	limitMemory()
	env, err := config.ReadEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	kube, tekton, err := clusterClients()
	if err != nil {
		return err
	}
	kueue, err := pac.HasKueue(ctx, kube.Discovery().RESTClient())
	if err != nil {
		return err
	}
	h := &handback.HandBack{
		Kube: kube, Tekton: tekton, Namespace: env.Namespace, ConfigMap: env.ConfigMap, Namespaces: env.Watched.Each(),
		Hold: env.Hold, Guard: env.Guard, Kueue: kueue, Patience: timeout, Out: cmd.OutOrStdout(),
	}
	return h.Run(ctx)
}
