// Package stacktest runs the tests of a package on one stack.
package stacktest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Main starts a stack, passes it to ready, runs the tests, and stops the stack in any case. It
// returns the exit code for TestMain. The stack's folder with its logs stays if a test fails. With
// -short there is no stack, and ready is not called.
func Main(m *testing.M, opts stack.Options, ready func(context.Context, *stack.Stack) error) int {
	flag.Parse()
	if testing.Short() {
		return m.Run()
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	s, err := stack.Start(ctx, opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	interrupted := context.AfterFunc(ctx, func() { // go test calls no cleanup after a signal
		_ = s.Stop()
		os.Exit(1)
	})
	code := 1
	if err := ready(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	interrupted()
	if code != 0 {
		s.KeepDir()
	}
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
