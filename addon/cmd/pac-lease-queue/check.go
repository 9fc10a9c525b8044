package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
	"knative.dev/pkg/signals"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/check"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Look whether an installation does what it says",
		Long: `Look whether an installation does what it says: configuration, replicas, leader,
hold and guard. Nothing is changed. The chart runs it for helm test, with
SYSTEM_NAMESPACE, CONFIG_NAME, DEPLOYMENT_NAME, CHECK_NAMESPACE (where a run may be
asked for, by a dry run), and HOLD_NAME and GUARD_NAME if there ought to be one.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCheck(signals.NewContext(), cmd) },
	}
}

func runCheck(ctx context.Context, cmd *cobra.Command) error {
	env, err := config.ReadEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	kube, tekton, err := clusterClients()
	if err != nil {
		return err
	}
	i := &check.Installation{
		Kube: kube, Tekton: tekton,
		Namespace: env.Namespace, ConfigMap: env.ConfigMap, Component: config.Component, Deployment: env.Deployment,
		RunsIn: env.CheckNamespace, Hold: env.Hold != "", Guard: env.Guard != "", Clock: clock.RealClock{},
	}
	return i.Run(ctx, cmd.OutOrStdout())
}
