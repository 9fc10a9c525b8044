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
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
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

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("scenarios: not run in short mode, they need the embedded stack")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var err error
	if cluster, err = stack.Start(ctx, stack.Options{Components: stack.Everything, RunTime: time.Second}); err != nil {
		fmt.Fprintln(os.Stderr, "scenarios:", err)
		return 1
	}
	defer func() {
		if code != 0 {
			cluster.KeepDir()
		}
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "scenarios: stop:", err)
			code = 1
		}
	}()
	interrupted := context.AfterFunc(ctx, func() { // Ctrl-C: go test gives no second chance
		_ = cluster.Stop()
		os.Exit(1)
	})
	defer interrupted()
	if recorder, err = history.Record(ctx, cluster.Config(stack.Admin)); err != nil {
		fmt.Fprintln(os.Stderr, "scenarios:", err)
		return 1
	}
	defer recorder.Stop()
	return m.Run()
}
