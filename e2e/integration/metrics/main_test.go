// Package metrics runs a real Prometheus on the embedded stack, with the alert rules and the
// dashboard as the chart renders them. Each alert fires when its fault is provoked, none in a
// normal run, and every panel of the dashboard shows something.
//
// The tests shorten the durations of the rules by values of the chart; their expressions stay.
package metrics

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// Deadlines. They bound the duration of a failing test.
const (
	drainDeadline = 4 * time.Minute // until all runs are done
	stepDeadline  = 60 * time.Second
	alertDeadline = 3 * time.Minute // until an alert fires or ends
)

// takeoverAfter is the chart's default: how long after the death of a leader another replica acts.
const takeoverAfter = time.Second

var (
	cluster    *stack.Stack
	addon      *stack.Addon
	network    *proxies
	prometheus *server
)

func TestMain(m *testing.M) {
	code := stacktest.Main(m, stack.Options{Components: stack.Everything, RunTime: 2 * time.Second}, prepare)
	prometheus.stop()
	os.Exit(code)
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	cluster = s
	if network, err = newProxies(); err != nil {
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
