// Command stack runs the embedded stack until Ctrl-C.
//
//	go run ./e2e/stack/cmd/stack
//	go run ./e2e/stack/cmd/stack -watchers 2 -keep
//	go run ./e2e/stack/cmd/stack -replicas 2 # with the add-on, installed by its Helm chart
//	go run ./e2e/stack/cmd/stack -kubernetes 1.30
package main

import (
	"context"
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
	if err := up(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

// up runs everything until the context ends.
func up(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stack", flag.ContinueOnError)
	watchers := flags.Int("watchers", 1, "number of PAC watchers")
	replicas := flags.Int("replicas", 0, "install the add-on with this many replicas")
	keep := flags.Bool("keep", false, "leave the folder with the logs")
	audit := flags.Bool("audit", false, "write the API server's audit log")
	var versions build.Versions
	versions.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	began := time.Now()
	s, err := stack.Start(ctx, stack.Options{
		Components: stack.Everything, Versions: versions, Watchers: watchers, Keep: *keep, Audit: *audit,
	})
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
