package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// suite is the package with the scenarios.
const suite = "./e2e/suite/onstack"

// playedHold is the attribute by which the test of the hold reports which one auto picked.
const playedHold = "hold"

// scenarios is the list, by the tests of the suite that play them.
var scenarios = []struct{ test, name string }{
	{"TestAutoPicksTheHold", "the hold that auto picks"},
	{"TestLimitHolds/limit_2_replicas", "limits"},
	{"TestOrderWithinAndAcrossEvents", "order"},
	{"TestGuardKeepsRunsHeld", "guard"},
	{"TestGlobalLimit", "global limit"},
	{"TestNewerRunSupersedesOlder", "cancel-in-progress"},
	{"TestSuite/replica_killed", "replica killed"},
	{"TestUninstallHandsBack", "uninstall"},
}

// rowDeadline bounds one row, without the building of its components.
const rowDeadline = 20 * time.Minute

// player plays rows by a compiled suite.
type player struct{ root, cache, dir, program string }

func newPlayer(ctx context.Context, root string) (*player, error) {
	dir, err := os.MkdirTemp("", "pac-lease-queue-versions-")
	if err != nil {
		return nil, err
	}
	p := &player{root: root, dir: dir, program: filepath.Join(dir, "suite.test")}
	if p.cache, err = build.CacheDir(); err != nil {
		return nil, err
	}
	cmd, err := build.Own(ctx, true, "test", "-c", "-trimpath", "-vet=off", "-o", p.program, suite)
	if err == nil {
		var out string
		if out, err = process.Output(cmd); err != nil {
			err = fmt.Errorf("compiling %s: %w\n%s", suite, err, out)
		}
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *player) close() { _ = os.RemoveAll(p.dir) }

// play builds the components of a row and plays the scenarios on them. An error is not the row's.
func (p *player) play(ctx context.Context, row tested.Row) (tested.Row, error) {
	fmt.Printf("\nKubernetes %s, Tekton Pipelines %s, Pipelines-as-Code %s\n", row.Kubernetes, row.Tekton, row.PAC)
	versions := build.Versions{Kubernetes: row.Kubernetes, Tekton: row.Tekton, PAC: row.PAC}
	if _, err := versions.Build(ctx, nil, build.All()...); err != nil {
		if ctx.Err() != nil {
			return row, ctx.Err()
		}
		fmt.Println(err)
		row.Outcome, row.Reason = tested.NotBuilt, p.tidy(err.Error())
		return row, nil
	}
	var tests []string
	for _, s := range scenarios {
		tests = append(tests, "^"+strings.ReplaceAll(s.test, "/", "$/^")+"$")
	}
	bounded, cancel := context.WithTimeout(ctx, rowDeadline)
	defer cancel()
	cmd := exec.CommandContext(bounded, "go", "tool", "test2json", "-t",
		p.program, "-test.v=test2json", "-test.run="+strings.Join(tests, "|"), "-hold=auto",
		"-kubernetes="+row.Kubernetes, "-tekton="+row.Tekton, "-pac="+row.PAC)
	cmd.Dir = filepath.Join(p.root, filepath.FromSlash(suite))
	in, out := io.Pipe()
	cmd.Stdout, cmd.Stderr = out, out
	result := make(chan outcomes, 1)
	go func() { result <- follow(in, os.Stdout) }()
	err := process.Run(cmd)
	out.Close()
	seen := <-result
	if ctx.Err() != nil {
		return row, ctx.Err()
	}
	if bounded.Err() != nil {
		err = fmt.Errorf("not finished within %s", rowDeadline)
	}
	row.Hold = seen.hold
	row.Outcome, row.Reason = p.judge(seen, err)
	return row, nil
}

// judge says what became of a row. A scenario that was not played did not pass.
func (p *player) judge(seen outcomes, ended error) (tested.Outcome, string) {
	var reason string
	var also []string
	for _, s := range scenarios {
		said, failed := seen.failed[s.test]
		switch {
		case seen.done[s.test] && !failed:
		case reason != "":
			also = append(also, s.name)
		case failed:
			reason = s.name + ": " + p.tidy(cmp.Or(strings.Join(said, " "), "failed"))
		default:
			reason = s.name + ": not played"
		}
	}
	switch {
	case len(seen.done) == 0:
		return tested.Failed, "the stack does not start: " + p.tidy(cmp.Or(strings.Join(seen.rest, " "), fmt.Sprint(ended)))
	case reason == "" && ended != nil:
		return tested.Failed, p.tidy(ended.Error())
	case reason == "":
		return tested.Passed, ""
	case len(also) > 0:
		reason += "; also " + strings.Join(also, ", ")
	}
	return tested.Failed, reason
}

// outcomes are what the tests reported.
type outcomes struct {
	done   map[string]bool
	failed map[string][]string // what failed tests printed as an error
	hold   string
	rest   []string // output that belongs to no test
}

// event is a line of test2json.
type event struct{ Action, Test, Output, Key, Value string }

// reported matches what a test prints by t.Error and t.Fatal.
var reported = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)$`)

// follow reads the events of a test program and shows how each test ended.
func follow(in io.Reader, show io.Writer) outcomes {
	seen := outcomes{done: map[string]bool{}, failed: map[string][]string{}}
	said := map[string][]string{}
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the end
			return seen
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			seen.rest = append(seen.rest, string(line))
			continue
		}
		switch e.Action {
		case "output":
			text := strings.TrimRight(e.Output, "\n")
			if e.Test == "" {
				seen.rest = append(seen.rest, text)
			} else if match := reported.FindStringSubmatch(text); match != nil {
				said[e.Test] = append(said[e.Test], match[1])
			} else if strings.HasPrefix(text, "        ") {
				said[e.Test] = append(said[e.Test], strings.TrimSpace(text))
			}
		case "attr":
			if e.Key == playedHold {
				seen.hold = e.Value
			}
		case "pass":
			seen.done[e.Test] = true
		case "fail":
			seen.done[e.Test] = true
			seen.failed[e.Test] = append([]string{}, said[e.Test]...)
		}
		if e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
			fmt.Fprintf(show, "  %-4s %s\n", e.Action, e.Test)
			if e.Action == "fail" {
				for _, line := range said[e.Test] {
					fmt.Fprintf(show, "       %s\n", line)
				}
			}
		}
	}
}

// longest is how much of a reason is kept.
const longest = 300

var (
	blanks = regexp.MustCompile(`\s+`)
	// random matches the end of a name that the API server or the suite made.
	random = regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{5}\b`)
)

// tidy shortens a text to what says the same on every machine.
func (p *player) tidy(text string) string {
	for _, dir := range []string{p.root, p.cache} {
		text = strings.ReplaceAll(text, dir+string(filepath.Separator), "")
	}
	text = blanks.ReplaceAllString(strings.TrimSpace(text), " ")
	text = random.ReplaceAllString(text, "-…")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
