// Command demo shows the add-on at its main job, on real components: one push to
// Gitea becomes a queue of PipelineRuns, which several replicas work off together,
// and half-way the leading one is killed. At the end it says what was kept and
// what was not, and exits with 1 if anything was not.
//
//	go run ./e2e/show/demo
//
// The environment chooses:
//
//	RUNS=8        PipelineRuns in the push
//	LIMIT=2       the Repository's concurrency_limit
//	REPLICAS=2    replicas of the add-on
//	KILL=0        kill nobody
//	KEEP=1        leave everything up after the summary, until Ctrl-C
//	QUEUE=pac     PAC's own queue, without the add-on
//	WATCHERS=1    PAC watchers
//
// QUEUE=pac WATCHERS=2 is the negative control: two watchers, each with a queue in
// its own memory, exceed the limit or leave runs behind, and the demo exits with 1.
// One run at a time they do so most reliably, so LIMIT is 1 then, and RUNS 12,
// unless set.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
)

// Exit codes.
const (
	exitOK          = 0
	exitBroken      = 1 // or failed
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	config, err := readConfig(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	// A second Ctrl-C ends the program at once, and every process of the stack
	// with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	klog.SetLogger(logr.Discard()) // the picture has the terminal to itself

	out := screen.New(os.Stdout)
	defer out.Close()
	d := &demo{config: config, screen: out}
	broken, err := d.run(ctx)
	out.Close()
	switch {
	case ctx.Err() != nil && !d.summed && d.stopping == nil:
		out.Say("interrupted; everything was stopped")
		return exitInterrupted
	case err != nil:
		out.Say("demo: %v", err)
		return exitBroken
	case broken:
		return exitBroken
	default:
		return exitOK
	}
}
