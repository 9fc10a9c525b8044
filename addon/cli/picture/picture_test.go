package picture_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

var began = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return began.Add(time.Duration(seconds * float64(time.Second)))
}

func sec(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// half is a queue half-way, just after a replica died.
func half() picture.Picture {
	return picture.Picture{
		Title: "Queue shop/shop in Leases, limit 2, 2 replicas", Limit: 2, Expected: 8, Began: began, Now: at(12.3),
		Runs: []picture.Run{
			{
				Name: "run-01-x7k2p", Placed: true, State: queue.StateDone, Slot: queue.NoSlot, Since: at(7.9), Took: sec(2.6),
				Outcome: report.Succeeded,
			},
			{
				Name: "run-02-8b84p", Placed: true, State: queue.StateDone, Slot: queue.NoSlot, Since: at(7.8), Took: sec(2.4),
				Outcome: report.Succeeded,
			},
			{
				Name: "run-03-6wwgf", Placed: true, State: queue.StateDone, Slot: queue.NoSlot, Since: at(10.2), Took: sec(2.3),
				Outcome: "failed",
			},
			{Name: "run-04-l4c95", Placed: true, State: queue.StateDone, Slot: queue.NoSlot, Since: at(3), Outcome: "cancelled"},
			{Name: "run-05-6fl7c", Placed: true, State: queue.StateStarted, Slot: 1, Since: at(10.3), Took: sec(6.6)},
			{Name: "run-06-zjjvz", Placed: true, State: queue.StateClaimed, Slot: 0, Since: at(10.4), Took: sec(6.7)},
			{Name: "run-07-sbk9w", Placed: true, State: queue.StateQueued, Slot: queue.NoSlot, Since: at(3.7)},
			{Name: "run-08-mzhp8", State: queue.StateQueued, Slot: queue.NoSlot, Since: at(3.6)},
		},
		Events: []picture.Event{
			{At: at(0.8), Text: "one push with 8 runs, commit 9865e857"},
			{At: at(10.4), Text: "pac-lease-queue-1, the leader, killed with SIGKILL after 4 runs", Alarm: true},
		},
	}
}

// exceeded is a queue whose limit does not hold.
func exceeded() picture.Picture {
	return picture.Picture{
		Title: "Queue shop/shop in PAC's memory, limit 1, 2 watchers", Limit: 1, Began: began, Now: at(5),
		Runs: []picture.Run{
			{Name: "run-01-aaaaa", Placed: true, State: queue.StateStarted, Slot: 0, Since: at(4)},
			{Name: "run-02-bbbbb", Placed: true, State: queue.StateStarted, Slot: 1, Since: at(4.1)},
			{Name: "run-03-ccccc", Placed: true, State: queue.StateStarted, Slot: queue.NoSlot, Since: at(4.2)},
		},
		Events: []picture.Event{{At: at(4.1), Text: "the limit is exceeded: 2 runs at once", Alarm: true}},
	}
}

// crowd has more of everything than any terminal shows.
func crowd() picture.Picture {
	b := picture.Picture{Title: "Queue shop/shop in Leases, limit 30, 2 replicas", Limit: 30, Expected: 200, Began: began, Now: at(400)}
	for i := range 180 {
		r := picture.Run{
			Name: fmt.Sprintf("a-run-with-quite-a-long-name-%03d-x7k2p", i), Placed: true, State: queue.StateQueued,
			Slot: queue.NoSlot, Since: at(10 + float64(i)), Took: sec(90),
		}
		switch {
		case i < 60:
			r.State, r.Outcome = queue.StateDone, report.Succeeded
		case i < 85:
			r.State, r.Slot = queue.StateStarted, i-60
		}
		b.Runs = append(b.Runs, r)
	}
	for i := range 20 {
		b.Events = append(b.Events, picture.Event{
			At: at(float64(i * 20)),
			Text: fmt.Sprintf("event %d, of which there is a lot to tell, more than fits into any line of a terminal that is not "+
				"very wide", i),
		})
	}
	return b
}

// vast has a limit far above the number of runs.
func vast() picture.Picture {
	b := half()
	b.Limit = 1 << 40
	return b
}

func TestPaint(t *testing.T) {
	for name, tc := range map[string]struct {
		picture       picture.Picture
		width, height int
	}{
		"wide":     {half(), 110, 40},
		"narrow":   {half(), 60, 40},
		"short":    {half(), 110, 9},
		"tiny":     {half(), 24, 6},
		"empty":    {picture.Picture{Title: "Queue shop/shop", Limit: 2, Expected: 8, Began: began, Now: began}, 90, 20},
		"exceeded": {exceeded(), 90, 20},
		"crowd":    {crowd(), 120, 24},
		"crowded":  {crowd(), 50, 24},
		"vast":     {vast(), 50, 60},
	} {
		t.Run(name, func(t *testing.T) {
			got := picture.NewPainter(lipgloss.NewRenderer(io.Discard)).Paint(tc.picture, tc.width, tc.height) + "\n"
			golden(t, name, got)
		})
	}
}

func TestPaintFitsEveryTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("CLICOLOR_FORCE", "1")
	p := picture.NewPainter(lipgloss.NewRenderer(io.Discard))
	if picture := p.Paint(half(), 110, 40); !strings.Contains(picture, "\x1b[") {
		t.Error("there are no colours")
	}
	for _, b := range []picture.Picture{half(), exceeded(), crowd(), {}} {
		for width := 1; width < 140; width += 7 {
			for height := 1; height < 45; height += 4 {
				lines := strings.Split(p.Paint(b, width, height), "\n")
				if len(lines) > height {
					t.Fatalf("%q at %dx%d has %d lines", b.Title, width, height, len(lines))
				}
				for i, line := range lines {
					if n := lipgloss.Width(line); n > width {
						t.Fatalf("%q at %dx%d: line %d has %d columns: %q", b.Title, width, height, i, n, line)
					}
				}
			}
		}
	}
}

func TestChanges(t *testing.T) {
	before := half()
	before.Events = before.Events[:1]
	before.Runs = before.Runs[:7]
	before.Runs[0].State = queue.StateStarted
	before.Runs[4].State = queue.StateClaimed
	before.Runs[3].State = queue.StateQueued
	before.Runs[6].Placed = false
	after := half()
	got := picture.Changes(before, after)
	want := []string{
		"+10.4s  !pac-lease-queue-1, the leader, killed with SIGKILL after 4 runs",
		"+12.3s   run-01-x7k2p succeeded after 2.6s; 4 of 8 done",
		"+12.3s   run-04-l4c95 cancelled before it ran; 4 of 8 done",
		"+12.3s   run-05-6fl7c started in slot 1 after waiting 6.6s; 1 started (limit 2), 2 queued",
		"+12.3s   run-07-sbk9w queued, position 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if again := picture.Changes(after, after); len(again) > 0 {
		t.Errorf("no change is told as %q", again)
	}
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
