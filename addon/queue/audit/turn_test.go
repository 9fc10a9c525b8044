package audit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestTurnsOfGroups: under Fair, the group goes first that was served longest ago. A claim that was
// made before its replica could know of the order says nothing of whose turn it is: nothing was
// written down.
func TestTurnsOfGroups(t *testing.T) {
	of := func(branch string, b runBuilder) runBuilder {
		b.Origin.Branch = branch
		return b
	}
	first, again, other := of("main", run("a")), of("main", run("b")), of("topic", run("c"))
	fair := queue.Spec{Order: queue.Fair, FairBy: queue.ByBranch}
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
				t.run(first)
				t.slot(held(0, "a"))
				t.run(first.started())
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
