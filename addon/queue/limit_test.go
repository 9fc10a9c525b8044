package queue_test

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func TestLimitChange(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"lowered: what runs above it keeps its slot": {
			limit: 1, runs: runs(a.started(), b.started(), c), slots: slots(slot(0).of("a"), slot(1).of("b")),
			wantSummary: &queue.Summary{Started: 2, Waiting: 1},
		},
		"lowered: a slot above it goes with its holder": {
			limit: 1, runs: runs(a.started(), b.done(), c), slots: slots(slot(0).of("a"), slot(1).of("b")),
			want: []string{"remove 1"},
		},
		"lowered: nothing starts while as many run as may": {
			limit: 1, runs: runs(a.done(), b.started(), c), slots: slots(slot(0).of("a"), slot(1).of("b")),
			want: []string{"release 0"},
		},
		"lowered: free slots above it go": {
			limit: 1, slots: slots(slot(0), slot(1), slot(2).of("gone")),
			want: []string{"remove 1", "remove 2"},
		},
		"lowered: a claim waits with its slot, even past its end": {
			limit: 1, runs: runs(a.started(), b), slots: slots(slot(0).of("a"), slot(1).of("b").since(-time.Hour)),
			wantSummary: &queue.Summary{Started: 1, Claimed: 1},
		},
		"lowered: of two claims the first in line starts": {
			limit: 1, runs: runs(a, b), slots: slots(slot(0).of("b"), slot(1).of("a")),
			want: []string{"start a with 1/4/0"}, wantNext: 20 * time.Second,
		},
		"lowered: a claim that expires still counts": {
			limit: 1, runs: runs(a, b), slots: slots(slot(0).of("a").since(-time.Minute), slot(1).of("b")),
			want: []string{"expire a on 0 to attempt 1 for 5s"},
		},
		"lowered: a claim above it is started when there is room": {
			limit: 1, runs: runs(a.done(), b, c), slots: slots(slot(0).of("a"), slot(1).of("b")),
			want: []string{"start b with 1/4/0", "release 0"}, wantNext: 20 * time.Second,
		},
		"raised: the new slots are given at once": {
			limit: 3, runs: runs(a.started(), b, c), slots: slots(slot(0).of("a")),
			want: []string{"claim new 1 for b", "claim new 2 for c"},
		},
	})
}

func TestUnlimited(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"all that PAC held is started, in order, with its attempt": {
			runs:        runs(b.attempt(2), a, c.started()),
			want:        []string{"start a with -1/0/0", "start b with -1/0/2"},
			wantSummary: &queue.Summary{Started: 1},
		},
		"what PAC did not hold is left alone": {runs: runs(a.noOrder(), b.noOrder().created(-time.Hour))},
		"a malformed order was held all the same": {
			runs: runs(a.malformed()), want: []string{"start a with -1/0/0"},
		},
		"slots go, but for claims that may be under way": {
			runs: runs(a, b.started(), c.attempt(1)), slots: slots(slot(1).of("b"), slot(0).of("a"), slot(2), slot(3).damaged(),
				slot(4).of("c")),
			want: []string{"start a with -1/0/0", "start c with -1/0/1", "remove 1", "remove 2", "remove 4"}, wantNext: 20 * time.Second,
		},
		"what was claimed is started, held or not": {
			runs: runs(a.noOrder().created(-time.Hour)), slots: slots(slot(0).of("a")),
			want: []string{"start a with -1/0/0, not waiting for execution order"},
		},
		"a claim's slot goes once it is started": {
			runs: runs(a.started()), slots: slots(slot(0).of("a")), want: []string{"remove 0"},
		},
		"a damaged slot goes when it can hold no claim any more": {
			slots: slots(slot(0).damaged().since(-time.Minute)), want: []string{"remove 0"},
		},
		"readiness and back-off are waited for": {
			runs:     runs(a.owed("its secret"), b.notBefore(3*time.Second), c.owed("its secret").created(-time.Minute)),
			want:     []string{"start c with -1/0/0, not waiting for readiness"},
			wantNext: 3 * time.Second, wantSummary: &queue.Summary{Waiting: 2},
		},
		"done is over": {runs: runs(a.done())},
	})
}

func TestHandBack(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"queued and claimed runs go to PAC, in order, and the slots go": {
			handBack: true, limit: 2, runs: runs(c, a, b.done()), slots: slots(slot(0).of("a"), slot(1).of("b"), slot(2)),
			want: []string{"hand back a", "hand back c", "remove 0", "remove 1", "remove 2"},
		},
		"not while something runs that PAC does not count; its slot shows it": {
			handBack: true, limit: 2, runs: runs(a.with(queue.Token{}), b, c), slots: slots(slot(0).of("a"), slot(1).of("b")),
			want: []string{"remove 1"}, wantSummary: &queue.Summary{Started: 1, Waiting: 2},
		},
		"what PAC has started is in its count": {
			handBack: true, limit: 2, runs: runs(a.started(), b), slots: slots(slot(0).of("a")),
			want: []string{"hand back b"},
		},
		"PAC has these already":            {handBack: true, limit: 1, runs: runs(a.visible(), b.noOrder())},
		"a malformed order would kill PAC": {handBack: true, limit: 1, runs: runs(a.malformed(), b), want: []string{"hand back b"}},
		"without a limit too":              {handBack: true, runs: runs(a), want: []string{"hand back a"}},
	})
}

func TestDamagedSlot(t *testing.T) {
	a, b := run("a").created(-12*time.Second), run("b").created(-11*time.Second)
	checkDecisions(t, map[string]decideCase{
		"counts as occupied until a claim in it must be over": {
			limit: 1, runs: runs(a), slots: slots(slot(0).damaged().since(-time.Second)),
			wantNext: 19 * time.Second, wantSummary: &queue.Summary{Waiting: 1, Damaged: 1},
		},
		"does not hold up the other slots": {
			limit: 2, runs: runs(a, b), slots: slots(slot(0).damaged()),
			want: []string{"claim new 1 for a"}, wantNext: 20 * time.Second,
			wantSummary: &queue.Summary{Claimed: 1, Waiting: 1, Damaged: 1},
		},
		"is given away after that": {
			limit: 1, runs: runs(a), slots: slots(slot(0).damaged().since(-20 * time.Second)),
			want: []string{"claim 0 for a"}, wantSummary: &queue.Summary{Claimed: 1},
		},
		"is given back to the run that it must have named": {
			limit: 1, runs: runs(a, b.started()), slots: slots(slot(0).damaged().since(-20 * time.Second)),
			want: []string{"claim 0 for b"},
		},
		"is emptied after that when no run waits": {
			limit: 1, slots: slots(slot(0).damaged().since(-20 * time.Second)),
			want: []string{"release 0"},
		},
		"is removed after that above the limit": {
			limit: 1, slots: slots(slot(1).damaged().since(-20 * time.Second)),
			want: []string{"remove 1"},
		},
		"makes another's claim wait": {
			limit: 1, runs: runs(a), slots: slots(slot(0).damaged(), slot(1).of("a")),
			wantNext: 20 * time.Second, wantSummary: &queue.Summary{Claimed: 1, Damaged: 1},
		},
	})
}
