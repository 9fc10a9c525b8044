package audit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
)

func violations(r audit.Report) []string {
	var vs []string
	for _, v := range r.Violations {
		vs = append(vs, v.Invariant+" "+v.What)
	}
	return vs
}

func TestViolations(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	cases := map[string]struct {
		history func(*tape)
		want    []string // at once
		wantEnd []string // only known when it is over
	}{
		"a clean history": {history: func(t *tape) {
			t.limit(1)
			t.run(a)
			t.run(b)
			t.slot(held(0, "a"))
			t.run(a.started())
			t.run(a.done())
			t.slot(held(0, "b"))
			t.run(b.started())
			t.run(b.done())
			t.slot(free(0))
			t.gone(b)
		}},
		"the events of one second, by their stamps": {
			history: func(t *tape) {
				t.limit(1)
				t.run(b.stamped(8))
				t.run(a.created(-11 * time.Second).stamped(9))
				t.wait(time.Minute)
				t.slot(held(0, "a"))
			},
			want:    []string{"I3 a overtook b"},
			wantEnd: []string{"I4 left pending with 0 of 1 started: b, a"},
		},
		"the events of one second, before they are stamped": {
			history: func(t *tape) {
				t.Stamps = true
				t.limit(1)
				t.run(b.stamped(8))
				t.run(a.created(-11 * time.Second))
				t.wait(time.Minute)
				t.slot(held(0, "b"))
			},
			want:    []string{"I3 b is claimed, and nothing says whether it came before a"},
			wantEnd: []string{"I4 left pending with 0 of 1 started: b, a"},
		},
		"too many started": {
			history: func(t *tape) {
				t.limit(1)
				t.run(a.started())
				t.run(b.started())
			},
			want: []string{"I1 b makes 2 started runs, the limit is 1"},
		},
		"done and deleted runs no longer count": {history: func(t *tape) {
			t.limit(1)
			t.run(a.started())
			t.run(a.done())
			t.run(b.started())
			t.gone(b)
			t.gone(b)
			t.gone(run("never seen"))
			t.run(c.started())
		}},
		"a started run seen again is no second start": {history: func(t *tape) {
			t.limit(1)
			t.run(a.started())
			t.run(a.started())
		}},
		"what was started before the limit came is no violation, the next is": {
			history: func(t *tape) {
				t.run(a.started())
				t.run(b.started())
				t.limit(1)
				t.run(a.done())
				t.run(c.started())
			},
			want: []string{"I1 c makes 2 started runs, the limit is 1"},
		},
		"a claim under the higher limit may be started": {history: func(t *tape) {
			t.limit(2)
			t.run(a)
			t.slot(held(1, "a"))
			t.run(b.started())
			t.limit(1)
			t.run(a.started())
		}},
		"a claim under the higher limit that was given up and made anew may not": {
			history: func(t *tape) {
				t.limit(2)
				t.run(a)
				t.slot(held(1, "a"))
				t.run(b.started())
				t.slot(free(1))
				t.limit(1)
				t.slot(held(0, "a"))
				t.run(a.started())
			},
			want: []string{"I1 a makes 2 started runs, the limit is 1"},
		},
		"no limit": {history: func(t *tape) {
			t.limit(queue.Unlimited)
			t.run(a)
			t.run(c.started())
			t.run(b.started())
			t.run(a.started())
		}},
		"a claim out of order": {
			history: func(t *tape) {
				t.limit(1)
				t.run(a)
				t.run(b)
				t.wait(5 * time.Second)
				t.slot(held(0, "b"))
				t.run(b.started())
			},
			want: []string{"I3 b overtook a"},
		},
		"a start without a claim out of order": {
			history: func(t *tape) {
				t.limit(1)
				t.run(a)
				t.run(b)
				t.wait(5 * time.Second)
				t.run(b.started())
			},
			want: []string{"I3 b overtook a"},
		},
		"overtaken within the lag": {history: func(t *tape) {
			t.limit(1)
			t.run(a)
			t.run(b)
			t.wait(2 * time.Second)
			t.run(b.started())
		}},
		"who was not eligible is not overtaken": {history: func(t *tape) {
			t.limit(2)
			t.run(a.owed("its secret"))
			t.run(b.noOrder())
			t.run(c)
			t.wait(time.Minute)
			t.slot(held(0, "c"))
			t.run(c.started())
		}, wantEnd: []string{"I4 left pending with 1 of 2 started: a, b"}},
		"who backs off or was cancelled is not overtaken": {history: func(t *tape) {
			t.limit(1)
			t.run(a.attempt(1).notBefore(0))
			t.run(b)
			t.run(b.done())
			t.run(c)
			t.wait(time.Minute)
			t.run(c.started())
		}},
		"who has a claim is not overtaken": {history: func(t *tape) {
			t.limit(2)
			t.run(a)
			t.slot(held(0, "a"))
			t.wait(time.Minute)
			t.run(b)
			t.slot(held(1, "b"))
			t.run(b.started())
			t.run(a.started())
		}},
		// c's event began with a, which is deleted: some still see it, and take c
		// before b; others no longer do, and take b before c.
		"an order that depends on who is still seen: one way": {history: func(t *tape) {
			t.limit(1)
			t.run(a.order("a", "c"))
			t.run(b)
			t.run(c.order("a", "c"))
			t.gone(a)
			t.wait(time.Minute)
			t.run(b.started())
		}},
		"an order that depends on who is still seen: the other way": {history: func(t *tape) {
			t.limit(1)
			t.run(a.order("a", "c"))
			t.run(b)
			t.run(c.order("a", "c"))
			t.gone(a)
			t.wait(time.Minute)
			t.run(c.order("a", "c").started())
		}},
		"an event's own order does not": {
			history: func(t *tape) {
				t.limit(1)
				t.run(a.order("a", "b", "c"))
				t.run(b.order("a", "b", "c"))
				t.run(c.order("a", "b", "c"))
				t.gone(a)
				t.wait(time.Minute)
				t.run(c.order("a", "b", "c").started())
			},
			want: []string{"I3 c overtook b"},
		},
		// Without its order c stands before d, and by its order's hash behind it.
		"an order that arrives while the claim is on its way": {history: func(t *tape) {
			t.limit(1)
			d, c := run("d").created(-10*time.Second).malformed(), run("c").created(-10*time.Second)
			t.run(d)
			t.run(c.noOrder())
			t.wait(time.Minute)
			t.run(c.order("c", behind("d")))
			t.slot(held(0, "c"))
			t.run(c.order("c", behind("d")).started())
		}},
		"an order that has long been there": {
			history: func(t *tape) {
				t.limit(1)
				d, c := run("d").created(-10*time.Second).malformed(), run("c").created(-10*time.Second)
				t.run(d)
				t.run(c.noOrder())
				t.wait(time.Minute)
				t.run(c.order("c", behind("d")))
				t.wait(time.Minute)
				t.slot(held(0, "c"))
				t.run(c.order("c", behind("d")).started())
			},
			want: []string{"I3 c overtook d"},
		},
		// The place of e is in the list of x alone, which is read without it once x is done.
		"a place in the list of a run that is done by the time of the claim": {history: func(t *tape) {
			t.limit(1)
			x, d, e := run("x").created(-20*time.Second).order("x", "e"), run("d").malformed(), run("e").noOrder()
			t.run(x)
			t.run(d)
			t.run(e)
			t.wait(time.Minute)
			t.slot(held(0, "x"))
			t.run(x.started())
			over := x.done()
			over.Order = &queue.Order{Sequence: x.Sequence().Event()}
			t.run(over)
			t.slot(held(0, "e"))
			t.run(e.started())
			t.run(e.done())
			t.slot(held(0, "d"))
			t.run(d.started())
			t.run(d.done())
			t.slot(free(0))
		}},
		"a namesake is another run": {history: func(t *tape) {
			t.limit(1)
			t.run(a)
			t.run(a.done())
			t.gone(a)
			t.run(b)
			t.wait(time.Minute)
			t.run(a.uid("second").created(0))
			t.run(b.started())
			t.run(b.done())
			t.run(a.uid("second").created(0).started())
		}},
		"started again": {
			history: func(t *tape) {
				t.limit(1)
				t.run(a.started())
				t.run(a)
				t.run(a.started())
			},
			want: []string{"I4 a was started and is pending again", "I4 a was started 2 times"},
		},
		"come back from the dead": {
			history: func(t *tape) {
				t.limit(1)
				t.run(a.done())
				t.run(a)
				t.run(b.started())
				t.run(b.done())
				t.run(b.started())
			},
			want: []string{"I4 a was done and is pending again", "I4 b was done and is started again"},
		},
		"left behind": {
			history: func(t *tape) {
				t.limit(3)
				t.run(a)
				t.run(b)
				t.run(c.started())
			},
			wantEnd: []string{"I4 left pending with 1 of 3 started: a, b"},
		},
		"left behind without a limit": {
			history: func(t *tape) {
				t.limit(queue.Unlimited)
				t.run(a)
				t.run(b.noOrder()) // but this one is of no run
			},
			wantEnd: []string{"I4 left pending without a limit: a"},
		},
		"waiting for who runs is not left behind": {history: func(t *tape) {
			t.limit(1)
			t.run(a)
			t.run(a.started())
			t.run(b)
		}},
		"slots that name who is over or never was": {
			history: func(t *tape) {
				t.limit(3)
				t.run(a.started())
				t.slot(held(0, "a"))
				t.run(a.done())
				t.run(b.done())
				t.slot(held(1, "b"))
				t.slot(held(2, "c"))
			},
			wantEnd: []string{
				"I4 slot 0 still names a, which is over", "I4 slot 1 still names b, which is over",
				"I4 slot 2 still names c, which is over",
			},
		},
		"a removed slot names no run": {history: func(t *tape) {
			t.limit(1)
			t.run(a.started())
			t.slot(held(0, "a"))
			t.run(a.done())
			t.SlotGone(0)
		}},
		// Replicas with late caches may claim a run twice; one slot goes on.
		"two slots for one run, for a while": {history: func(t *tape) {
			t.limit(2)
			t.run(a)
			t.slot(held(0, "a"))
			t.slot(held(1, "a"))
			t.run(a.started())
			t.slot(free(1))
		}},
		"two slots for one run, for ever": {
			history: func(t *tape) {
				t.limit(2)
				t.run(a)
				t.slot(held(0, "a"))
				t.slot(held(1, "a"))
				t.run(a.started())
			},
			wantEnd: []string{"I4 a holds slot 0 and slot 1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			during, end := play(tc.history)
			if diff := cmp.Diff(tc.want, violations(during)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(append(tc.want, tc.wantEnd...), violations(end)); diff != "" {
				t.Errorf("violations at the end (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReport(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	d, e := run("d").created(-9*time.Second), run("e").created(-8*time.Second)
	_, got := play(func(t *tape) {
		t.limit(2)
		t.run(a.started())
		t.run(b.started())
		t.run(a.done())
		t.run(c.started())
		t.gone(b)
		t.run(d)
		t.run(e)
		t.slot(held(0, "d"))
		t.slot(held(1, "e"))
		t.slot(free(0))
		t.slot(held(0, "d"))
		t.slot(held(2, "c"))
		t.run(e.done())
		t.run(d.done())
	})
	if diff := cmp.Diff([]string{"d", "e"}, got.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if got.Runs != 5 || got.Done != 4 || got.MostStarted != 2 || len(got.Starts) != 3 {
		t.Errorf("got %+v, want 5 runs of which 4 are done, 2 started at most, 3 starts", got)
	}
	v := audit.Violation{Invariant: "I1", At: noon, What: "too many"}
	if got, want := v.String(), "12:00:00.000 I1: too many"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// behind is a name that gives an order of c and it an ID behind the given one.
func behind(id string) string {
	for i := range 100 {
		if name := fmt.Sprintf("c-%d", i); queue.NewSequence([]string{"c", name}).ID > id {
			return name
		}
	}
	panic("no such name")
}
