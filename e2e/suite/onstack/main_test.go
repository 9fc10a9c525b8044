package onstack_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/onstack"
)

// All tests share one stack, on which the first test that needs the add-on installs it, and one
// record of the history.
var (
	cluster *onstack.Cluster
	env     suite.Env
)

// environment returns the environment for a test's scenes.
func environment(t *testing.T) *suite.Env {
	e := env
	e.Log = t.Logf
	return &e
}

// addonOptions are the options of every installation of the add-on.
var addonOptions = stack.AddonOptions{
	Replicas: 2,
	Race:     true,
	Tags:     []string{"failpoints"},
	Values:   []string{"concurrency.orderGrace=" + orderGrace.String(), "concurrency.claimTTL=" + claimTTL.String()},
}

// hold is admission.hold of the chart, for all tests.
var hold = flag.String("hold", "", "what holds runs, policy, webhook or auto; without it, both, each on a stack of its own, "+
	"which share the tests that the hold has no part in. The webhook's has the oldest Kubernetes, for which it is meant")

const (
	webhook = "webhook"
	auto    = "auto"
)

// versions are those of the stack, for all tests.
var versions build.Versions

func init() { versions.AddFlags(flag.CommandLine) }

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("onstack: skipped in short mode, its tests need the embedded stack")
		return
	}
	if *hold != "" {
		os.Exit(run(m))
	}
	*hold = "policy"
	var chosen []string
	if versions.Kubernetes == "" {
		chosen = append(chosen, "-kubernetes="+build.Oldest)
	}
	if flag.Lookup("test.run").Value.String() == "" { // else both play the same
		chosen = append(chosen, "-test.run="+pattern(slices.Concat(withEither, onlyWebhook)))
		if err := flag.Set("test.skip", pattern(onlyWebhook)); err != nil {
			panic(err)
		}
	}
	other := stacktest.Alongside("-hold="+webhook, chosen...)
	code := run(m)
	os.Exit(max(code, other()))
}

func run(m *testing.M) int {
	addonOptions.Values = append(addonOptions.Values, "admission.hold="+*hold)
	options := stack.Options{Components: stack.Everything, Versions: versions, RunTime: time.Second, Revive: true}
	code := stacktest.Main(m, options, func(ctx context.Context, s *stack.Stack) (err error) {
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
