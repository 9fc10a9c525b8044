// Package scenarios proves the product on the real components: real pushes to
// Gitea, real PAC, Tekton and API server, and the add-on as its Helm chart
// installs it. Every scenario ends with an audit of the invariants over all
// watch events of its queue.
package scenarios

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// What all scenarios share: one stack, one record of everything, and one
// installation of the add-on, by the first scenario that needs it.
var (
	cluster  *stack.Stack
	addon    *stack.Addon
	recorder *history.Recorder
)

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
	code := stacktest.Main(m, stack.Options{Components: stack.Everything, RunTime: time.Second}, func(ctx context.Context, s *stack.Stack) (err error) {
		cluster = s
		recorder, err = history.Record(ctx, s.Config(stack.Admin))
		return err
	})
	if recorder != nil {
		recorder.Stop()
	}
	return code
}
