package show

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Stage is what a show plays on: a running stack and a screen.
type Stage struct {
	*stack.Stack
	Screen   *screen.Screen
	Keep     bool   // everything stays up after the show
	Settings string // all flags as make takes them: "RUNS=8 LIMIT=2"

	mu       sync.Mutex
	began    time.Time
	cleanups []func()
}

// Say prints a line of progress, with the time since the start. It is safe for concurrent use.
func (s *Stage) Say(format string, args ...any) {
	s.mu.Lock()
	age := report.Tick(time.Since(s.began))
	s.mu.Unlock()
	s.Screen.Say("%7s  %s", age, fmt.Sprintf(format, args...))
}

// ResetClock makes lines of progress count from now on, and returns now.
func (s *Stage) ResetClock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
	return s.began
}

// Cleanup has a function called once the stack has stopped. The last one registered goes first.
func (s *Stage) Cleanup(do func()) { s.cleanups = append(s.cleanups, do) }

// Access tells how to look at everything from outside.
func (s *Stage) Access() string {
	return strings.Join([]string{
		"  Gitea       " + s.Gitea().URL() + "  (API token " + s.Gitea().Token() + ")",
		"  API server  export KUBECONFIG=" + s.Kubeconfig(stack.Admin),
		"  logs        " + s.LogsDir(),
	}, "\n")
}

func (s *Stage) start(ctx context.Context, options stack.Options) (err error) {
	if options.Components == stack.Everything {
		watchers := 1
		if options.Watchers != nil {
			watchers = *options.Watchers
		}
		s.Say("starting etcd, kube-apiserver, Tekton, Pipelines-as-Code with %s, Gitea and kwok", Count(watchers, "watcher"))
	} else {
		s.Say("starting etcd and kube-apiserver")
	}
	options.Log = s.Say
	s.Stack, err = stack.Start(ctx, options)
	return err
}

// stop stops the stack, if it was started, and cleans up.
func (s *Stage) stop() (err error) {
	if s.Stack != nil {
		err = s.Stop()
	}
	for _, do := range slices.Backward(s.cleanups) {
		do()
	}
	return err
}
