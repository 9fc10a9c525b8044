package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

var app = queue.Key{Namespace: "shop", Repository: "app"}

func TestWhy(t *testing.T) {
	running := func(name string, ago time.Duration) queue.Standing {
		return queue.Standing{Run: &queue.Run{Name: name, UID: name, Phase: queue.Started, Began: noon.Add(-ago)}}
	}
	two := []queue.Standing{running("build-x4k", 6*time.Minute), running("test-9fj", 2*time.Minute)}
	waits := queue.Standing{
		Run:      &queue.Run{Name: "deploy", Owed: "its git secret", Attempt: 3},
		Slot:     queue.NoSlot,
		Position: 1,
		Until:    noon.Add(12 * time.Second),
		By:       &queue.Run{Name: "first"},
	}
	because := func(why queue.Why) queue.Standing { is := waits; is.Why = why; return is }
	slotted := func(why queue.Why) queue.Standing { is := because(why); is.Slot, is.Position = 1, 0; return is }
	next := queue.Standing{Run: &queue.Run{Name: "lint"}, Why: queue.Due, Slot: queue.NoSlot}
	many := []queue.Standing{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		is := running(name, 0)
		is.Run.Began = time.Time{}
		many = append(many, is)
	}
	for _, c := range []struct {
		is      queue.Standing
		all     []queue.Standing
		refusal string
		style   report.Style
		want    string
	}{
		{because(queue.SlotsTaken), two, "", report.At(noon), "waiting for a slot: 2 of 2 in use by build-x4k (6m), test-9fj (2m)"},
		{because(queue.SlotsTaken), two, "", report.Written, "waiting for a slot: 2 of 2 in use by build-x4k (since " +
			"11:54:00Z), test-9fj (since 11:58:00Z)"},
		{because(queue.SlotsTaken), many, "", report.At(noon), "waiting for a slot: 7 of 2 in use by a, b, c, d, e, and 2 more"},
		{because(queue.SlotsTaken), nil, "", report.At(noon), "waiting for a slot: none of 2 is free yet"},
		{
			because(queue.SlotsTaken), append(two[:1:1], next), "", report.At(noon),
			"waiting for a slot: 1 of 2 in use by build-x4k (6m); next to start: lint",
		},
		{because(queue.SlotsTaken), []queue.Standing{next, next}, "", report.At(noon), "waiting for a slot: next to start: lint, lint"},
		{next, two, "", report.At(noon), "next to start"},
		{
			because(queue.Unprepared), two, "", report.At(noon),
			"not started without its git secret, which Pipelines-as-Code has not made: the runs behind it go first",
		},
		{
			queue.Standing{Run: &queue.Run{Phase: queue.Started, Manager: "example.com/other"}, Why: queue.NotBegun, Slot: queue.NoSlot},
			two, "", report.At(noon),
			"started, but example.com/other, which its spec.managedBy names, has not begun with it: it takes no slot until then",
		},
		{because(queue.WithoutOrder), two, "", report.At(noon), "waiting for Pipelines-as-Code to write its execution order, 12s left"},
		{because(queue.WithoutOrder), two, "", report.Written, "waiting for Pipelines-as-Code to write its execution order, " +
			"until 12:00:12Z"},
		{because(queue.Preparing), two, "", report.At(noon), "waiting for Pipelines-as-Code to make its git secret, 12s left"},
		{
			because(queue.BehindPreparing), two, "", report.At(noon),
			"waiting for first, which comes first in the same event and is still being prepared by Pipelines-as-Code",
		},
		{
			because(queue.BackOff), two, "denied by policy P", report.Written,
			"in back-off, until 12:00:12Z, after a failed start (attempt 3): denied by policy P",
		},
		{
			slotted(queue.LimitLowered), two, "", report.At(noon),
			"has slot 1, but other runs take up the limit of 2: waiting for them to end",
		},
		{because(queue.Due), two, "", report.At(noon), "next to start"},
		{because(queue.Due), two, "exceeded quota", report.At(noon), "next to start, but its slot cannot be claimed: exceeded quota"},
		{slotted(queue.Due), two, "", report.At(noon), "about to start in slot 1"},
		{slotted(queue.Due), two, "denied", report.At(noon), "about to start in slot 1 again, after a failed start: denied"},
		{slotted(queue.Refused), two, "denied", report.At(noon), "giving up slot 1 after failed starts: denied"},
		{because(queue.Superseded), two, "", report.At(noon), "superseded by first, about to be cancelled"},
		{because(queue.HandedBack), two, "", report.At(noon), "handed back to Pipelines-as-Code"},
		{slotted(""), two, "", report.At(noon), "started in slot 1"},
		{because(""), two, "", report.At(noon), "started, without a slot"},
	} {
		if got := report.Why(c.is, queue.Standings{Limit: 2, Runs: c.all}, c.refusal, c.style); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	paused := queue.Standings{Limit: 2, Runs: two, Spec: queue.Spec{
		Paused: true, PausedBy: "by ann: freeze", MostWaiting: 10, MaxAge: 2 * time.Hour,
	}}
	urgent, outdated, late, excess := because(queue.BehindPriority), because(queue.Outdated), because(queue.Dropped), because(queue.Dropped)
	urgent.Before, late.Cause, excess.Cause = 3, queue.TooOld, queue.TooMany
	outdated.By = &queue.Run{Name: "ci-9", Origin: queue.Origin{Definition: "ci", Branch: "main"}}
	for is, want := range map[*queue.Standing]string{
		new(because(queue.Paused)): "waiting while the queue is paused (by ann: freeze)",
		new(slotted(queue.Paused)): "has slot 1, and does not start while the queue is paused (by ann: freeze)",
		&urgent:                    "waiting for a slot, behind 3 runs of higher priority: 2 of 2 in use by",
		&outdated:                  "about to be cancelled: ci-9, which is newer and of ci on branch main, waits",
		&late:                      "about to be cancelled: no run may wait for longer than 2h00m (waiting.maxAge of the RunQueue)",
		&excess:                    "about to be cancelled: 10 runs may wait (waiting.max of the RunQueue), and the newest beyond do not",
	} {
		if got := report.Why(*is, paused, "", report.At(noon)); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	const want = "waiting for a slot: 1 of 2 in use by build-x4k (6m); " +
		"1 of 2 cannot be used, because of what is in their Leases' place"
	all := queue.Standings{Limit: 2, Runs: two[:1], Unusable: 1}
	if got := report.Why(because(queue.SlotsTaken), all, "", report.At(noon)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTurns(t *testing.T) {
	const typical = 4 * time.Minute
	running := func(name string, ago time.Duration) queue.Standing {
		return queue.Standing{Run: &queue.Run{UID: name, Phase: queue.Started, Began: noon.Add(-ago)}}
	}
	waiting := func(name string, position int) queue.Standing {
		return queue.Standing{Run: &queue.Run{UID: name}, Why: queue.SlotsTaken, Slot: queue.NoSlot, Position: position}
	}
	later := waiting("w1", 1)
	later.Why, later.Until = queue.BackOff, noon.Add(time.Hour)
	soon := later
	soon.Until = noon.Add(time.Minute)
	for name, c := range map[string]struct {
		limit queue.Limit
		runs  []queue.Standing
		want  map[string]time.Duration
	}{
		"one after the other": {
			1,
			[]queue.Standing{running("r", time.Minute), waiting("w1", 1), waiting("w2", 2)},
			map[string]time.Duration{"w1": 3 * time.Minute, "w2": 7 * time.Minute},
		},
		"whichever ends first": {
			2,
			[]queue.Standing{
				running("r1", time.Minute), running("r2", 3*time.Minute), waiting("w1", 1), waiting("w2", 2),
				waiting("w3", 3),
			},
			map[string]time.Duration{"w1": time.Minute, "w2": 3 * time.Minute, "w3": 5 * time.Minute},
		},
		"overdue counts as about to end": {
			1,
			[]queue.Standing{running("r", time.Hour), waiting("w1", 1)},
			map[string]time.Duration{"w1": 0},
		},
		"room": {
			3,
			[]queue.Standing{running("r", time.Minute), waiting("w1", 1)},
			map[string]time.Duration{"w1": 0},
		},
		"more than the limit": {
			1,
			[]queue.Standing{running("r1", time.Minute), running("r2", 3*time.Minute), waiting("w1", 1)},
			map[string]time.Duration{"w1": 3 * time.Minute},
		},
		"not before its back-off is over": {1, []queue.Standing{later}, map[string]time.Duration{"w1": time.Hour}},
		"passed by meanwhile": {
			1,
			[]queue.Standing{running("r", time.Minute), later, waiting("w2", 2), waiting("w3", 3)},
			map[string]time.Duration{"w1": time.Hour, "w2": 3 * time.Minute, "w3": 7 * time.Minute},
		},
		"its back-off over before a unit is free": {
			1,
			[]queue.Standing{running("r", time.Minute), soon, waiting("w2", 2)},
			map[string]time.Duration{"w1": 3 * time.Minute, "w2": 7 * time.Minute},
		},
		"about to be started counts as started": {
			1,
			[]queue.Standing{{Run: &queue.Run{UID: "next"}, Why: queue.Due, Slot: queue.NoSlot}, waiting("w1", 1)},
			map[string]time.Duration{"w1": typical},
		},
		"no limit": {queue.Unlimited, []queue.Standing{waiting("w1", 1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]time.Duration
			for uid, turn := range report.Turns(queue.Standings{Limit: c.limit, Runs: c.runs}, typical, noon) {
				if got == nil {
					got = map[string]time.Duration{}
				}
				got[uid] = turn.Sub(noon)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRecent(t *testing.T) {
	var r report.Recent
	over := func(uid string, took time.Duration) *queue.Run {
		return &queue.Run{UID: uid, Phase: queue.Done, Began: noon, Ended: noon.Add(took)}
	}
	if _, of := r.Typical(app); of != 0 {
		t.Errorf("of nothing it knows %d runs", of)
	}
	r.Note(
		app,
		[]*queue.Run{
			over("a", time.Minute),
			over("b", 3*time.Minute),
			over("c", time.Hour),
			{UID: "never ran", Phase: queue.Done},
			{UID: "runs", Began: noon},
		},
	)
	r.Note(app, []*queue.Run{over("a", time.Minute)}) // seen again
	if typical, of := r.Typical(app); typical != 3*time.Minute || of != 3 {
		t.Errorf("typical are %s of %d, want 3m of 3", typical, of)
	}
	r.Forget(app)
	if _, of := r.Typical(app); of != 0 {
		t.Errorf("after it forgot it knows %d runs", of)
	}
}
