// Command build builds programs of the embedded stack into the cache, for later, and says where
// they are. It needs little itself, so that there is progress to see from the first second.
//
//	go run ./e2e/stack/cmd/build                        # all that a stack needs
//	go run ./e2e/stack/cmd/build kubectl                # one, also such as only people use
//	go run ./e2e/stack/cmd/build -kubernetes 1.30       # for a stack of other versions
//	go run ./e2e/stack/cmd/build -with ./e2e/show/demo  # and compile what is to use them
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

func main() {
	with := flag.String("with", "", "packages of this repository, separated by commas, to compile as well")
	quiet := flag.Bool("quiet", false, "do not say where the programs are")
	var versions build.Versions
	versions.AddFlags(flag.CommandLine)
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, versions, flag.Args(), *with, *quiet); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, versions build.Versions, names []string, with string, quiet bool) error {
	components := build.All()
	if len(names) > 0 {
		components = nil
	}
	for _, name := range names {
		components = append(components, build.Component(name))
	}
	programs, err := versions.Build(ctx, nil, components...)
	if err != nil {
		return err
	}
	if with != "" {
		if err := build.Compile(ctx, nil, strings.Split(with, ",")...); err != nil {
			return err
		}
	}
	for _, c := range components {
		if !quiet {
			fmt.Printf("%-24s %s\n", c, programs[c])
		}
	}
	return nil
}
