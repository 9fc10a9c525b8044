// Command chaos breaks everything around the add-on, again and again, while runs
// go through several Repositories, and then says what was kept and what was not.
// Everything is real (package stack); etcd's own log of changes is what is judged.
//
//	go run ./e2e/show/chaos -duration 10m -seed 7
//
// Flags (-h lists them) can also be given by the environment: DURATION=10m SEED=7.
// A seed stands for a plan of faults and pushes: at which time what goes wrong, how,
// and for how long. What comes of it also depends on the machine.
//
// With no replicas the queues are PAC's own, shared by two of its watchers, which
// does not stand this: the negative control.
//
// Judged is the add-on: that no limit is exceeded, the order is kept, and every run
// that exists starts once and finishes. That PAC creates no runs for a push while
// the API server is away is told, and no failure. The program exits with 1 if
// anything was broken, and leaves the logs then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// Exit codes.
const (
	exitOK          = 0
	exitBroken      = 1 // or failed
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(perform()) }

func perform() int {
	config, err := readConfig(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	// A second Ctrl-C ends the program at once, and every process of the stack
	// with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	klog.SetLogger(logr.Discard()) // this program's own clients are of no interest

	r, err := run(ctx, config, os.Stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Println("interrupted; everything was stopped")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return exitBroken
	}
	fmt.Printf("\n%s\n", r.text())
	if len(r.broken()) > 0 {
		return exitBroken
	}
	return exitOK
}
