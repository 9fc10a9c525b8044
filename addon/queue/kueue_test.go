package queue_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// forKueue is a run that is Kueue's to start.
func (b runBuilder) forKueue() runBuilder {
	b.Kueue = queue.Kueue{Queue: "team", Hidden: true}
	b.Run = b.BesideKueue()
	return b
}

// passed is a run that waits for Kueue.
func (b runBuilder) passed(t queue.Token) runBuilder {
	b.Claim, b.Kueue = &t, queue.Kueue{Queue: "team", Passed: true}
	b.Run = b.BesideKueue()
	return b
}

// withoutKueue is how the run reads once Kueue is gone.
func (b runBuilder) withoutKueue() runBuilder {
	if b.WaitsForKueue() {
		b.Phase = queue.Pending
	}
	b.Kueue.Admits = false
	return b
}

// P10: a run that is labelled for Kueue takes its slot first, and keeps it while it waits for
// Kueue.
func TestKueue(t *testing.T) {
	a, b := run("a").created(-12*time.Second), run("b").created(-11*time.Second)
	token := queue.Token{Slot: 0, Transition: 4}
	checkDecisions(t, map[string]decideCase{
		"it is claimed in its turn": {
			limit: 1, runs: runs(a.forKueue(), b.forKueue()), slots: slots(slot(0)),
			want: []string{"claim 0 for a"}, wantSummary: &queue.Summary{Claimed: 1, Waiting: 1},
		},
		"once it is claimed it is passed to Kueue": {
			limit: 1, runs: runs(a.forKueue()), slots: slots(slot(0).of("a")),
			want: []string{"start a with 0/4/0"}, wantNext: 20 * time.Second,
		},
		"it waits for Kueue in its slot, however long that takes": {
			limit: 1, runs: runs(a.passed(token), b.forKueue()), slots: slots(slot(0).of("a").since(-24 * time.Hour)),
			wantSummary: &queue.Summary{Started: 1, Waiting: 1},
		},
		"its Lease was deleted meanwhile": {
			limit: 1, runs: runs(a.passed(token), b.forKueue()), want: []string{"claim new 0 for a"},
		},
		"it is cancelled or deleted while it waits for Kueue": {
			limit: 1, runs: runs(a.passed(token).done(), b.forKueue()), slots: slots(slot(0).of("a")),
			want: []string{"claim 0 for b"},
		},
		"Kueue is uninstalled while it waits": {
			limit: 1, runs: runs(a.passed(token).withoutKueue(), b.forKueue()), slots: slots(slot(0).of("a").since(-time.Minute)),
			want: []string{"expire a on 0 to attempt 1 for 5s"},
		},
		"without a limit it is passed at once, whether PAC has queued it or not": {
			runs: runs(a.forKueue(), b.forKueue().noOrder()),
			want: []string{"start a with -1/0/0", "start b with -1/0/0"},
		},
		"without a limit it is still prepared first": {
			runs: runs(b.forKueue().noOrder().owed("its git secret")), wantNext: 49 * time.Second,
		},
		"without a limit and without Kueue, it waits for nobody else": {
			runs: runs(b.forKueue().noOrder().withoutKueue()), want: []string{"start b with -1/0/0"},
		},
		"without a limit it waits for Kueue": {
			runs: runs(a.passed(queue.Token{Slot: queue.NoSlot})), wantSummary: &queue.Summary{Started: 1},
		},
		"hand-back gives all to Kueue, whatever their order": {
			limit: 1, handBack: true, runs: runs(a.passed(token), b.forKueue().malformed(), run("c").forKueue().noOrder()),
			slots: slots(slot(0).of("a")),
			want:  []string{"hand back b", "hand back c"},
		},
	})
}

func TestStandBesideKueue(t *testing.T) {
	a, b := run("a").created(-time.Minute), run("b")
	a.Origin = queue.Origin{Definition: "build", Trigger: queue.PushTrigger, Branch: "main", CancelInProgress: queue.Yes}
	b.Origin = a.Origin
	token := queue.Token{Slot: 0, Transition: 4}
	for name, c := range map[string]struct {
		snapshot queue.Snapshot
		want     []string
	}{
		"it waits for Kueue": {
			queue.Snapshot{
				Limit: 1, Runs: runs(run("a").created(-time.Minute).passed(token), run("b").forKueue()), Slots: slots(slot(0).of("a")),
			},
			[]string{"a: claimed, waits for Kueue, slot 0", "b: queued, slots taken, 1 of 1"},
		},
		"it is superseded meanwhile": {
			queue.Snapshot{
				Limit: 2, Runs: runs(a.passed(token), b.passed(queue.Token{Slot: 1})), Slots: slots(slot(0).of("a"), slot(1).of("b")),
			},
			[]string{"a: claimed, superseded, slot 0, by b", "b: claimed, waits for Kueue, slot 1"},
		},
		"without a limit": {
			queue.Snapshot{Runs: runs(run("a").passed(queue.Token{Slot: queue.NoSlot}), run("b").noOrder().forKueue())},
			[]string{"a: claimed, waits for Kueue", "b: queued, due"},
		},
	} {
		if diff := cmp.Diff(c.want, stands(queue.Stand(c.snapshot, noon, policy))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
