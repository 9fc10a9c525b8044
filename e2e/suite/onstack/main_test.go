// Package scenarios proves the product on the real components: real pushes to
// Gitea, real PAC, Tekton and API server, and the add-on as its Helm chart
// installs it. TestSuite plays the list that every cluster is to pass; the other
// scenarios go deeper than that, by what only the embedded stack allows. Each ends
// with an audit of the invariants over all watch events of its queue.
package onstack_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/onstack"
)

// What all scenarios share: one stack, with the add-on once the first of them
// needs it, and one record of everything.
var (
	cluster *onstack.Cluster
	env     suite.Env
)

// environment is what a test plays in.
func environment(t *testing.T) *suite.Env {
	e := env
	e.Log = t.Logf
	return &e
}

// addonOptions are how every scenario has the add-on installed.
var addonOptions = stack.AddonOptions{
	Replicas: 2,
	Race:     true,
	Tags:     []string{"failpoints"},
	Values:   []string{"concurrency.orderGrace=" + orderGrace.String(), "concurrency.claimTTL=" + claimTTL.String()},
}

// hold is admission.hold of the chart, in all scenarios.
var hold = flag.String("hold", "", "how runs are held, policy or webhook; either, on a stack of its own, if not given")

const webhook = "webhook"

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("scenarios: not run in short mode, they need the embedded stack")
		return
	}
	if *hold != "" {
		os.Exit(run(m))
	}
	*hold = "policy"
	other := stacktest.Alongside("-hold=" + webhook)
	code := run(m)
	os.Exit(max(code, other()))
}

func run(m *testing.M) int {
	addonOptions.Values = append(addonOptions.Values, "admission.hold="+*hold)
	code := stacktest.Main(m, stack.Options{Components: stack.Everything, RunTime: time.Second, Revive: true}, func(ctx context.Context, s *stack.Stack) (err error) {
		cluster = onstack.New(s, addonOptions)
		env = suite.Env{Cluster: cluster, Artifacts: filepath.Join(s.Dir(), "artifacts")}
		if env.Providers, err = cluster.Providers(); err != nil {
			return err
		}
		env.Recorder, err = history.Record(ctx, cluster.Config())
		return err
	})
	if env.Recorder != nil {
		env.Recorder.Stop()
	}
	return code
}
