// Package metrics has a real Prometheus scrape the replicas on the embedded stack, with the alert rules and the dashboard as the chart
// renders them: each alert is seen to fire when its fault is provoked, none in a normal run, and every panel to show something.
//
// The rules have the durations that the chart lets one set, short ones here; their expressions are untouched.
package metrics

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// Deadlines. They bound how long a failing test takes.
const (
	drainDeadline = 4 * time.Minute // runs come to their ends
	stepDeadline  = 60 * time.Second
	alertDeadline = 3 * time.Minute // an alert fires, or is over
)

// takeoverAfter is how long after the death of a leader another replica acts, as the chart has it.
const takeoverAfter = 3 * time.Second

var (
	cluster    *stack.Stack
	addon      *stack.Addon
	network    *ways
	prometheus *server
)

func TestMain(m *testing.M) {
	code := stacktest.Main(m, stack.Options{Components: stack.Everything, RunTime: 2 * time.Second}, prepare)
	prometheus.stop()
	os.Exit(code)
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	cluster = s
	if network, err = newWays(); err != nil {
		return err
	}
	addon, err = s.InstallAddon(ctx, stack.AddonOptions{
		Replicas: 2, Race: true, Via: network.via,
		Values: []string{"concurrency.claimTTL=8s", "admission.guard.breakGlassGroups={" + stack.DevelopersGroup + "}"},
	})
	if err != nil {
		return err
	}
	prometheus, err = startPrometheus(ctx)
	return err
}
