// Command museum shows how PAC's own queue fails, and what becomes of the same
// mishap with the add-on. Its exhibits are the rows of the table in
// docs/design/pac-contract.md; each is provoked twice on the real components, and
// at the end there is a table of what was seen.
//
//	go run ./e2e/show/museum
//	go run ./e2e/show/museum -only lost-reply,crash-loop
//
// It exits with 1 if the add-on fails anywhere, and also if PAC alone does not
// fail where it is declared to: then the table in the document is out of date.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// Exit codes.
const (
	exitOK          = 0
	exitUnexpected  = 1 // or failed
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	only := flag.String("only", "", "names of exhibits, separated by commas; empty means all")
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "museum:", err)
		return exitUsage
	}
	// A second Ctrl-C ends the program at once, and every process of the stack
	// with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	klog.SetLogger(logr.Discard())

	rows, logs, err := open(ctx, chosen)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "museum: interrupted; everything was stopped")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "museum:", err)
		return exitUnexpected
	}
	fmt.Printf("\n%s\n", render(rows))
	if names := unexpected(rows); len(names) > 0 {
		fmt.Printf("\nNot as declared: %s. Logs: %s\n", strings.Join(names, ", "), logs)
		return exitUnexpected
	}
	fmt.Printf("\nAll %d as declared.\n", len(rows))
	return exitOK
}

// choose picks exhibits by their names.
func choose(only string) ([]exhibit, error) {
	if only == "" {
		return exhibits, nil
	}
	var chosen []exhibit
	for _, name := range strings.Split(only, ",") {
		i := slices.IndexFunc(exhibits, func(e exhibit) bool { return e.name == name })
		if i < 0 {
			var names []string
			for _, e := range exhibits {
				names = append(names, e.name)
			}
			return nil, fmt.Errorf("there is no exhibit %q, only %s", name, strings.Join(names, ", "))
		}
		chosen = append(chosen, exhibits[i])
	}
	return chosen, nil
}
