package queue_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// left has pods of the holder left, which should have gone so long from now.
func (b slotBuilder) left(due time.Duration) slotBuilder {
	b.Pods = &queue.Pods{Number: 2, First: "pod", Due: noon.Add(due)}
	return b
}

// TestPodsKeepASlot is case P12: while pods of a run that is done are left, its slot is nobody
// else's, with `release: PodsGone`.
func TestPodsKeepASlot(t *testing.T) {
	checkDecisions(t, map[string]decideCase{
		"of a run that is done": {
			limit: 1, runs: runs(run("a").done(), run("b")), slots: slots(slot(0).of("a").left(-time.Hour)),
			wantSummary: &queue.Summary{Waiting: 1},
		},
		"of a run that is gone": {limit: 1, runs: runs(run("b")), slots: slots(slot(0).of("a").left(-time.Hour))},
		"nobody waits":          {limit: 1, slots: slots(slot(0).of("a").left(-time.Hour))},
		"other slots are given away": {
			limit: 2, runs: runs(run("a").done(), run("b").created(-11*time.Second), run("c")),
			slots: slots(slot(0).of("a").left(-time.Hour), slot(1)),
			want:  []string{"claim 1 for b"},
		},
		"a slot above the limit counts as well": {
			limit: 1, runs: runs(run("b")), slots: slots(slot(0), slot(1).of("a").left(-time.Hour)),
		},
		"without pods it is free": {
			limit: 1, runs: runs(run("a").done(), run("b")), slots: slots(slot(0).of("a")), want: []string{"claim 0 for b"},
		},
		"an operator hears of them once they should have gone for as long as the grace": {
			limit: 1, slots: slots(slot(0).of("a").left(-59 * time.Second)), wantNext: time.Second,
		},
		"a claim has none": {
			limit: 1, runs: runs(run("a")), slots: slots(slot(0).of("a").left(0)),
			want: []string{"start a with 0/4/0"}, wantNext: 20 * time.Second,
		},
		"of two slots of one run, one is kept": {
			limit: 2, runs: runs(run("a").done(), run("b")),
			slots: slots(slot(0).of("a").left(-time.Hour), slot(1).of("a").left(-time.Hour)),
			want:  []string{"claim 1 for b"},
		},
		"without a limit, no slot is kept": {slots: slots(slot(0).of("a").left(0)), want: []string{"remove 0"}},
	})
	s := queue.Snapshot{Limit: 1, Runs: runs(run("a").done(), run("b")), Slots: slots(slot(0).of("a").left(0))}
	stands := queue.Stand(s, noon, policy)
	var kept []string
	for _, s := range stands.Kept {
		kept = append(kept, s.Holder.Name)
	}
	if diff := cmp.Diff([]string{"a"}, kept); diff != "" || len(stands.Runs) != 1 || stands.Runs[0].Why != queue.SlotsTaken {
		t.Errorf("slots are kept by %q, and the runs stand as %+v", kept, stands.Runs)
	}
}
