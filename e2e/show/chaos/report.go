package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// aftermath is how long after a fault a pause still counts as caused by it: another replica takes
// over after takeoverAfter and a recovery tick, and watches come back with a back-off.
const aftermath = takeoverAfter + recoveryInterval + 5*time.Second

// report is the outcome of a chaos.
type report struct {
	Config   config
	Settings string // that repeat the plan
	Took     time.Duration
	Faults   string
	Ended    []string // processes that exited by themselves
	Pushes   int
	Missing  int // pushed runs that PAC never created
	Stunted  int // pushes that the missing runs belong to
	Queues   []verdict
	Crashes  []string // in the logs of the add-on
	Calm     pauses   // away from faults
	Stormy   pauses   // near faults
}

// verdict is the outcome of one queue.
type verdict struct {
	Key    queue.Key
	Limit  int
	Report audit.Report
	// Lost runs never started, Doubled runs started more than once, and Unfinished runs started but
	// are not done.
	Lost, Doubled, Unfinished []string
}

// pauses are the times from a free slot to the next start.
type pauses []audit.Start

func (p pauses) String() string {
	if len(p) == 0 {
		return "no starts"
	}
	sorted := slices.SortedFunc(slices.Values(p), func(a, b audit.Start) int { return cmp.Compare(a.Pause, b.Pause) })
	worst := sorted[len(sorted)-1]
	return fmt.Sprintf("median %s, worst %s (before %s, %s) of %d", show.Brief(sorted[len(sorted)/2].Pause), show.Brief(worst.Pause),
		worst.Run, worst.At.Format("15:04:05"), len(sorted))
}

// judge audits the record of every queue.
func (c *chaos) judge() (report, error) {
	r := report{Config: c.config, Settings: c.Settings, Took: time.Since(c.began), Faults: c.faults.count(), Ended: tally(c.faults.ended)}
	for _, l := range c.lines {
		auditor, err := c.recorder.Audit(l.key)
		if err != nil {
			return r, err
		}
		view := c.recorder.View(l.key)
		v := verdict{Key: l.key, Limit: l.limit, Report: auditor.Finish(time.Now())}
		v.Lost, v.Unfinished = names(view.In(queue.Pending)), names(view.In(queue.Started))
		starts := map[string]int{}
		for _, start := range v.Report.Starts {
			if starts[start.Run]++; starts[start.Run] == 2 {
				v.Doubled = append(v.Doubled, start.Run)
			}
			if c.faults.disturbed(start) {
				r.Stormy = append(r.Stormy, start)
			} else {
				r.Calm = append(r.Calm, start)
			}
		}
		r.Queues = append(r.Queues, v)
		missing, stunted := l.missing(view)
		r.Pushes, r.Missing, r.Stunted = r.Pushes+len(l.pushed), r.Missing+missing, r.Stunted+stunted
	}
	var err error
	r.Crashes, err = c.crashes()
	return r, err
}

// disturbed reports whether a fault or its aftermath fell into the pause before a start.
func (f *faults) disturbed(start audit.Start) bool {
	return slices.ContainsFunc(f.happened, func(h happening) bool {
		return h.began.Before(start.At) && start.At.Add(-start.Pause).Before(h.ended.Add(aftermath))
	})
}

var crash = regexp.MustCompile(`(?m)^(panic: .*|fatal error: .*|WARNING: DATA RACE)$`)

// crashes searches the logs of the add-on for crashes, which no fault excuses.
func (c *chaos) crashes() ([]string, error) {
	if c.addon == nil {
		return nil, nil
	}
	var found []string
	for _, r := range c.addon.Replicas() {
		log, err := os.ReadFile(r.LogFile())
		if err != nil {
			return nil, err
		}
		for _, line := range crash.FindAllString(string(log), -1) {
			found = append(found, fmt.Sprintf("%s (%s)", line, r.LogFile()))
		}
	}
	return found, nil
}

// writeRecords puts the record of every queue beside the logs.
func (c *chaos) writeRecords() error {
	for _, l := range c.lines {
		file := filepath.Join(c.LogsDir(), l.key.Repository+".history")
		if err := os.WriteFile(file, []byte(c.recorder.Text(l.key)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// broken lists what went wrong, one line each.
func (r report) broken() []string {
	var lines []string
	for _, q := range r.Queues {
		for _, v := range q.Report.Violations {
			lines = append(lines, fmt.Sprintf("%s: %s", q.Key.Repository, v))
		}
		for what, runs := range map[string][]string{
			"lost": q.Lost, "started twice": q.Doubled, "started and never finished": q.Unfinished,
		} {
			if len(runs) > 0 {
				lines = append(lines, fmt.Sprintf("%s: %s: %s", q.Key.Repository, what, strings.Join(runs, ", ")))
			}
		}
	}
	slices.Sort(lines)
	return append(lines, r.Crashes...)
}

// text writes the report for people.
func (r report) text() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "CHAOS with seed %d and %s: %s of faults, %s in all\n",
		r.Config.Seed, show.Count(r.Config.Replicas, "replica"), r.Config.Duration, r.Took.Round(time.Second))
	line("faults", "%s", r.Faults)
	if len(r.Ended) > 0 {
		line("", "exited by themselves: %s", strings.Join(r.Ended, ", "))
	}
	line("pushes", "%d with %s", r.Pushes, show.Count(r.Config.Runs, "run"))
	if r.Missing > 0 {
		line("", "PAC never created %d of these runs, in %d pushes: it does not try again", r.Missing, r.Stunted)
	}
	violations := map[string]int{}
	var lost, doubled, unfinished int
	for _, q := range r.Queues {
		line(q.Key.Repository, "limit %d, at most %d started at a time; %s, %d done",
			q.Limit, q.Report.MostStarted, show.Count(q.Report.Runs, "run"), q.Report.Done)
		for _, v := range q.Report.Violations {
			violations[v.Invariant]++
		}
		lost, doubled, unfinished = lost+len(q.Lost), doubled+len(q.Doubled), unfinished+len(q.Unfinished)
	}
	line("pause", "from a free slot to the next start, away from faults: %s", r.Calm)
	line("", "near faults: %s", r.Stormy)
	line("violations", "limit (I1) %d, order (I3) %d, left behind (I4) %d", violations["I1"], violations["I3"], violations["I4"])
	line("runs", "lost %d, started twice %d, never finished %d", lost, doubled, unfinished)
	broken := r.broken()
	if len(broken) == 0 {
		b.WriteString("OK: the limits held, the order was kept, and every run started once and finished.")
		return b.String()
	}
	fmt.Fprintf(&b, "BROKEN:\n  %s\nTo repeat this plan: make chaos %s", strings.Join(broken, "\n  "), r.Settings)
	return b.String()
}

func names(runs []queue.Run) []string {
	var all []string
	for _, r := range runs {
		all = append(all, r.Name)
	}
	return all
}

// tally lists counts, the most frequent first.
func tally(counts map[string]int) []string {
	var all []string
	for _, what := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		all = append(all, fmt.Sprintf("%d %s", counts[what], what))
	}
	return all
}
