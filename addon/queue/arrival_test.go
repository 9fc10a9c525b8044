package queue_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestArrivalOrder: the events of one second are in the order in which they came, as far as that is
// known.
func TestArrivalOrder(t *testing.T) {
	const s = time.Second
	for name, tc := range map[string]struct {
		runs  []*queue.Run
		slots []queue.Slot
		want  string
	}{
		"by stamps": {
			runs: runs(run("a").stamped("103"), run("b").stamped("101"), run("c").stamped("102")), want: "b c a",
		},
		"not as texts":                  {runs: runs(run("a").stamped("1000"), run("b").stamped("999")), want: "b a"},
		"an earlier second comes first": {runs: runs(run("a").stamped("1"), run("b").stamped("2").created(-11*s)), want: "b a"},
		"by what the replica has seen": {
			runs: runs(run("a").seen("103"), run("b").seen("101"), run("c").seen("<=102")), want: "b c a",
		},
		"a stamp is stronger than that": {
			runs: runs(run("a").stamped("103").seen("100"), run("b").stamped("101").seen("102")), want: "b a",
		},
		"unknown ones come last": {
			runs: runs(run("d"), run("c"), run("b").stamped("101"), run("a").seen("102")), want: "b a d c",
		},
		"an event came with its first run": {
			runs: runs(run("a2").order("a1", "a2").seen("104"), run("a1").order("a1", "a2").seen("101"), run("b").seen("102")),
			want: "a1 a2 b",
		},
		"one stamp of an event is enough": {
			runs: runs(run("a2").order("a1", "a2").stamped("101"), run("a1").order("a1", "a2").seen("<=104"), run("b").stamped("102")),
			want: "a1 a2 b",
		},
		"of two stamps the lower one counts": {
			runs: runs(run("a2").order("a1", "a2").stamped("101"), run("a1").order("a1", "a2").stamped("104"), run("b").stamped("102")),
			want: "a1 a2 b",
		},
		"a slot remembers the stamp": {
			runs: runs(run("a2").order("a1", "a2").seen("104"), run("b").stamped("102")),
			slots: slots(slot(0).of("a1").event(queue.Event{
				ID: queue.NewSequence([]string{"a1", "a2"}).ID, Created: run("a2").Created, Arrived: arrived("101"),
			})),
			want: "a2 b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			for _, r := range queue.InOrder(tc.runs, tc.slots) {
				names = append(names, r.Name)
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("in line: %s; want: %s", got, tc.want)
			}
		})
	}
}

func TestStamp(t *testing.T) {
	const s = time.Second
	a, b := run("a").seen("103"), run("b").seen("101")
	unseen := func(r runBuilder) runBuilder { r.Unseen = true; return r }
	failing := func(r runBuilder, since time.Duration) runBuilder { r.Unwritten = noon.Add(since); return r }
	checkDecisions(t, map[string]decideCase{
		"events of one second are stamped first": {
			limit: 1, runs: runs(a, b), slots: slots(slot(0)), want: []string{"stamp b with 101", "stamp a with 103"},
		},
		"and started then": {
			limit: 1, runs: runs(a.stamped("103"), b.stamped("101")), slots: slots(slot(0)), want: []string{"claim 0 for b"},
		},
		"even if there is room for both": {
			limit: 2, runs: runs(a, b), slots: slots(slot(0), slot(1)), want: []string{"stamp b with 101", "stamp a with 103"},
		},
		"and while there is none": {
			limit: 1, runs: runs(a, b, run("z").created(-11*s).started()), slots: slots(slot(0).of("z")),
			want: []string{"stamp b with 101", "stamp a with 103"},
		},
		"what has a stamp keeps it": {
			limit: 1, runs: runs(a, b.stamped("104")), slots: slots(slot(0)), want: []string{"stamp a with 103"},
		},
		"a bound is a stamp": {
			limit: 1, runs: runs(a.seen("<=103"), b.stamped("<=104")), slots: slots(slot(0)), want: []string{"stamp a with <=103"},
		},
		"an event that is alone in its second needs none": {
			limit: 1, runs: runs(a, b.created(-11*s)), slots: slots(slot(0)), want: []string{"claim 0 for b"},
		},
		"nor does one of which nothing waits": {
			limit: 1, runs: runs(a, b.started()), slots: slots(slot(0).of("b")),
		},
		"nor one that has a slot": {
			limit: 1, runs: runs(a, b), slots: slots(slot(0).of("b")), want: []string{"start b with 0/4/0"}, wantNext: policy.ClaimTTL,
		},
		"nor the runs of one event": {
			limit: 1, runs: runs(a.order("a", "b"), b.order("a", "b")), slots: slots(slot(0)), want: []string{"claim 0 for a"},
		},
		"what came in earlier seconds is not held up": {
			limit: 2, runs: runs(a, b, run("c").created(-11*s)), slots: slots(slot(0), slot(1)),
			want: []string{"claim 0 for c", "stamp b with 101", "stamp a with 103"},
		},
		"what came later does not overtake": {
			limit: 3, runs: runs(a, b, run("c").created(-9*s)), slots: slots(slot(0), slot(1), slot(2)),
			want: []string{"stamp b with 101", "stamp a with 103"},
		},
		"the last run of an event is stamped with the version of the first": {
			limit: 1, runs: runs(a, run("b1").order("b1", "b2").seen("102"), run("b2").order("b1", "b2").seen("101")),
			slots: slots(slot(0)), want: []string{"stamp b2 with 101", "stamp a with 103"},
		},
		"rather one that has its order": {
			limit: 1, runs: runs(a, run("b1").order("b1", "b2").seen("102"), run("b2").noOrder().seen("101")),
			slots: slots(slot(0)), want: []string{"stamp b1 with 101", "stamp a with 103"},
		},
		"a version is exact only if all of its event's are": {
			limit: 1, runs: runs(a, run("b1").order("b1", "b2").seen("<=102"), run("b2").order("b1", "b2").seen("101")),
			slots: slots(slot(0)), want: []string{"stamp b2 with <=101", "stamp a with 103"},
		},
		"and only if all are there": {
			limit: 1, runs: runs(a, run("b1").order("b1", "b2").seen("102")), slots: slots(slot(0)),
			want: []string{"stamp b1 with <=102", "stamp a with 103"},
		},
		"an event that is not known yet is not stamped": {
			limit: 1, runs: runs(a, b.noOrder()), slots: slots(slot(0)), want: []string{"claim 0 for a"}, wantNext: 20 * s,
		},
		"one without an order is, once that is not waited for, as one that may have come before": {
			limit: 1, runs: runs(a.created(-30*s), b.noOrder().created(-30*s)), slots: slots(slot(0)),
			want: []string{"stamp b with <=101", "stamp a with 103"},
		},
		"one with a malformed order is": {
			limit: 1, runs: runs(a, b.malformed()), slots: slots(slot(0)), want: []string{"stamp b with 101", "stamp a with 103"},
		},
		"a run that the watch has yet to show is waited for": {
			limit: 1, runs: runs(unseen(run("a")), b.stamped("101")), slots: slots(slot(0)), wantNext: 20 * s,
		},
		"so is one whose event it has begun to show": {
			limit: 1, runs: runs(unseen(run("b2").order("b1", "b2")), run("b1").order("b1", "b2").seen("102"), a.stamped("103")),
			slots: slots(slot(0)), wantNext: 20 * s,
		},
		"nothing is known of one run of an event": {
			limit: 1, runs: runs(run("b2").order("b1", "b2"), run("b1").order("b1", "b2").seen("102"), a.stamped("103")),
			slots: slots(slot(0)), want: []string{"stamp b2 with <=102"},
		},
		"but not for ever": {
			limit: 1, runs: runs(unseen(run("a")).created(-30*s), b.stamped("101").created(-30*s)), slots: slots(slot(0)),
			want: []string{"claim 0 for b"},
		},
		"where nothing is known, nothing is waited for": {
			limit: 1, runs: runs(run("a"), run("b")), slots: slots(slot(0)), want: []string{"claim 0 for a"},
		},
		"a stamp that fails is tried again": {
			limit: 1, runs: runs(failing(a, -s), b.stamped("101")), slots: slots(slot(0)),
			want: []string{"stamp a with 103"}, wantNext: policy.ClaimTTL - s,
		},
		"but not for ever: the replica goes by what it has seen": {
			limit: 1, runs: runs(failing(a, -policy.ClaimTTL), failing(b, -policy.ClaimTTL)), slots: slots(slot(0)),
			want: []string{"claim 0 for b"},
		},
		"none without a limit": {runs: runs(a, b), want: []string{"start b with -1/0/0", "start a with -1/0/0"}},
		"none in a hand-back":  {limit: 1, handBack: true, runs: runs(a, b), want: []string{"hand back b", "hand back a"}},
	})
}

// TestStampContests: which of two runs of one second supersedes the other is written down before
// the older one is cancelled.
func TestStampContests(t *testing.T) {
	o, n := pushed("o", 5, yes).seen("101"), pushed("n", 5, yes).seen("103")
	both := []string{"stamp o with 101", "stamp n with 103"}
	checkDecisions(t, map[string]decideCase{
		"while both wait":          {limit: 2, runs: runs(n, o), slots: slots(slot(0), slot(1)), want: both},
		"while the older one runs": {limit: 2, runs: runs(n, o.started()), slots: slots(slot(0).of("o"), slot(1)), want: both},
		"while both run": {
			limit: 2, runs: runs(n.started(), o.started()), slots: slots(slot(0).of("o"), slot(1).of("n")), want: both,
		},
		"then it is cancelled": {
			limit: 2, runs: runs(n.stamped("103"), o.stamped("101").started()), slots: slots(slot(0).of("o"), slot(1)),
			want: []string{"cancel o for n", "claim 1 for n"},
		},
		"of another branch": {
			limit: 2, runs: runs(n, pushed("o", 5, yes, from("topic")).seen("101").started()), slots: slots(slot(0).of("o"), slot(1)),
			want: []string{"claim 1 for n"},
		},
		"a newer one supersedes both anyway": {
			limit: 1, runs: runs(n.started(), o.started(), pushed("z", 4, yes)), slots: slots(slot(0).of("o"), slot(1).of("n")),
			want: []string{"cancel o for z", "cancel n for z"},
		},
		"neither cancels": {
			limit: 2, runs: runs(pushed("n", 5).seen("103"), pushed("o", 5).seen("101").started()), slots: slots(slot(0).of("o"), slot(1)),
			want: []string{"claim 1 for n"},
		},
		"the older one is over, and perhaps the newer one": {
			limit: 2, runs: runs(n, o.done()), slots: slots(slot(0), slot(1)), want: []string{"stamp n with 103"},
		},
		"nothing says when that one came": {
			limit: 2, runs: runs(n.stamped("103"), o.done()), slots: slots(slot(0), slot(1)), want: []string{"claim 0 for n"},
		},
	})
}

// TestOneOrder (case P5): whatever replicas act in turn, after whatever restarts, the events of one
// second start in one order. It is that in which they came if the first to act has seen them come.
func TestOneOrder(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for round := range 500 {
		var s queue.Snapshot
		s.Limit = 1
		var came []string // the events, first first
		truth := map[string]uint64{}
		version := uint64(100)
		events := 2 + rnd.Intn(4)
		names := strings.Fields("a b c d e f")
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, event := range names[:events] {
			came = append(came, event)
			var of []string
			for i := range 1 + rnd.Intn(3) {
				of = append(of, fmt.Sprint(event, i))
			}
			for _, i := range rnd.Perm(len(of)) {
				version++
				truth[of[i]] = version
				s.Runs = append(s.Runs, runs(run(of[i]).order(of...))...)
			}
		}
		// Each replica has seen some runs come, and knows of others what a list showed.
		watched := func(all bool) map[string]queue.Arrival {
			seen := map[string]queue.Arrival{}
			for name, version := range truth {
				if seen[name] = (queue.Arrival{Version: version}); !all && rnd.Intn(2) == 0 {
					seen[name] = queue.Arrival{Version: version + uint64(rnd.Intn(20)), AtMost: true}
				}
			}
			return seen
		}
		first := rnd.Intn(2) == 0
		replica := watched(first)
		var started []string // one letter for each start
		for steps := 0; ; steps++ {
			if steps > 100 {
				t.Fatalf("round %d: it never ends", round)
			}
			if steps > 0 && rnd.Intn(2) == 0 {
				replica = watched(false)
			}
			for i := range s.Runs {
				edit(s.Runs, i, func(r *queue.Run) { r.Seen = replica[r.Name] })
			}
			d := queue.Decide(s, noon, policy)
			if len(d.Actions) == 0 {
				break
			}
			before := s
			s = perform(s, d)
			for i, r := range s.Runs {
				if r.Phase == queue.Started && before.Runs[i].Phase == queue.Pending {
					started = append(started, r.Name[:1])
				}
			}
			for i := len(s.Runs) - 1; i >= 0; i-- {
				switch {
				case s.Runs[i].Phase != queue.Started:
				case rnd.Intn(2) == 0:
					edit(s.Runs, i, func(r *queue.Run) { r.Phase = queue.Done })
				default:
					s.Runs = slices.Delete(s.Runs, i, i+1) // and gone
				}
			}
		}
		order := slices.Compact(slices.Clone(started))
		if len(order) != events || len(started) != len(truth) {
			t.Fatalf("round %d: events start as %v, in turns", round, started)
		}
		if diff := cmp.Diff(came, order); first && diff != "" {
			t.Fatalf("round %d: they did not start as they came (-want +got):\n%s", round, diff)
		}
	}
}
