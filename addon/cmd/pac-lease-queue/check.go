package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
	"knative.dev/pkg/signals"

	"github.com/pac-lease-queue/pac-lease-queue/addon/controller"
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
	namespace := os.Getenv("SYSTEM_NAMESPACE")
	if namespace == "" {
		return errors.New("SYSTEM_NAMESPACE is not set: it must name the namespace that the product is installed in")
	}
	kube, tekton, err := clusterClients()
	if err != nil {
		return err
	}
	i := &check.Installation{
		Kube: kube, Tekton: tekton,
		Namespace: namespace, ConfigMap: controller.ConfigMapName(), Component: controller.Component,
		Deployment: cmp.Or(os.Getenv("DEPLOYMENT_NAME"), controller.Component),
		RunsIn:     cmp.Or(os.Getenv("CHECK_NAMESPACE"), namespace),
		Hold:       os.Getenv("HOLD_NAME") != "", Guard: os.Getenv("GUARD_NAME") != "",
		Clock: clock.RealClock{},
	}
	return i.Run(ctx, cmd.OutOrStdout())
}
