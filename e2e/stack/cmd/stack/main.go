// Command stack builds and runs the embedded stack by hand.
//
//	go run ./e2e/stack/cmd/stack build          # build every component into the cache, for later
//	go run ./e2e/stack/cmd/stack build kubectl  # build one, also such as only people use
//	go run ./e2e/stack/cmd/stack up             # start everything and stay until Ctrl-C
//	go run ./e2e/stack/cmd/stack up -watchers 2 -keep
//	go run ./e2e/stack/cmd/stack up -replicas 2 # with the add-on, installed by its Helm chart
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: build or up")
	}
	switch args[0] {
	case "build":
		return buildPrograms(ctx, args[1:])
	case "up":
		return up(ctx, args[1:])
	}
	return fmt.Errorf("unknown command %q: say build or up", args[0])
}

// buildPrograms builds the named components, or every one that the stack runs, so that no later start has to, and prints where
// they are.
func buildPrograms(ctx context.Context, args []string) error {
	components := build.All()
	if len(args) > 0 {
		components = nil
	}
	for _, name := range args {
		components = append(components, build.Component(name))
	}
	programs, err := build.Build(ctx, nil, components...)
	if err != nil {
		return err
	}
	for _, c := range components {
		fmt.Printf("%-24s %s\n", c, programs[c])
	}
	return nil
}

// up runs everything until the context ends.
func up(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	watchers := flags.Int("watchers", 1, "number of PAC watchers")
	replicas := flags.Int("replicas", 0, "install the add-on with this many replicas")
	keep := flags.Bool("keep", false, "leave the folder with the logs")
	audit := flags.Bool("audit", false, "write the API server's audit log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	began := time.Now()
	s, err := stack.Start(ctx, stack.Options{Components: stack.Everything, Watchers: watchers, Keep: *keep, Audit: *audit})
	if err != nil {
		return err
	}
	defer s.Stop()
	if *replicas > 0 {
		if _, err := s.InstallAddon(ctx, stack.AddonOptions{Replicas: *replicas}); err != nil {
			s.KeepDir()
			return err
		}
	}
	fmt.Printf("up after %s\n\n", time.Since(began).Round(100*time.Millisecond))
	fmt.Printf("Kubernetes  export KUBECONFIG=%s\n", s.Kubeconfig(stack.Admin))
	fmt.Printf("Gitea       %s (API token %s)\n", s.Gitea().URL(), s.Gitea().Token())
	fmt.Printf("PAC events  %s\n", s.PACControllerURL())
	fmt.Printf("logs        %s\n\nCtrl-C ends it.\n", s.LogsDir())
	<-ctx.Done()
	return s.Stop()
}
