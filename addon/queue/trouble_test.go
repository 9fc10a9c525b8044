package queue_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func (b runBuilder) needs(what string) runBuilder     { b.Owed, b.Needs = what, true; return b }
func (b runBuilder) managedBy(m string) runBuilder    { b.Manager = m; return b }
func (b runBuilder) began(d time.Duration) runBuilder { b.Began = noon.Add(d); return b }

// toKueue is a run that Kueue has started, perhaps in another cluster.
func (b runBuilder) toKueue() runBuilder {
	b.Kueue = queue.Kueue{Queue: "team", Admits: true}
	return b
}

// TestTroubleStaysWithItsOwner is case P9 and its kind: a run that does not go on, because PAC or
// another controller does not do its part, is in nobody's way for longer than the grace.
func TestTroubleStaysWithItsOwner(t *testing.T) {
	const secret, check, other = "its git secret", "its check run", "example.com/other"
	early, late := -59*time.Second, -60*time.Second
	event := func(name string) runBuilder { return run(name).order("a", "b").created(late) }
	for name, tc := range map[string]struct {
		limit queue.Limit
		runs  []*queue.Run
		slots []queue.Slot
		want  []string
		next  time.Duration // since noon; zero for never
		why   map[string]queue.Why
	}{
		"within the grace, a run that needs its secret keeps its own event waiting, and no other": {
			limit: 1, runs: runs(run("a").order("a", "b").created(early).needs(secret), run("b").order("a", "b").created(early),
				run("c")),
			want: []string{"claim new 0 for c"}, next: time.Second,
			why: map[string]queue.Why{"a": queue.Preparing, "b": queue.BehindPreparing, "c": queue.Due},
		},
		"after the grace, not even its own event waits for it, and it is not started": {
			limit: 3, runs: runs(event("a").needs(secret), event("b"), run("c")),
			want: []string{"claim new 0 for b", "claim new 1 for c"},
			why:  map[string]queue.Why{"a": queue.Unprepared, "b": queue.Due, "c": queue.Due},
		},
		"it keeps its place: with its secret it is the first": {
			limit: 1, runs: runs(event("a"), event("b")), want: []string{"claim new 0 for a"},
			why: map[string]queue.Why{"a": queue.Due, "b": queue.SlotsTaken},
		},
		"without a limit it is not started either": {
			runs: runs(event("a").needs(secret)), why: map[string]queue.Why{"a": queue.Unprepared},
		},
		"a slot that is given to it by hand does not start it, and is taken back": {
			limit: 1, runs: runs(event("a").needs(secret), run("b")), slots: slots(slot(0).of("a").since(-19 * time.Second)),
			next: time.Second, why: map[string]queue.Why{"a": queue.Unprepared, "b": queue.SlotsTaken},
		},
		"after a claim TTL": {
			limit: 1, runs: runs(event("a").needs(secret), run("b")), slots: slots(slot(0).of("a").since(-20 * time.Second)),
			want: []string{"expire a on 0 to attempt 1 for 5s"}, why: map[string]queue.Why{"a": queue.Refused, "b": queue.SlotsTaken},
		},
		"a run that can do without is started after the grace": {
			limit: 1, runs: runs(event("a").owed(secret)), want: []string{"claim new 0 for a, not waiting for readiness"},
			why: map[string]queue.Why{"a": queue.Due},
		},
		"so is one whose check run never came": {
			limit: 1, runs: runs(event("a").owed(check), event("b")), want: []string{"claim new 0 for a, not waiting for readiness"},
			why: map[string]queue.Why{"a": queue.Due, "b": queue.SlotsTaken},
		},
		"a run that another controller has not begun with keeps its slot within the grace": {
			limit: 1, runs: runs(run("a").started().managedBy(other), run("b")), slots: slots(slot(0).of("a").since(early)),
			next: time.Second, why: map[string]queue.Why{"a": "", "b": queue.SlotsTaken},
		},
		"and not for longer": {
			limit: 1, runs: runs(run("a").started().managedBy(other), run("b")), slots: slots(slot(0).of("a").since(late)),
			want: []string{"claim 0 for b"}, why: map[string]queue.Why{"a": queue.NotBegun, "b": queue.Due},
		},
		"nor does its slot stay when nobody waits": {
			limit: 1, runs: runs(run("a").started().managedBy(other)), slots: slots(slot(0).of("a").since(late)),
			want: []string{"release 0"}, why: map[string]queue.Why{"a": queue.NotBegun},
		},
		"it gets no other slot before it begins": {
			limit: 1, runs: runs(run("a").created(late).started().managedBy(other), run("b").started()), slots: slots(slot(0).of("b")),
			why: map[string]queue.Why{"a": queue.NotBegun, "b": ""},
		},
		"and is adopted then": {
			limit: 1, runs: runs(run("a").created(late).started().managedBy(other).began(0), run("b").started()),
			slots: slots(slot(0).of("b")), want: []string{"claim new 1 for a"}, why: map[string]queue.Why{"a": "", "b": ""},
		},
		"one that has begun counts for as long as it takes": {
			limit: 1, runs: runs(run("a").started().managedBy(other).began(late), run("b")), slots: slots(slot(0).of("a").since(late)),
			why: map[string]queue.Why{"a": "", "b": queue.SlotsTaken},
		},
		"nor is one taken from Kueue": {
			limit: 1, runs: runs(run("a").started().managedBy(other).toKueue(), run("b")),
			slots: slots(slot(0).of("a").since(-time.Hour)), why: map[string]queue.Why{"a": "", "b": queue.SlotsTaken},
		},
		"Tekton is waited for however long it takes to begin": {
			limit: 1, runs: runs(run("a").started(), run("b")), slots: slots(slot(0).of("a").since(-time.Hour)),
			why: map[string]queue.Why{"a": "", "b": queue.SlotsTaken},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := queue.Snapshot{Limit: tc.limit, Runs: tc.runs, Slots: tc.slots}
			d := decide(t, s)
			if diff := cmp.Diff(tc.want, describeAll(d)); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			var next time.Time
			if tc.next != 0 {
				next = noon.Add(tc.next)
			}
			if !d.Next.Equal(next) {
				t.Errorf("the next look is at %v, want %v", d.Next, next)
			}
			why := map[string]queue.Why{}
			for _, is := range queue.Stand(s, noon, policy).Runs {
				why[is.Run.Name] = is.Why
			}
			if diff := cmp.Diff(tc.why, why); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

// A run that nothing will ever end must not keep a queue from being handed back.
func TestHandBackDoesNotWaitForARunThatNobodyBegins(t *testing.T) {
	stuck := run("a").created(-time.Minute).with(queue.Token{}).managedBy("example.com/other")
	got := describeAll(decide(t, queue.Snapshot{Limit: 1, HandBack: true, Runs: runs(stuck, run("b")), Slots: slots(slot(0).of("a"))}))
	if diff := cmp.Diff([]string{"hand back b"}, got); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}
