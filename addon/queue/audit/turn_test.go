package audit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

var fair = queue.Spec{Order: queue.Fair, FairBy: queue.ByBranch}

// TestTurnsOfGroups: under Fair, the group goes first that was served longest ago. A claim that was
// made before its replica could know of the order says nothing of whose turn it is: nothing was
// written down.
func TestTurnsOfGroups(t *testing.T) {
	first, again, other := run("a").of("main"), run("b").of("main"), run("c").of("topic")
	cases := map[string]struct {
		order func(*tape) // begins to be that of groups
		want  []string
	}{
		"long before the first claim": {
			func(t *tape) { t.SetSpec(fair, t.tick()); t.wait(time.Minute) },
			[]string{"b overtook c, whose group has waited for longer"},
		},
		"just before the first claim": {func(t *tape) { t.SetSpec(fair, t.tick()) }, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			during, _ := play(func(t *tape) {
				t.limit(1)
				tc.order(t)
				t.starts(0, first)
				t.run(again)
				t.run(other)
				t.wait(time.Minute)
				t.run(first.done())
				t.slot(held(0, "b"))
				t.run(again.started())
			})
			var got []string
			for _, v := range during.Violations {
				got = append(got, v.What)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAnotherClaimIsATurn: a run that is claimed again, since its start failed, has its group
// served once more.
func TestAnotherClaimIsATurn(t *testing.T) {
	failing, first, again, other := run("a").of("topic"), run("b").of("main"), run("c").of("main"), run("d").of("topic")
	during, _ := play(func(t *tape) {
		t.limit(1)
		t.SetSpec(fair, t.tick())
		t.wait(time.Minute)
		t.run(failing)
		t.slot(held(0, "a"))
		t.run(failing.attempt(1).notBefore(time.Hour))
		t.slot(free(0))
		t.starts(0, first)
		t.run(again)
		t.run(other)
		t.wait(time.Hour)
		t.run(first.done())
		t.slot(held(0, "a"))
		t.run(failing.attempt(1).started())
		t.wait(time.Minute)
		t.run(failing.attempt(1).done())
		t.slot(held(0, "c"))
		t.run(again.started())
	})
	for _, v := range during.Violations {
		t.Error(v)
	}
}

// TestTurnsThatComeBack: a slot that somebody has hidden for a while brings turns back that were
// counted before those of now, so nothing is known of whose turn it is.
func TestTurnsThatComeBack(t *testing.T) {
	hidden, first, again, other := run("a").of("topic"), run("b").of("main"), run("c").of("main"), run("d").of("topic")
	for name, comesBack := range map[string]bool{"it comes back": true, "it stays away": false} {
		t.Run(name, func(t *testing.T) {
			during, _ := play(func(t *tape) {
				t.limit(2)
				t.SetSpec(fair, t.tick())
				t.wait(time.Minute)
				t.starts(1, hidden)
				t.SlotGone(1)
				t.starts(0, first)
				if comesBack {
					t.slot(held(1, "a"))
				}
				t.run(again)
				t.run(other)
				t.wait(time.Minute)
				t.run(first.done())
				t.slot(held(0, "c"))
				t.run(again.started())
			})
			if blamed := len(during.Violations) > 0; blamed == comesBack {
				t.Errorf("violations: %v", during.Violations)
			}
		})
	}
}
