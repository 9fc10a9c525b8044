// Command versions plays a list of scenarios on the real components in each combination of versions
// that e2e/stack/components pins, prints a table, and writes it to where documentation, chart and
// doctor have it from. It fails if a row does not pass of which the table did not say so before.
//
//	go run ./e2e/show/versions              # make versions
//	go run ./e2e/show/versions -only 1.30   # the rows with that version, beside the default ones
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

func main() {
	only := flag.String("only", "", "versions, separated by commas: play only rows with one of them; the others stay as they are")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "versions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	all, err := combinations()
	if err != nil {
		return err
	}
	chosen, err := choose(all, only)
	if err != nil {
		return err
	}
	root, err := build.Root()
	if err != nil {
		return err
	}
	p, err := newPlayer(ctx, root)
	if err != nil {
		return err
	}
	defer p.close()
	file := filepath.Join(root, filepath.FromSlash(tested.File))
	before, err := read(file)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		row, err := p.play(ctx, c)
		if err != nil {
			return err
		}
		// After each row: what was played is not lost if a later one is interrupted.
		if err := record(file, all, row); err != nil {
			return err
		}
	}
	rows, err := read(file)
	if err != nil {
		return err
	}
	fmt.Print("\n" + text(rows))
	return worse(before, rows)
}

// worse returns an error if a row does not pass of which the table said nothing like it before.
func worse(before, now []tested.Row) error {
	var errs []error
	for _, row := range now {
		known := slices.ContainsFunc(before, func(b tested.Row) bool { return same(b, row) && b.Outcome == row.Outcome })
		if row.Outcome != tested.Passed && !known {
			errs = append(errs, fmt.Errorf("%s on Kubernetes %s, Tekton Pipelines %s and Pipelines-as-Code %s, "+
				"which the table did not say before: repair it, or commit the table", row.Outcome, row.Kubernetes, row.Tekton, row.PAC))
		}
	}
	return errors.Join(errs...)
}

// combinations are the default versions, each other version of one component beside the defaults
// of the others, and the oldest of all.
func combinations() ([]tested.Row, error) {
	var pinned [3][]string
	for i, module := range []string{build.ModuleKubernetes, build.ModuleTekton, build.ModulePAC} {
		var err error
		if pinned[i], err = build.Pinned(module); err != nil {
			return nil, err
		}
	}
	return combine(pinned), nil
}

// combine combines versions of each component, the first of which is the default and the second
// the oldest.
func combine(pinned [3][]string) []tested.Row {
	row := func(versions [3]string) tested.Row {
		return tested.Row{Kubernetes: versions[0], Tekton: versions[1], PAC: versions[2]}
	}
	defaults := [3]string{pinned[0][0], pinned[1][0], pinned[2][0]}
	rows := []tested.Row{row(defaults)}
	oldest, others := defaults, 0
	for i, versions := range pinned {
		for _, version := range versions[1:] {
			one := defaults
			one[i] = version
			rows = append(rows, row(one))
		}
		if len(versions) > 1 {
			oldest[i], others = versions[1], others+1
		}
	}
	if others > 1 {
		rows = append(rows, row(oldest))
	}
	return rows
}

// choose picks the rows with one of the versions. No versions mean all.
func choose(all []tested.Row, only string) ([]tested.Row, error) {
	if only == "" {
		return all, nil
	}
	var chosen []tested.Row
	found := map[string]bool{}
	for _, row := range all {
		takes := false
		for wanted := range strings.SplitSeq(only, ",") {
			for _, c := range tested.Components() {
				if strings.HasPrefix(row.Version(c)+".", wanted+".") {
					takes, found[wanted] = true, true
				}
			}
		}
		if takes {
			chosen = append(chosen, row)
		}
	}
	for wanted := range strings.SplitSeq(only, ",") {
		if !found[wanted] {
			return nil, fmt.Errorf("no row has the version %q: e2e/stack/components pins what there is", wanted)
		}
	}
	return chosen, nil
}

func read(file string) ([]tested.Row, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	rows, err := tested.Read(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rows, nil
}

// record replaces a row in the file and drops what is not pinned any more. Rows are in the order of
// all.
func record(file string, all []tested.Row, played tested.Row) error {
	before, err := read(file)
	if err != nil {
		return err
	}
	content, err := yaml.Marshal(merge(all, before, played))
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte("# Made by make versions: what was played, and how it ended.\n"), content...), 0o644)
}

func merge(all, before []tested.Row, played tested.Row) []tested.Row {
	var rows []tested.Row
	for _, c := range all {
		for _, row := range append([]tested.Row{played}, before...) {
			if same(row, c) {
				rows = append(rows, row)
				break
			}
		}
	}
	return rows
}

func same(a, b tested.Row) bool {
	return a.Kubernetes == b.Kubernetes && a.Tekton == b.Tekton && a.PAC == b.PAC
}

// text is the table for a terminal.
func text(rows []tested.Row) string {
	var b strings.Builder
	line := func(columns ...any) { fmt.Fprintf(&b, "%-11s %-17s %-18s %-8s %s\n", columns...) }
	line("Kubernetes", "Tekton Pipelines", "Pipelines-as-Code", "hold", "outcome")
	for _, r := range rows {
		outcome := string(r.Outcome)
		if r.Reason != "" {
			outcome += ": " + r.Reason
		}
		line(r.Kubernetes, r.Tekton, r.PAC, r.Hold, outcome)
	}
	return b.String()
}
