package queue_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

type decideCase struct {
	limit    queue.Limit
	spec     queue.Spec
	runs     []*queue.Run
	slots    []queue.Slot
	handBack bool
	want     []string
	// wantNext is the deadline from noon; zero, which is no deadline of any
	// table, means that none is wanted.
	wantNext time.Duration
	// wantSummary is compared if it is given.
	wantSummary *queue.Summary
}

func checkDecisions(t *testing.T, cases map[string]decideCase) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := decide(t, queue.Snapshot{
				Limit: tc.limit, Spec: tc.spec, Runs: tc.runs, Slots: tc.slots, HandBack: tc.handBack,
			})
			if diff := cmp.Diff(tc.want, describeAll(d)); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			var wantNext time.Time
			if tc.wantNext != 0 {
				wantNext = noon.Add(tc.wantNext)
			}
			if !d.Next.Equal(wantNext) {
				t.Errorf("next look at %v, want %v", d.Next, wantNext)
			}
			if tc.wantSummary != nil && d.Summary != *tc.wantSummary {
				t.Errorf("summary %+v, want %+v", d.Summary, *tc.wantSummary)
			}
		})
	}
}

func TestClaim(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"nothing to do in an empty queue": {limit: 1, wantSummary: &queue.Summary{}},
		"the first in line gets the free slot": {
			limit: 1, runs: runs(a, b), slots: slots(slot(0)),
			want:        []string{"claim 0 for a"},
			wantSummary: &queue.Summary{Claimed: 1, Waiting: 1},
		},
		"a slot comes into being when it is first needed, lowest first": {
			limit: 3, runs: runs(a, b), slots: slots(slot(1).of("z")), // z is gone
			want: []string{"claim 1 for a", "claim new 0 for b"},
		},
		"handing over is preferred to an empty slot": {
			limit: 2, runs: runs(a.done(), b), slots: slots(slot(0), slot(1).of("a")),
			want: []string{"claim 1 for b"},
		},
		"an existing empty slot is preferred to a new one": {
			limit: 3, runs: runs(a, b), slots: slots(slot(2)),
			want: []string{"claim 2 for a", "claim new 0 for b"},
		},
		"a started run keeps its slot": {
			limit: 1, runs: runs(a.started(), b), slots: slots(slot(0).of("a")),
			wantSummary: &queue.Summary{Started: 1, Waiting: 1},
		},
		"several go at once": {
			limit: 3, runs: runs(a, b, c), slots: slots(slot(0), slot(1).of("gone")),
			want:        []string{"claim 1 for a", "claim 0 for b", "claim new 2 for c"},
			wantSummary: &queue.Summary{Claimed: 3},
		},
		"the limit is one of all replicas: claims of others count": {
			limit: 2, runs: runs(a, b, c), slots: slots(slot(0).of("a"), slot(1).of("b")),
			want:     []string{"start a with 0/4/0", "start b with 1/4/0"},
			wantNext: 20 * time.Second,
		},
		"two runs of one name in turn are two runs": {
			limit: 1, runs: runs(a.uid("second")), slots: slots(slot(0).of("a").uid("first")),
			want: []string{"claim 0 for a"},
		},
	})
}

func TestHolder(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	on := func(slot, attempt int) queue.Token { return queue.Token{Slot: slot, Transition: 4, Attempt: attempt} }
	checkDecisions(t, map[string]decideCase{
		"done is released when no run waits": {
			limit: 1, runs: runs(a.done()), slots: slots(slot(0).of("a")),
			want: []string{"release 0"},
		},
		"gone is released when no run waits": {
			limit: 1, slots: slots(slot(0).of("a")),
			want: []string{"release 0"},
		},
		"another UID is gone, even when started": {
			limit: 1, runs: runs(a.uid("second").started()), slots: slots(slot(0).of("a").uid("first")),
			want: []string{"claim 0 for a"}, // adopted: it runs without a slot
		},
		// A late cache may still show the namesake that was deleted.
		"a dead namesake in front does not hide the holder": {
			limit: 1, runs: runs(a.uid("first").created(-time.Minute), a.started(), b), slots: slots(slot(0).of("a")),
		},
		"nor does one behind": {
			limit: 1, runs: runs(a.uid("first").created(time.Minute), a.started(), b), slots: slots(slot(0).of("a")),
		},
		"cancelled while it waited is done": {
			limit: 1, runs: runs(a.done(), b), slots: slots(slot(0).of("a")),
			want: []string{"claim 0 for b"},
		},
		"fenced is handed over while it backs off": {
			limit: 1, runs: runs(a.attempt(1).notBefore(5*time.Second), b), slots: slots(slot(0).of("a")),
			want: []string{"claim 0 for b"}, wantNext: 5 * time.Second,
		},
		"fenced is released when no other run waits": {
			limit: 1, runs: runs(a.attempt(1).notBefore(5 * time.Second)), slots: slots(slot(0).of("a")),
			want: []string{"release 0"}, wantNext: 5 * time.Second,
			wantSummary: &queue.Summary{Waiting: 1},
		},
		"fenced and backed off gets a new claim": {
			limit: 1, runs: runs(a.attempt(1).notBefore(-time.Second)), slots: slots(slot(0).of("a")),
			want: []string{"claim 0 for a"},
		},
		"a started run with a higher attempt is not fenced but running": {
			limit: 1, runs: runs(a.attempt(1).started(), b), slots: slots(slot(0).of("a")),
		},
		"a free slot stays": {limit: 1, slots: slots(slot(0))},
		"twice named, pending: the second slot goes on": {
			limit: 2, runs: runs(a, b), slots: slots(slot(0).of("a"), slot(1).of("a")),
			want: []string{"start a with 0/4/0", "claim 1 for b"}, wantNext: 20 * time.Second,
		},
		"twice named, pending: the second slot is released when no run waits": {
			limit: 2, runs: runs(a), slots: slots(slot(0).of("a"), slot(1).of("a")),
			want: []string{"start a with 0/4/0", "release 1"}, wantNext: 20 * time.Second,
		},
		// Who still sees the run pending and who sees it started must free the
		// same slot, whichever it was started with: else both get freed.
		"twice named, started with the first: the second slot goes on": {
			limit: 2, runs: runs(a.with(on(0, 0)), b), slots: slots(slot(0).of("a"), slot(1).of("a")),
			want: []string{"claim 1 for b"},
		},
		"twice named, started with the second: the second slot goes on": {
			limit: 2, runs: runs(a.with(on(1, 0)), b), slots: slots(slot(0).of("a"), slot(1).of("a")),
			want: []string{"claim 1 for b"},
		},
		"twice named for two attempts, pending: the fenced slot goes on": {
			limit: 2, runs: runs(a.attempt(1), b), slots: slots(slot(0).of("a"), slot(1).of("a").attempt(1)),
			want: []string{"start a with 1/4/1", "claim 0 for b"}, wantNext: 20 * time.Second,
		},
		"twice named for two attempts, started: the fenced slot goes on": {
			limit: 2, runs: runs(a.attempt(1).with(on(1, 1)), b), slots: slots(slot(0).of("a"), slot(1).of("a").attempt(1)),
			want: []string{"claim 0 for b"},
		},
		"twice named for two attempts, fence not yet seen: the fenced slot goes on": {
			limit: 2, runs: runs(a, b), slots: slots(slot(0).of("a"), slot(1).of("a").attempt(1)),
			want: []string{"expire a on 1 to attempt 2 for 10s", "claim 0 for b"},
		},
		"three times named": {
			limit: 3, runs: runs(a.started(), b, c), slots: slots(slot(0).of("a"), slot(1).of("a"), slot(2).of("a")),
			want: []string{"claim 1 for b", "claim 2 for c"},
		},
	})
}

func TestRollForward(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"claimed is started with slot, transition and attempt": {
			limit: 3, runs: runs(a.attempt(5)), slots: slots(slot(2).of("a").attempt(5)),
			want: []string{"start a with 2/4/5"}, wantNext: 20 * time.Second,
			wantSummary: &queue.Summary{Claimed: 1},
		},
		"claims start in queue order, not in slot order": {
			limit: 2, runs: runs(a, b), slots: slots(slot(0).of("b"), slot(1).of("a")),
			want: []string{"start a with 1/4/0", "start b with 0/4/0"}, wantNext: 20 * time.Second,
		},
		"a claim is started whatever the run waits for": {
			limit: 1, runs: runs(a.owed("its secret").notBefore(time.Hour)), slots: slots(slot(0).of("a")),
			want: []string{"start a with 0/4/0"}, wantNext: 20 * time.Second,
		},
		"one moment before the claim's end it is still started": {
			limit: 1, runs: runs(a), slots: slots(slot(0).of("a").since(-20*time.Second + 1)),
			want: []string{"start a with 0/4/0"}, wantNext: 1,
		},
		"at the claim's end the run is fenced, the slot stays": {
			limit: 1, runs: runs(a, b), slots: slots(slot(0).of("a").since(-20 * time.Second)),
			want:        []string{"expire a on 0 to attempt 1 for 5s"},
			wantSummary: &queue.Summary{Claimed: 1, Waiting: 1},
		},
		"the back-off doubles": {
			limit: 1, runs: runs(a.attempt(2)), slots: slots(slot(0).of("a").attempt(2).since(-time.Minute)),
			want: []string{"expire a on 0 to attempt 3 for 20s"},
		},
		"the back-off has an end": {
			limit: 1, runs: runs(a.attempt(1000)), slots: slots(slot(0).of("a").attempt(1000).since(-time.Minute)),
			want: []string{"expire a on 0 to attempt 1001 for 1m0s"},
		},
		"an attempt lowered by hand is raised above the claim's at once": {
			limit: 1, runs: runs(a.attempt(1)), slots: slots(slot(0).of("a").attempt(3)),
			want: []string{"expire a on 0 to attempt 4 for 40s"},
		},
		"an expired claim does not hold up the others": {
			limit: 3, runs: runs(a, b, c), slots: slots(slot(0).of("a").since(-time.Minute), slot(1).of("b")),
			want:     []string{"expire a on 0 to attempt 1 for 5s", "start b with 1/4/0", "claim new 2 for c"},
			wantNext: 20 * time.Second,
		},
	})
}

func TestAdopt(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"a run started without a slot gets one": {
			limit: 1, runs: runs(a.started()),
			want: []string{"claim new 0 for a"}, wantSummary: &queue.Summary{Started: 1},
		},
		"before those who wait": {
			limit: 2, runs: runs(a, b.started()), slots: slots(slot(0), slot(1)),
			want: []string{"claim 0 for b", "claim 1 for a"},
		},
		"above the limit when there is no other, and it counts all the same": {
			limit: 1, runs: runs(a.started(), b.started(), c), slots: slots(slot(0).of("a")),
			want: []string{"claim new 1 for b"}, wantSummary: &queue.Summary{Started: 2, Waiting: 1},
		},
		"below the limit first": {
			limit: 2, runs: runs(a.started(), b.started(), c.started()), slots: slots(slot(1).of("gone")),
			want: []string{"claim 1 for a", "claim new 0 for b", "claim new 2 for c"},
		},
		"another's claim waits for it": {
			limit: 1, runs: runs(a, b.started()), slots: slots(slot(0).of("a")),
			want: []string{"claim new 1 for b"}, wantSummary: &queue.Summary{Started: 1, Claimed: 1},
		},
		"done needs none": {limit: 1, runs: runs(a.done())},
		"a slot above the limit is as good as a new one": {
			limit: 1, runs: runs(a.started(), b.started()), slots: slots(slot(0).of("a"), slot(1)),
			want: []string{"claim 1 for b"},
		},
		"it goes with its run": {
			limit: 1, runs: runs(a.started(), b.done()), slots: slots(slot(0).of("a"), slot(1).of("b")),
			want: []string{"remove 1"},
		},
	})
}

func TestWaits(t *testing.T) {
	a, b := run("a").created(-12*time.Second), run("b").created(-11*time.Second)
	checkDecisions(t, map[string]decideCase{
		"for the order, without holding up others": {
			limit: 1, runs: runs(a.noOrder(), b),
			want: []string{"claim new 0 for b"}, wantNext: 18 * time.Second,
			wantSummary: &queue.Summary{Claimed: 1, Waiting: 1},
		},
		"for the order, but not for ever": {
			limit: 2, runs: runs(a.noOrder().created(-30*time.Second), b),
			want: []string{"claim new 0 for a, not waiting for execution order", "claim new 1 for b"},
		},
		"not for an order that came malformed": {
			limit: 1, runs: runs(a.malformed()), want: []string{"claim new 0 for a"},
		},
		"not for an order that another run of the event has": {
			limit: 1, runs: runs(a.noOrder(), b.order("a", "b")), want: []string{"claim new 0 for a"},
		},
		"for readiness": {
			limit: 1, runs: runs(a.owed("its secret")), wantNext: 48 * time.Second,
		},
		"for readiness, but not for ever": {
			limit: 1, runs: runs(a.owed("its secret").created(-time.Minute)),
			want: []string{"claim new 0 for a, not waiting for readiness"},
		},
		"the first wait that ended late is named": {
			limit: 1, runs: runs(a.noOrder().owed("its secret").created(-time.Minute)),
			want: []string{"claim new 0 for a, not waiting for execution order"},
		},
		"for the end of the back-off": {
			limit: 1, runs: runs(a.notBefore(1)), wantNext: 1, wantSummary: &queue.Summary{Waiting: 1},
		},
		"for the end of the longest back-off": {
			limit: 1, runs: runs(a.notBefore(time.Minute)), wantNext: time.Minute,
		},
		"not for the end of one far longer, which Expire cannot have set": {
			limit: 1, runs: runs(a.notBefore(2*time.Minute + 1)), want: []string{"claim new 0 for a"},
		},
		"for a run of its event that PAC still prepares": {
			limit: 3, runs: runs(a.order("a", "b").owed("its secret"), b.order("a", "b"), run("c")),
			want: []string{"claim new 0 for c"}, wantNext: 48 * time.Second,
			wantSummary: &queue.Summary{Claimed: 1, Waiting: 2},
		},
		"not for one behind it": {
			limit: 2, runs: runs(a.order("a", "b"), b.order("a", "b").owed("its secret")),
			want: []string{"claim new 0 for a"}, wantNext: 49 * time.Second,
		},
		"not for one that backs off": {
			limit: 2, runs: runs(a.order("a", "b").owed("its secret").notBefore(time.Second), b.order("a", "b")),
			want: []string{"claim new 0 for b"}, wantNext: time.Second,
		},
		"not for one that has a slot": {
			limit: 2, runs: runs(a.order("a", "b").owed("its secret"), b.order("a", "b")), slots: slots(slot(0).of("a")),
			want: []string{"start a with 0/4/0", "claim new 1 for b"}, wantNext: 20 * time.Second,
		},
		"not for ever": {
			limit: 2, runs: runs(a.order("a", "b").owed("its secret").created(-time.Minute), b.order("a", "b")),
			want: []string{"claim new 0 for a, not waiting for readiness", "claim new 1 for b"},
		},
		"not after the back-off": {
			limit: 1, runs: runs(a.notBefore(0)), want: []string{"claim new 0 for a"},
		},
		"the next look is at the first deadline": {
			limit: 2, runs: runs(a.noOrder(), b.notBefore(7*time.Second), run("c").owed("x")),
			slots:    slots(slot(0).damaged().since(-12 * time.Second)),
			wantNext: 7 * time.Second,
		},
	})
}

// TestJustified: every action carries the very observation it rests on.
func TestJustified(t *testing.T) {
	a, b, c, e := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c").order("c", "d"), run("e").done()
	s0, s1, s2 := slot(0).of("a"), slot(1).of("b").since(-time.Hour), slot(2).of("e")
	got := decide(t, queue.Snapshot{Limit: 3, Runs: runs(a, b, c, e), Slots: slots(s0, s1, s2)}).Actions
	want := []queue.Action{
		queue.Start{Run: a.Run, Token: queue.Token{Slot: 0, Transition: 4}, Claimed: noon},
		queue.Expire{Run: b.Run, Slot: s1.Slot, Attempt: 1, Backoff: 5 * time.Second},
		queue.Claim{Run: c.Run, Event: queue.Event{ID: c.Sequence().ID, Created: c.Created}, Slot: s2.Slot},
	}
	if diff := cmp.Diff(want, got, sequencesByID); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

func TestNeedsFresh(t *testing.T) {
	a, b := run("a"), run("b")
	cases := map[string]struct {
		snapshot queue.Snapshot
		want     bool
	}{
		"a new slot":                  {queue.Snapshot{Limit: 1, Runs: runs(a)}, true},
		"a new slot, seen fresh":      {queue.Snapshot{Limit: 1, Runs: runs(a), Freshness: queue.Fresh}, false},
		"an adoption into a new slot": {queue.Snapshot{Limit: 1, Runs: runs(a.started())}, true},
		"an empty slot":               {queue.Snapshot{Limit: 1, Runs: runs(a), Slots: slots(slot(0))}, false},
		"a hand-over":                 {queue.Snapshot{Limit: 1, Runs: runs(a), Slots: slots(slot(0).of("b"))}, false},
		"a start":                     {queue.Snapshot{Limit: 1, Runs: runs(a), Slots: slots(slot(0).of("a"))}, false},
		"nothing":                     {queue.Snapshot{Limit: 2, Runs: runs(a.started()), Slots: slots(slot(0).of("a"))}, false},
		"without a limit":             {queue.Snapshot{Runs: runs(a)}, true},
		"without a limit, seen fresh": {queue.Snapshot{Runs: runs(a), Freshness: queue.Fresh}, false},
		"without a limit, all starts": {queue.Snapshot{Runs: runs(a.started()), Slots: slots(slot(0).of("a"))}, false},
		// What a damaged slot names is visible as a started run, but not to
		// an observer that looks at an older list of runs.
		"a damaged slot given away": {
			queue.Snapshot{Limit: 1, Runs: runs(a, b), Slots: slots(slot(0).damaged().since(-time.Hour))}, true,
		},
		"a damaged slot emptied": {
			queue.Snapshot{Limit: 1, Slots: slots(slot(0).damaged().since(-time.Hour))}, true,
		},
		"a damaged slot given away, seen fresh": {
			queue.Snapshot{Limit: 1, Runs: runs(a, b), Slots: slots(slot(0).damaged().since(-time.Hour)), Freshness: queue.Fresh}, false,
		},
		"a damaged slot left alone": {queue.Snapshot{Limit: 1, Runs: runs(a), Slots: slots(slot(0).damaged())}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := decide(t, tc.snapshot).NeedsFresh(tc.snapshot); got != tc.want {
				t.Errorf("NeedsFresh is %v, want %v", got, tc.want)
			}
		})
	}
}

// TestWithoutASlot: the queue does without a slot in whose place something else is, and with a
// holder that has not been read yet as with one that runs.
func TestWithoutASlot(t *testing.T) {
	blocked := func(index int) queue.Slot { return queue.Slot{Index: index, Blocked: true} }
	unread := slot(0).of("ghost").Slot
	unread.Unread = true
	for name, tc := range map[string]struct {
		s    queue.Snapshot
		want []string
	}{
		"blocked": {
			queue.Snapshot{Limit: 3, Runs: runs(run("a"), run("b")), Slots: []queue.Slot{blocked(0)}},
			[]string{"claim new 1 for a", "claim new 2 for b"},
		},
		"blocked above the limit": {
			queue.Snapshot{Limit: 1, Runs: runs(run("a"), run("b")), Slots: []queue.Slot{blocked(4)}},
			[]string{"claim new 0 for a"},
		},
		"all blocked": {queue.Snapshot{Limit: 1, Runs: runs(run("a")), Slots: []queue.Slot{blocked(0)}}, nil},
		"blocked, and no limit any more": {
			queue.Snapshot{Runs: runs(run("a")), Slots: []queue.Slot{blocked(0)}}, []string{"start a with -1/0/0"},
		},
		"unread": {queue.Snapshot{Limit: 1, Runs: runs(run("a")), Slots: []queue.Slot{unread}}, nil},
		"unread, and room beside it": {
			queue.Snapshot{Limit: 2, Runs: runs(run("a"), run("b")), Slots: []queue.Slot{unread}}, []string{"claim new 1 for a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, describeAll(decide(t, tc.s))); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
}
