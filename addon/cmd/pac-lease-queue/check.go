package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
	"knative.dev/pkg/signals"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/doctor"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check that an installation works",
		Long: `Check that an installation works: configuration, replicas, leader, hold and guard.
It changes nothing. helm test runs it, with the environment variables SYSTEM_NAMESPACE,
CONFIG_NAME and DEPLOYMENT_NAME, with CHECK_NAMESPACE, in which it tries to create a run
(by dry run), and with HOLD_NAME and GUARD_NAME if the chart installs them.`,
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
	test := &doctor.SelfTest{Kube: kube, Tekton: tekton, Environment: env, Clock: clock.RealClock{}}
	return test.Run(ctx, cmd.OutOrStdout())
}
