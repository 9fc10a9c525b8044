package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// summary is the outcome of a demo.
type summary struct {
	Config   config
	Report   audit.Report
	Statuses statuses
	Kill     *kill
	Requests *requests
	// Stuck tells how the queue got stuck; empty if it did not.
	Stuck string
}

// kill is the death of a replica and what followed.
type kill struct {
	Replica  string
	At       time.Time
	Finished int // runs, before it
	// By is the replica that carried on; empty if unknown.
	By string
}

// statuses are the commit statuses that the Git provider shows.
type statuses struct {
	Want, Success int
	Missing       []string // the other runs, each with its state
	After         string   // how long the demo waited for them
}

// broken lists what went wrong, one line each.
func (s summary) broken() []string {
	var lines []string
	for _, v := range s.Report.Violations {
		lines = append(lines, v.String())
	}
	if s.Stuck != "" {
		lines = append(lines, s.Stuck)
	}
	if s.Report.Runs != s.Config.Runs {
		lines = append(lines, fmt.Sprintf("%d runs were pushed and %d were created", s.Config.Runs, s.Report.Runs))
	}
	if n := len(s.Statuses.Missing); n > 0 {
		lines = append(lines, fmt.Sprintf("%d of %d commit statuses are not success%s: %s",
			n, s.Statuses.Want, s.Statuses.After, strings.Join(s.Statuses.Missing, ", ")))
	}
	return lines
}

// text is the summary for people.
func (s summary) text() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-16s %s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(&b, "SUMMARY")
	line("runs", "%d pushed, %d done", s.Config.Runs, s.Report.Done)
	line("order", "%s", s.order())
	line("limit", "%d; at most %d started at a time (checked at every watch event)", s.Config.Limit, s.Report.MostStarted)
	s.pause(line)
	s.killing(line)
	line("commit statuses", "%d of %d are success in Gitea", s.Statuses.Success, s.Statuses.Want)
	if r := s.Requests; r != nil {
		line("API requests", "by %s: %s", r.Client, r.perRun(len(s.Report.Starts)))
		if rest := r.rest(); rest != "" {
			line("", "%s", rest)
		}
	}
	fmt.Fprintln(&b)
	broken := s.broken()
	if len(broken) == 0 {
		fmt.Fprint(&b, "OK: the limit held, the order was kept, and no run was lost.")
		return b.String()
	}
	fmt.Fprintf(&b, "BROKEN: %s", strings.Join(s.names(), ", "))
	for _, l := range broken {
		fmt.Fprintf(&b, "\n  %s", l)
	}
	return b.String()
}

// meanings names what a violation of each invariant means.
var meanings = map[string]string{
	"I1": "limit exceeded",
	"I2": "no progress",
	"I3": "order broken",
	"I4": "runs or slots left behind",
}

// names lists what went wrong in a few words.
func (s summary) names() []string {
	var names []string
	for _, v := range s.Report.Violations {
		name := v.Invariant + " " + meanings[v.Invariant]
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if s.Stuck != "" {
		names = append(names, "queue wedged")
	}
	if s.Report.Runs != s.Config.Runs {
		names = append(names, "wrong number of runs")
	}
	if len(s.Statuses.Missing) > 0 {
		names = append(names, "commit statuses missing")
	}
	return names
}

func (s summary) order() string {
	overtakings := 0
	for _, v := range s.Report.Violations {
		if v.Invariant == "I3" {
			overtakings++
		}
	}
	switch {
	case len(s.Report.Starts) == 0:
		return "no run was started"
	case overtakings > 0:
		return fmt.Sprintf("broken, %d of %d runs started before their turn", overtakings, len(s.Report.Starts))
	default:
		return "kept"
	}
}

// pause reports the time from a free slot to the next start, without the starts that the kill
// delayed.
func (s summary) pause(line func(label, format string, args ...any)) {
	var pauses []time.Duration
	for _, start := range s.Report.Starts {
		if !s.delayed(start) {
			pauses = append(pauses, start.Pause)
		}
	}
	if len(pauses) == 0 {
		return
	}
	slices.Sort(pauses)
	line("pause", "from a free slot to the next start: median %s, worst %s",
		show.Brief(pauses[len(pauses)/2]), show.Brief(pauses[len(pauses)-1]))
	if n := len(s.Report.Starts) - len(pauses); n > 0 {
		line("", "(not counting %s that the kill delayed)", show.Count(n, "start"))
	}
}

// next is the first start after the kill.
func (s summary) next() (audit.Start, bool) {
	if s.Kill == nil {
		return audit.Start{}, false
	}
	i := slices.IndexFunc(s.Report.Starts, func(start audit.Start) bool { return start.At.After(s.Kill.At) })
	if i < 0 {
		return audit.Start{}, false
	}
	return s.Report.Starts[i], true
}

// delayed reports whether a slot was free while no replica had taken the killed one's place yet.
func (s summary) delayed(start audit.Start) bool {
	next, ok := s.next()
	return ok && start.At.After(s.Kill.At) && start.At.Add(-start.Pause).Before(next.At)
}

func (s summary) killing(line func(label, format string, args ...any)) {
	if s.Kill == nil {
		return
	}
	line("kill", "SIGKILL to %s, the leader, after %s", s.Kill.Replica, show.Count(s.Kill.Finished, "run"))
	next, ok := s.next()
	if !ok {
		line("", "no run was left to start")
		return
	}
	by := ""
	if s.Kill.By != "" {
		by = ", by " + s.Kill.By
	}
	line("", "next start %s later%s; a slot had been free for %s", show.Brief(next.At.Sub(s.Kill.At)), by, show.Brief(next.Pause))
}
