package queue_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// stands renders standings, a line per run: name, state, why, position, slot, until, by.
func stands(s queue.Standings) []string {
	var lines []string
	for _, r := range s.Runs {
		line := fmt.Sprintf("%s: %s", r.Run.Name, r.State())
		if r.Why != "" {
			line += ", " + string(r.Why)
		}
		if r.Position > 0 {
			line += fmt.Sprintf(", %d of %d", r.Position, s.Waiting)
		}
		if r.Slot != queue.NoSlot {
			line += fmt.Sprintf(", slot %d", r.Slot)
		}
		if !r.Until.IsZero() {
			line += ", for " + r.Until.Sub(noon).String()
		}
		if r.By != nil {
			line += ", by " + r.By.Name
		}
		lines = append(lines, line)
	}
	return lines
}

func TestStand(t *testing.T) {
	older := func(b runBuilder) runBuilder { return b.created(-time.Minute) }
	for name, c := range map[string]struct {
		snapshot queue.Snapshot
		want     []string
	}{
		"slots taken": {
			queue.Snapshot{
				Limit: 1, Runs: runs(older(run("a")).started(), run("b").order("b", "c"), run("c").order("b", "c")),
				Slots: slots(slot(0).of("a")),
			},
			[]string{"a: started, slot 0", "b: queued, slots taken, 1 of 2", "c: queued, slots taken, 2 of 2"},
		},
		"the next is about to start": {
			queue.Snapshot{
				Limit: 1, Runs: runs(older(run("a")).done(), run("b").order("b", "c"), run("c").order("b", "c")),
				Slots: slots(slot(0).of("a")),
			},
			[]string{"b: queued, due", "c: queued, slots taken, 1 of 1"},
		},
		"claimed": {
			queue.Snapshot{Limit: 2, Runs: runs(run("a")), Slots: slots(slot(1).of("a"))},
			[]string{"a: claimed, due, slot 1"},
		},
		"without order": {
			queue.Snapshot{Limit: 1, Runs: runs(run("a").noOrder())},
			[]string{"a: queued, no order, 1 of 1, for 20s"},
		},
		"preparing, and behind": {
			queue.Snapshot{Limit: 1, Runs: runs(run("a").order("a", "b").owed("its secret"), run("b").order("a", "b"))},
			[]string{"a: queued, preparing, 1 of 2, for 50s", "b: queued, behind a run in preparation, 2 of 2, by a"},
		},
		"back-off": {
			queue.Snapshot{Limit: 1, Runs: runs(run("a").attempt(1).notBefore(7 * time.Second))},
			[]string{"a: queued, back-off, 1 of 1, for 7s"},
		},
		"starting it fails for too long": {
			queue.Snapshot{Limit: 1, Runs: runs(run("a")), Slots: slots(slot(0).of("a").since(-policy.ClaimTTL))},
			[]string{"a: claimed, refused, slot 0"},
		},
		"limit lowered": {
			queue.Snapshot{Limit: 1, Runs: runs(older(run("a")).started(), run("b")), Slots: slots(slot(0).of("a"), slot(1).of("b"))},
			[]string{"a: started, slot 0", "b: claimed, limit lowered, slot 1"},
		},
		"handed back": {
			queue.Snapshot{Limit: 1, HandBack: true, Runs: runs(older(run("a")).started(), run("b")), Slots: slots(slot(0).of("a"))},
			[]string{"a: started, slot 0", "b: queued, handed back"},
		},
		"running, and about to be adopted": {
			queue.Snapshot{Limit: 1, Runs: runs(run("a").started())},
			[]string{"a: started"},
		},
		"no limit": {
			queue.Snapshot{Runs: runs(run("a"), run("b").noOrder(), run("c").noOrder().started())},
			[]string{"a: queued, due"},
		},
		"no limit any more": {
			queue.Snapshot{Runs: runs(run("a").noOrder().started()), Slots: slots(slot(0).of("a"))},
			[]string{"a: started, slot 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, stands(queue.Stand(c.snapshot, noon, policy))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStateOf(t *testing.T) {
	for want, c := range map[queue.State]struct {
		phase queue.Phase
		slot  int
	}{
		queue.StateQueued: {queue.Pending, queue.NoSlot}, queue.StateClaimed: {queue.Pending, 0},
		queue.StateStarted: {queue.Started, queue.NoSlot}, queue.StateDone: {queue.Done, 0},
	} {
		if got := queue.StateOf(c.phase, c.slot); got != want {
			t.Errorf("a %s run with slot %d is %s, want %s", c.phase, c.slot, got, want)
		}
	}
}

func TestStandSuperseded(t *testing.T) {
	origin := queue.Origin{Definition: "build", Trigger: queue.PushTrigger, Branch: "main", CancelInProgress: queue.Yes}
	first, second := run("a").created(-time.Minute), run("b")
	first.Origin, second.Origin = origin, origin
	got := stands(queue.Stand(queue.Snapshot{Limit: 1, Runs: runs(first, second)}, noon, policy))
	if diff := cmp.Diff([]string{"a: queued, superseded, by b", "b: queued, due"}, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever the queue looks like, what Stand says is what Decide does.
func TestStandIsWhatDecideDoes(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 5000 {
		s := anySnapshot(r)
		stands, decision := queue.Stand(s, noon, policy), queue.Decide(s, noon, policy)
		why := map[string]queue.Standing{}
		positions := 0
		for _, is := range stands.Runs {
			why[is.Run.UID] = is
			if is.Position > 0 {
				positions++
				if is.Position != positions {
					t.Fatalf("%s has position %d, want %d\n%+v", is.Run.Name, is.Position, positions, s)
				}
			}
			if is.Until.Before(noon) && !is.Until.IsZero() {
				t.Fatalf("%s waits until %s, which is over\n%+v", is.Run.Name, is.Until, s)
			}
		}
		if positions != stands.Waiting {
			t.Fatalf("%d runs have a position, want %d\n%+v", positions, stands.Waiting, s)
		}
		for _, a := range decision.Actions {
			var run queue.Run
			var want []queue.Why // started runs have none
			switch a := a.(type) {
			case queue.Claim:
				run, want = a.Run, []queue.Why{queue.Due, ""}
			case queue.Start:
				run, want = a.Run, []queue.Why{queue.Due}
			case queue.Expire:
				run, want = a.Run, []queue.Why{queue.Refused}
			case queue.Cancel:
				run, want = a.Run, []queue.Why{queue.Superseded, ""}
			case queue.HandBack:
				run, want = a.Run, []queue.Why{queue.HandedBack}
			default:
				continue
			}
			if is, ok := why[run.UID]; !ok || !slices.Contains(want, is.Why) {
				t.Fatalf("to %s, but it is %q\n%+v", describe(a), is.Why, s)
			}
		}
	}
}
