package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
)

func TestReportNamesFailures(t *testing.T) {
	fine := verdict{Key: queue.Key{Namespace: "a", Repository: "a"}, Limit: 2, Report: audit.Report{Runs: 3, Done: 3, MostStarted: 2}}
	if broken := (report{Queues: []verdict{fine}}).broken(); len(broken) > 0 {
		t.Errorf("reported as broken: %q, want nothing", broken)
	}
	bad := fine
	bad.Key.Repository = "b"
	bad.Report.Violations = []audit.Violation{
		{Invariant: "I1", At: time.Unix(0, 0).UTC(), What: "x makes 3 started runs, the limit is 2"},
	}
	bad.Lost, bad.Doubled, bad.Unfinished = []string{"lost-x"}, []string{"twice-x"}, []string{"hangs-x"}
	r := report{Queues: []verdict{fine, bad}, Crashes: []string{"panic: x"}}
	want := []string{
		"b: 00:00:00.000 I1: x makes 3 started runs, the limit is 2",
		"b: lost: lost-x",
		"b: started and never finished: hangs-x",
		"b: started twice: twice-x",
		"panic: x",
	}
	if got := r.broken(); !slices.Equal(got, want) {
		t.Errorf("reported as broken: %q, want %q", got, want)
	}
	for _, line := range append(want, "BROKEN", "limit (I1) 1", "lost 1, started twice 1, never finished 1") {
		if !strings.Contains(r.text(), line) {
			t.Errorf("the report does not have %q:\n%s", line, r.text())
		}
	}
}

func TestDisturbedPauses(t *testing.T) {
	noon := time.Unix(0, 0)
	f := faults{happened: []happening{{began: noon, ended: noon.Add(time.Minute)}}}
	for name, c := range map[string]struct {
		start audit.Start
		want  bool
	}{
		"before": {audit.Start{At: noon.Add(-time.Second), Pause: time.Second}, false},
		"during": {audit.Start{At: noon.Add(time.Second)}, true},
		"over":   {audit.Start{At: noon.Add(time.Hour), Pause: time.Hour}, true},
		"after":  {audit.Start{At: noon.Add(time.Hour), Pause: time.Second}, false},
	} {
		if got := f.disturbed(c.start); got != c.want {
			t.Errorf("%s the fault: disturbed is %t, want %t", name, got, c.want)
		}
	}
}
