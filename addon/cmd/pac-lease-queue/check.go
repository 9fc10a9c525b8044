package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
	"knative.dev/pkg/signals"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/doctor"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

func checkCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "check",
		Short: "Check that an installation works",
		Long: `Check that an installation works: configuration, Pipelines-as-Code, replicas, leader, hold
and guard. It changes nothing, and waits for replicas that are not ready yet. helm test runs
it, with the environment variables SYSTEM_NAMESPACE, CONFIG_NAME and DEPLOYMENT_NAME, with
CHECK_NAMESPACE, in which it tries to create a run (by dry run), and with HOLD_NAME and
GUARD_NAME if the chart installs them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCheck(signals.NewContext(), cmd, timeout) },
	}
	c.Flags().DurationVar(&timeout, "timeout", 3*time.Minute, "how long the replicas may take to be ready")
	return c
}

func runCheck(ctx context.Context, cmd *cobra.Command, timeout time.Duration) error {
	env, err := config.ReadEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	kube, tekton, err := clusterClients()
	if err != nil {
		return err
	}
	test := &doctor.SelfTest{Kube: kube, Tekton: tekton, Environment: env, Clock: clock.RealClock{}, Patience: timeout}
	return test.Run(ctx, report.PlainWriter{To: cmd.OutOrStdout()})
}
