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
)

// aftermath is how long after a fault a pause is still put down to it: another
// replica takes over after takeoverAfter and a recovery tick, and watches come back
// with a back-off.
const aftermath = takeoverAfter + recoveryInterval + 5*time.Second

// report is what came out of a chaos.
type report struct {
	Config  config
	Took    time.Duration
	Faults  string
	Ended   []string // processes that ended by themselves
	Pushes  int
	Missing int // pushed runs that PAC never created
	Stunted int // pushes that they are missing of
	Queues  []verdict
	Crashes []string // what the add-on's logs must not have in them
	Calm    pauses
	Stormy  pauses
}

// verdict is what came out of one queue.
type verdict struct {
	Key    queue.Key
	Limit  int
	Report audit.Report
	// Lost are runs that never started, Doubled such as did more than once,
	// Unfinished those that were started and are not done.
	Lost, Doubled, Unfinished []string
}

// pauses are the times from a free slot to a start.
type pauses []audit.Start

func (p pauses) String() string {
	if len(p) == 0 {
		return "no starts"
	}
	sorted := slices.SortedFunc(slices.Values(p), func(a, b audit.Start) int { return cmp.Compare(a.Pause, b.Pause) })
	worst := sorted[len(sorted)-1]
	return fmt.Sprintf("median %s, worst %s (before %s, %s) of %d", brief(sorted[len(sorted)/2].Pause), brief(worst.Pause),
		worst.Run, worst.At.Format("15:04:05"), len(sorted))
}

// judge audits the record of every queue.
func (c *chaos) judge() (report, error) {
	r := report{Config: c.config, Took: time.Since(c.began), Faults: c.faults.count(), Ended: tally(c.faults.ended)}
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

// disturbed says whether a fault, or what comes of one, fell into the pause before
// a start.
func (f *faults) disturbed(start audit.Start) bool {
	return slices.ContainsFunc(f.happened, func(h happening) bool {
		return h.began.Before(start.At) && start.At.Add(-start.Pause).Before(h.ended.Add(aftermath))
	})
}

var crash = regexp.MustCompile(`(?m)^(panic: .*|fatal error: .*|WARNING: DATA RACE)$`)

// crashes looks through the logs of the add-on for what no fault excuses.
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

// writeRecord adds the record of every queue to the logs.
func (c *chaos) writeRecord() error {
	for _, l := range c.lines {
		if err := os.WriteFile(filepath.Join(c.stack.LogsDir(), l.key.Repository+".history"), []byte(c.recorder.Text(l.key)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// broken says what is wrong, if anything, one line each.
func (r report) broken() []string {
	var lines []string
	for _, q := range r.Queues {
		for _, v := range q.Report.Violations {
			lines = append(lines, fmt.Sprintf("%s: %s", q.Key.Repository, v))
		}
		for what, runs := range map[string][]string{"lost": q.Lost, "started twice": q.Doubled, "started and never finished": q.Unfinished} {
			if len(runs) > 0 {
				lines = append(lines, fmt.Sprintf("%s: %s: %s", q.Key.Repository, what, strings.Join(runs, ", ")))
			}
		}
	}
	slices.Sort(lines)
	return append(lines, r.Crashes...)
}

// text is the report for people.
func (r report) text() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "CHAOS with seed %d: faults for %s, everything for %s, %d replicas\n", r.Config.Seed, r.Config.Duration, r.Took.Round(time.Second), r.Config.Replicas)
	line("faults", "%s", r.Faults)
	if len(r.Ended) > 0 {
		line("", "and ended by themselves: %s", strings.Join(r.Ended, ", "))
	}
	line("pushes", "%d with %d runs", r.Pushes, r.Config.Runs)
	if r.Missing > 0 {
		line("", "PAC never created %d of these runs, of %d pushes: it does not try again", r.Missing, r.Stunted)
	}
	violations := map[string]int{}
	var lost, doubled, unfinished int
	for _, q := range r.Queues {
		line(q.Key.Repository, "limit %d, at most %d started at once; %d runs, %d done", q.Limit, q.Report.MostStarted, q.Report.Runs, q.Report.Done)
		for _, v := range q.Report.Violations {
			violations[v.Invariant]++
		}
		lost, doubled, unfinished = lost+len(q.Lost), doubled+len(q.Doubled), unfinished+len(q.Unfinished)
	}
	line("pause", "from a free slot to the next start, in calm: %s", r.Calm)
	line("", "under faults: %s", r.Stormy)
	line("violations", "limit (I1) %d, order (I3) %d, left behind (I4) %d", violations["I1"], violations["I3"], violations["I4"])
	line("runs", "lost %d, started twice %d, never finished %d", lost, doubled, unfinished)
	broken := r.broken()
	if len(broken) == 0 {
		b.WriteString("OK: the limits and the order were kept, and every run finished, once.")
		return b.String()
	}
	fmt.Fprintf(&b, "BROKEN:\n  %s\nThe same plan again: make chaos %s", strings.Join(broken, "\n  "), r.Config)
	return b.String()
}

func names(runs []queue.Run) []string {
	var all []string
	for _, r := range runs {
		all = append(all, r.Name)
	}
	return all
}

// tally lists what was counted, the most frequent first.
func tally(counts map[string]int) []string {
	var all []string
	for _, what := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		all = append(all, fmt.Sprintf("%d %s", counts[what], what))
	}
	return all
}

func brief(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
