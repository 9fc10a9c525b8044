// Package show is the shared main of the shows: it reads flags and environment variables, starts
// the stack, prints progress from the first second on, stops everything on Ctrl-C, and sets the
// exit code. A show adds its own flags and what happens on the stack.
package show

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Exit codes.
const (
	exitOK          = 0
	exitBroken      = 1 // or the show failed
	exitUsage       = 2
	exitInterrupted = 130
)

// Show is one show.
type Show struct {
	Name  string
	About string // for --help: what the show does and when it fails
	// Flags defines the flags. Each can also be set by the environment variable of its name in
	// capitals.
	Flags func(*pflag.FlagSet)
	// Check validates the flags and completes those left open. It may be nil.
	Check func() error
	// Stack chooses the stack.
	Stack func() stack.Options
	// Play plays the show on the running stack. When it reports anything unexpected, it calls
	// KeepDir; the logs of a show that returns an error are kept anyway.
	Play func(context.Context, *Stage) (Result, error)

	keep     bool
	settings string // as make takes them
}

// Result is the outcome of a show.
type Result struct {
	OK     bool   // nothing was broken
	Report string // for people
	// Access tells how to look at what KEEP leaves up. Empty means Stage.Access.
	Access string
}

// errInterrupted is the outcome of a show that a signal ended before its result was known.
var errInterrupted = errors.New("interrupted; everything was stopped")

// Main plays a show and exits.
func Main(s Show) { os.Exit(s.main()) }

func (s *Show) main() int {
	switch err := s.Configure(os.Args[1:], os.Getenv); {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.Name, err)
		return exitUsage
	}
	// A second signal ends the program at once, and every process of the stack with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	klog.SetLogger(logr.Discard()) // the screen belongs to the show

	out := screen.New(os.Stdout)
	defer out.Close()
	result, err := s.Perform(ctx, out)
	switch {
	case errors.Is(err, errInterrupted):
		out.Say("%v", err)
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.Name, err)
		return exitBroken
	case !result.OK:
		return exitBroken
	}
	return exitOK
}

// Perform starts the stack, plays, prints the report and stops the stack. When it returns, nothing
// is left running.
func (s *Show) Perform(ctx context.Context, out *screen.Screen) (Result, error) {
	stage := &Stage{Screen: out, Keep: s.keep, Settings: s.settings, began: time.Now()}
	stage.Say("%s %s", s.Name, s.settings)
	result, err := s.perform(ctx, stage)
	out.Close()
	if interrupted := err != nil && ctx.Err() != nil; interrupted {
		err = errInterrupted
	}
	if stopErr := stage.stop(); stopErr != nil {
		return result, errors.Join(err, fmt.Errorf("stopping the stack: %w", stopErr))
	}
	return result, err
}

func (s *Show) perform(ctx context.Context, stage *Stage) (Result, error) {
	if err := stage.start(ctx, s.Stack()); err != nil {
		return Result{}, err
	}
	result, err := s.Play(ctx, stage)
	if err != nil {
		if ctx.Err() == nil {
			stage.KeepDir()
		}
		return result, err
	}
	stage.Screen.Close()
	stage.Screen.Say("\n%s", result.Report)
	if s.keep {
		stage.KeepDir()
		access := result.Access
		if access == "" {
			access = stage.Access()
		}
		stage.Screen.Say("\n%s\n\nEverything stays up until Ctrl-C.", access)
		<-ctx.Done()
		stage.Screen.Say("Stopping everything.")
	}
	return result, nil
}
