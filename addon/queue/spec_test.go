package queue_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func (b runBuilder) priority(n int) runBuilder      { b.Priority.Own = n; return b }
func (b runBuilder) branch(name string) runBuilder  { b.Origin.Branch = name; return b }
func (b runBuilder) sender(name string) runBuilder  { b.Origin.Sender = name; return b }
func (b runBuilder) pull(number string) runBuilder  { b.Origin.PullRequest = number; return b }
func (b runBuilder) definition(n string) runBuilder { b.Origin.Definition = n; return b }

func TestPause(t *testing.T) {
	a, b := run("a").created(-12*time.Second), run("b").created(-11*time.Second)
	paused := queue.Spec{Paused: true}
	checkDecisions(t, map[string]decideCase{
		"nobody gets a slot": {
			limit: 2, spec: paused, runs: runs(a, b), slots: slots(slot(0)),
			wantSummary: &queue.Summary{Waiting: 2},
		},
		"what runs keeps its slot, and what has ended gives it back": {
			limit: 2, spec: paused, runs: runs(a.started(), b), slots: slots(slot(0).of("a"), slot(1).of("gone")),
			want: []string{"release 1"},
		},
		"what was started without a slot gets one": {
			limit: 1, spec: paused, runs: runs(a.started()),
			want: []string{"claim new 0 for a"},
		},
		"who has a slot keeps it, however long the pause": {
			limit: 1, spec: paused, runs: runs(a), slots: slots(slot(0).of("a").since(-time.Hour)),
			wantSummary: &queue.Summary{Claimed: 1},
		},
		"nothing starts for want of a limit": {
			limit: queue.Unlimited, spec: paused, runs: runs(a),
			wantSummary: &queue.Summary{Waiting: 1},
		},
		"nobody is cancelled for waiting": {
			limit: 1, spec: queue.Spec{Paused: true, MaxAge: time.Second, MostWaiting: 1}, runs: runs(a, b),
			wantSummary: &queue.Summary{Waiting: 2},
		},
	})
}

func TestPriority(t *testing.T) {
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"the highest first": {
			limit: 2, runs: runs(a, b.priority(1), c.priority(2)),
			want: []string{"claim new 0 for c", "claim new 1 for b"},
		},
		"equal ones in the order of events": {
			limit: 2, runs: runs(a.priority(5), b.priority(5), c.priority(-1)),
			want: []string{"claim new 0 for a", "claim new 1 for b"},
		},
		"none is stopped for another": {
			limit: 1, runs: runs(a.started(), b.priority(1000)), slots: slots(slot(0).of("a")),
		},
		"a claim is not taken back": {
			limit: 1, runs: runs(a, b.priority(1000)), slots: slots(slot(0).of("a")),
			want: []string{"start a with 0/4/0"}, wantNext: 20 * time.Second,
		},
		"who is not ready is passed over": {
			limit: 1, runs: runs(a, b.priority(1).notBefore(5*time.Second)),
			want: []string{"claim new 0 for a"}, wantNext: 5 * time.Second,
		},
	})
}

func TestNewestFirst(t *testing.T) {
	spec := queue.Spec{Order: queue.NewestFirst}
	old, first, second := run("old").created(-12*time.Second), run("x1").order("x1", "x2"), run("x2").order("x1", "x2")
	checkDecisions(t, map[string]decideCase{
		"the newest event, and in it the first run": {
			limit: 2, spec: spec, runs: runs(old, second, first),
			want: []string{"claim new 0 for x1", "claim new 1 for x2"},
		},
		"priority comes before": {
			limit: 1, spec: spec, runs: runs(old.priority(1), second, first),
			want: []string{"claim new 0 for old"},
		},
		"of one second, the later one": {
			limit: 1, spec: spec, runs: runs(run("a").stamped("4"), run("b").stamped("5")),
			want: []string{"claim new 0 for b"},
		},
		"nobody, until it is written down which one that is": {
			limit: 1, spec: spec, runs: runs(old, run("a").seen("4"), run("b").seen("5")),
			want: []string{"stamp a with 4", "stamp b with 5"},
		},
	})
}

// TestGroups: Fair goes round the groups that the spec names.
func TestGroups(t *testing.T) {
	a := run("a").created(-13 * time.Second).branch("main").sender("ann").pull("1")
	b := run("b").created(-12 * time.Second).branch("main").sender("bob").pull("2")
	c := run("c").created(-11 * time.Second).branch("dev").sender("ann").pull("1")
	for by, want := range map[queue.Grouping][]string{
		queue.ByBranch:      {"a", "c"},
		queue.BySender:      {"a", "b"},
		queue.ByPullRequest: {"a", "b"},
	} {
		t.Run(by.String(), func(t *testing.T) {
			d := decide(t, queue.Snapshot{Limit: 2, Spec: queue.Spec{Order: queue.Fair, FairBy: by}, Runs: runs(a, b, c)})
			if diff := cmp.Diff(want, claimedBy(d)); diff != "" {
				t.Errorf("claimed (-want +got):\n%s", diff)
			}
		})
	}
}

func claimedBy(d queue.Decision) (names []string) {
	for _, a := range d.Actions {
		if claim, is := a.(queue.Claim); is {
			names = append(names, claim.Run.Name)
		}
	}
	return names
}

// TestFair: whatever the limit, whoever comes when, and though runs are forgotten as soon as they
// are done: as long as two groups both wait, neither is served twice more than the other.
func TestFair(t *testing.T) {
	for seed := range int64(200) {
		rnd := rand.New(rand.NewSource(seed))
		groups := 2 + rnd.Intn(4)
		s := queue.Snapshot{Limit: queue.Limit(1 + rnd.Intn(3)), Spec: queue.Spec{Order: queue.Fair}}
		waiting, behind, n := map[string]int{}, map[[2]string]int{}, 0
		push := func() {
			branch := fmt.Sprintf("branch-%d", rnd.Intn(groups))
			r := run(fmt.Sprintf("%s-run-%03d", branch, n)).branch(branch).created(time.Duration(n-1000) * time.Second)
			n++
			waiting[branch]++
			s.Runs = append(s.Runs, &r.Run)
		}
		for range 30 {
			push()
		}
		for step := 0; len(s.Runs) > 0 && step < 500; step++ {
			if n < 100 && rnd.Intn(2) == 0 {
				push()
			}
			for _, a := range queue.Decide(s, noon, policy).Actions {
				switch a := a.(type) {
				case queue.Claim:
					served := a.Run.Origin.Branch
					waiting[served]--
					for other := range waiting {
						if waiting[other] == 0 {
							delete(behind, [2]string{other, served})
						} else if behind[[2]string{other, served}]++; behind[[2]string{other, served}] > 2 && other != served {
							t.Fatalf("seed %d: %s is served for the third time while %s waits", seed, served, other)
						}
						delete(behind, [2]string{served, other})
					}
					a.Slot.Version, a.Slot.HeldSince = "4", noon
					a.Slot.Holder = &queue.Holder{Name: a.Run.Name, UID: a.Run.UID}
					s.Slots = replaced(s.Slots, a.Slot)
				case queue.Start:
					s.Runs = edited(s.Runs, a.Run.UID, func(r *queue.Run) { r.Phase = queue.Started })
				case queue.Release:
					a.Slot.Holder = nil
					s.Slots = replaced(s.Slots, a.Slot)
				}
			}
			for _, r := range s.Runs {
				if r.Phase == queue.Started && rnd.Intn(2) == 0 {
					s.Runs = without(s.Runs, r.UID)
					break
				}
			}
		}
		if len(s.Runs) > 0 {
			t.Fatalf("seed %d: %d runs are left", seed, len(s.Runs))
		}
	}
}

func replaced(slots []queue.Slot, by queue.Slot) []queue.Slot {
	all := []queue.Slot{by}
	for _, s := range slots {
		if s.Index != by.Index {
			all = append(all, s)
		}
	}
	return all
}

func edited(runs []*queue.Run, uid string, change func(*queue.Run)) []*queue.Run {
	var all []*queue.Run
	for _, r := range runs {
		if r.UID == uid {
			is := *r
			change(&is)
			r = &is
		}
		all = append(all, r)
	}
	return all
}

func without(runs []*queue.Run, uid string) (others []*queue.Run) {
	for _, r := range runs {
		if r.UID != uid {
			others = append(others, r)
		}
	}
	return others
}

func TestKeepNewest(t *testing.T) {
	spec := queue.Spec{KeepNewest: true}
	ci := func(name string, age time.Duration) runBuilder {
		return run(name).created(-age).definition("ci").branch("main")
	}
	a, b, c := ci("a", 12*time.Second), ci("b", 11*time.Second), ci("c", 10*time.Second)
	checkDecisions(t, map[string]decideCase{
		"what waits is cancelled for the newest, what runs goes on": {
			limit: 1, spec: spec, runs: runs(a.started(), b, c), slots: slots(slot(0).of("a")),
			want: []string{"cancel b for c"},
		},
		"who has a slot waits no more": {
			limit: 1, spec: spec, runs: runs(a, b, c), slots: slots(slot(0).of("a")),
			want: []string{"cancel b for c", "start a with 0/4/0"}, wantNext: 20 * time.Second,
		},
		"the newest gets the slot": {
			limit: 1, spec: spec, runs: runs(a, b, c),
			want: []string{"cancel a for c", "cancel b for c", "claim new 0 for c"},
		},
		"another branch, another definition, none": {
			limit: 1, spec: spec,
			runs: runs(run("z").created(-time.Minute).started(), a, b.branch("dev"), c.definition("lint"),
				run("d").created(-9*time.Second)),
			slots: slots(slot(0).of("z")),
		},
		"of one second, nobody until it is written down who came later": {
			limit: 1, spec: spec, runs: runs(ci("x", 10*time.Second).seen("4"), ci("y", 10*time.Second).seen("5")),
			want: []string{"stamp x with 4", "stamp y with 5"},
		},
		"of one second, the one that came first": {
			limit: 1, spec: spec, runs: runs(ci("x", 10*time.Second).stamped("4"), ci("y", 10*time.Second).stamped("5")),
			want: []string{"cancel x for y", "claim new 0 for y"},
		},
	})
}

func TestMostWaiting(t *testing.T) {
	spec := queue.Spec{MostWaiting: 1}
	z := run("z").created(-time.Minute)
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	checkDecisions(t, map[string]decideCase{
		"the newest beyond are cancelled": {
			limit: 1, spec: spec, runs: runs(z.started(), a, b, c), slots: slots(slot(0).of("z")),
			want: []string{"cancel b: too many", "cancel c: too many"}, wantSummary: &queue.Summary{Started: 1, Waiting: 1},
		},
		"who gets a slot does not wait": {
			limit: 2, spec: spec, runs: runs(z.started(), a, b), slots: slots(slot(0).of("z")),
			want: []string{"claim new 1 for a"},
		},
		"the newest go, also if they are first": {
			limit: 1, spec: queue.Spec{MostWaiting: 1, Order: queue.NewestFirst},
			runs: runs(z.started(), a, b), slots: slots(slot(0).of("z")),
			want: []string{"cancel b: too many"},
		},
		"nobody whose event is not known": {
			limit: 1, spec: spec, runs: runs(z.started(), a, b.noOrder()), slots: slots(slot(0).of("z")),
			wantNext: 19 * time.Second,
		},
	})
}

func TestMaxAge(t *testing.T) {
	spec := queue.Spec{MaxAge: 12 * time.Second}
	z := run("z").created(-time.Minute)
	a, b := run("a").created(-12*time.Second), run("b").created(-11*time.Second)
	checkDecisions(t, map[string]decideCase{
		"who has waited for too long is cancelled, the next one later": {
			limit: 1, spec: spec, runs: runs(z.started(), a, b), slots: slots(slot(0).of("z")),
			want: []string{"cancel a: too old"}, wantNext: time.Second,
		},
		"who gets a slot at last is not": {
			limit: 1, spec: spec, runs: runs(a), want: []string{"claim new 0 for a"},
		},
	})
}

// TestStandingsOfSpecs: people are told who goes first, and why nobody does.
func TestStandingsOfSpecs(t *testing.T) {
	z := run("z").created(-time.Minute).started()
	a, b, c := run("a").created(-12*time.Second), run("b").created(-11*time.Second), run("c")
	ci := func(r runBuilder) runBuilder { return r.definition("ci").branch("main") }
	for name, tc := range map[string]struct {
		spec queue.Spec
		runs []*queue.Run
		want []string
	}{
		"paused": {queue.Spec{Paused: true}, runs(z, a, b), []string{"z", "1 a paused", "2 b paused"}},
		"by priority": {
			queue.Spec{},
			runs(z, a, b, c.priority(3)),
			[]string{"z", "1 c slots taken", "2 a behind higher priority (1)", "3 b behind higher priority (1)"},
		},
		"newest first":    {queue.Spec{Order: queue.NewestFirst}, runs(z, a, b), []string{"z", "1 b slots taken", "2 a slots taken"}},
		"only the newest": {queue.Spec{KeepNewest: true}, runs(z, ci(a), ci(b)), []string{"z", "0 a outdated by b", "1 b slots taken"}},
		"too many":        {queue.Spec{MostWaiting: 1}, runs(z, a, b), []string{"z", "1 a slots taken", "0 b dropped: too many"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := queue.Stand(queue.Snapshot{Limit: 1, Spec: tc.spec, Runs: tc.runs, Slots: slots(slot(0).of("z"))}, noon, policy)
			var got []string
			for _, is := range all.Runs {
				text := fmt.Sprintf("%d %s %s", is.Position, is.Run.Name, is.Why)
				switch {
				case is.Why == "":
					text = is.Run.Name
				case is.By != nil:
					text += " by " + is.By.Name
				case is.Cause != "":
					text += ": " + string(is.Cause)
				case is.Before > 0:
					text += fmt.Sprintf(" (%d)", is.Before)
				}
				got = append(got, strings.TrimSpace(text))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("standings (-want +got):\n%s", diff)
			}
		})
	}
}
