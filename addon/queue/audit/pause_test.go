package audit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPause: the pause of a start is how long a free slot and the run,
// eligible, had both been there. One event a second.
func TestPause(t *testing.T) {
	a, b, c := run("a"), run("b"), run("c")
	cases := map[string]struct {
		history func(*tape)
		want    map[string]int // seconds, by run
	}{
		"since the run came": {
			func(t *tape) { t.limit(1); t.wait(time.Hour); t.run(a); t.run(a.started()) },
			map[string]int{"a": 1},
		},
		"since the slot came free": {
			func(t *tape) {
				t.limit(1)
				t.run(a.started())
				t.run(b)
				t.run(a.done())
				t.wait(time.Second)
				t.run(b.started())
			},
			map[string]int{"a": 0, "b": 2},
		},
		"since the holder was deleted": {
			func(t *tape) { t.limit(1); t.run(a.started()); t.run(b); t.gone(a); t.run(b.started()) },
			map[string]int{"a": 0, "b": 1},
		},
		"since the run became eligible": {
			func(t *tape) {
				t.limit(1)
				t.run(a.owed("its secret"))
				t.wait(time.Hour)
				t.run(a)
				t.run(a.started())
			},
			map[string]int{"a": 1},
		},
		"since its order came on another run": {
			func(t *tape) {
				t.limit(1)
				t.run(a.noOrder())
				t.wait(time.Hour)
				t.run(b.order("a", "b"))
				t.run(a.started())
			},
			map[string]int{"a": 1},
		},
		"since the limit was raised": {
			func(t *tape) { t.limit(1); t.run(a.started()); t.run(b); t.limit(2); t.run(b.started()) },
			map[string]int{"a": 0, "b": 1},
		},
		"not since before the limit was lowered": {
			func(t *tape) {
				t.limit(3)
				t.run(a.started())
				t.run(b)
				t.limit(1)
				t.wait(time.Hour)
				t.run(a.done())
				t.run(b.started())
			},
			map[string]int{"a": 0, "b": 1},
		},
		"not since something above the limit ended": {
			func(t *tape) {
				t.limit(2)
				t.run(a.started())
				t.run(b.started())
				t.run(c)
				t.limit(1)
				t.run(a.done())
				t.wait(time.Hour)
				t.run(b.done())
				t.run(c.started())
			},
			map[string]int{"a": 0, "b": 0, "c": 1},
		},
		"slots are free from the first on": {
			func(t *tape) {
				t.limit(2)
				t.run(a)
				t.run(b)
				t.run(a.started())
				t.run(b.started())
			},
			map[string]int{"a": 2, "b": 2},
		},
		"without a limit since the run became eligible": {
			func(t *tape) { t.limit(0); t.wait(time.Hour); t.run(a); t.wait(time.Second); t.run(a.started()) },
			map[string]int{"a": 2},
		},
		"when the limit came there was nothing free": {
			func(t *tape) {
				t.run(a.started())
				t.limit(1)
				t.run(b)
				t.wait(time.Hour)
				t.run(a.done())
				t.run(b.started())
			},
			map[string]int{"a": 0, "b": 1},
		},
		"absurd limit": {
			func(t *tape) { t.limit(1 << 40); t.run(a); t.run(a.started()) },
			map[string]int{"a": 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, report := play(tc.history)
			got := map[string]int{}
			for _, s := range report.Starts {
				got[s.Run] = int(s.Pause.Seconds())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("pauses in seconds (-want +got):\n%s", diff)
			}
		})
	}
}
