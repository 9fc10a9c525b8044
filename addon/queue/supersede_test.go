package queue_test

import (
	stdcmp "cmp"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// pushed is a run, so many seconds old, that a push to main made of the
// definition "build".
func pushed(name string, age int, change ...func(*queue.Origin)) runBuilder {
	b := run(name).created(-time.Duration(age) * time.Second)
	b.Origin = queue.Origin{Definition: "build", Trigger: queue.PushTrigger, Branch: "main"}
	for _, c := range change {
		c(&b.Origin)
	}
	return b
}

func yes(o *queue.Origin) { o.CancelInProgress = queue.Yes }
func no(o *queue.Origin)  { o.CancelInProgress = queue.No }

func ofPullRequest(n string) func(*queue.Origin) {
	return func(o *queue.Origin) { o.Trigger, o.PullRequest = queue.PullRequestTrigger, n }
}

func labeled(o *queue.Origin)                { o.Trigger = queue.LabelTrigger }
func from(branch string) func(*queue.Origin) { return func(o *queue.Origin) { o.Branch = branch } }
func made(definition string) func(*queue.Origin) {
	return func(o *queue.Origin) { o.Definition = definition }
}

func (b runBuilder) ending() runBuilder { b.Ending = true; return b }

func TestSupersedes(t *testing.T) {
	other := func(o *queue.Origin) { o.Trigger = queue.OtherTrigger }
	for name, tc := range map[string]struct {
		settings     queue.CancelInProgress
		older, newer runBuilder
		want         bool
	}{
		"the run says so": {older: pushed("o", 9), newer: pushed("n", 5, yes), want: true},
		"no setting":      {older: pushed("o", 9), newer: pushed("n", 5)},
		"the older one says so, which is its own": {older: pushed("o", 9, yes), newer: pushed("n", 5)},
		"the setting for pushes": {
			settings: queue.CancelInProgress{OnPush: true}, older: pushed("o", 9),
			newer: pushed("n", 5), want: true,
		},
		"the setting for pull requests": {
			settings: queue.CancelInProgress{OnPullRequest: true}, older: pushed("o", 9),
			newer: pushed("n", 5),
		},
		"the setting came before the newer run": {
			settings: queue.CancelInProgress{OnPush: true, Since: noon.Add(-6 * time.Second)}, older: pushed("o", 9),
			newer: pushed("n", 5), want: true,
		},
		"the setting came in the second of the newer run": {
			settings: queue.CancelInProgress{OnPush: true, Since: noon.Add(-5 * time.Second)}, older: pushed("o", 9),
			newer: pushed("n", 5),
		},
		"the run says so, whenever the setting came": {
			settings: queue.CancelInProgress{OnPush: true, Since: noon}, older: pushed("o", 9),
			newer: pushed("n", 5, yes), want: true,
		},
		"the run overrides the setting": {
			settings: queue.CancelInProgress{OnPush: true}, older: pushed("o", 9),
			newer: pushed("n", 5, no),
		},
		"no setting is for other events": {
			settings: queue.CancelInProgress{OnPush: true, OnPullRequest: true},
			older:    pushed("o", 9), newer: pushed("n", 5, other),
		},
		"other events, the run says so":   {older: pushed("o", 9, other), newer: pushed("n", 5, other, yes), want: true},
		"another definition":              {older: pushed("o", 9, made("test")), newer: pushed("n", 5, yes)},
		"definition unknown":              {older: pushed("o", 9, made("")), newer: pushed("n", 5, made(""), yes)},
		"another branch":                  {older: pushed("o", 9, from("topic")), newer: pushed("n", 5, yes)},
		"branch of the older one unknown": {older: pushed("o", 9, from("")), newer: pushed("n", 5, yes), want: true},
		"the same pull request": {
			older: pushed("o", 9, ofPullRequest("7")),
			newer: pushed("n", 5, ofPullRequest("7"), yes), want: true,
		},
		"another pull request": {
			older: pushed("o", 9, ofPullRequest("7")),
			newer: pushed("n", 5, ofPullRequest("8"), yes),
		},
		"labels of the same pull request": {
			older: pushed("o", 9, ofPullRequest("7")),
			newer: pushed("n", 5, ofPullRequest("7"), labeled, yes), want: true,
		},
		"a pull request does not cancel runs of its labels": {
			older: pushed("o", 9, ofPullRequest("7"), labeled),
			newer: pushed("n", 5, ofPullRequest("7"), yes),
		},
		"a push cancels runs of labels": {
			older: pushed("o", 9, ofPullRequest("7"), labeled), newer: pushed("n", 5, yes), want: true,
		},
		"the setting for pull requests is for labels": {
			settings: queue.CancelInProgress{OnPullRequest: true}, older: pushed("o", 9, ofPullRequest("7")),
			newer: pushed("n", 5, ofPullRequest("7"), labeled), want: true,
		},
		"a pull request does not cancel pushes": {older: pushed("o", 9), newer: pushed("n", 5, ofPullRequest("7"), yes)},
		"a push cancels pull requests":          {older: pushed("o", 9, ofPullRequest("7")), newer: pushed("n", 5, yes), want: true},
		"created in the same second":            {older: pushed("o", 5, yes), newer: pushed("n", 5, yes)},
		"in the same second, the newer one came later": {
			older: pushed("o", 5, yes).stamped("102"), newer: pushed("n", 5, yes).stamped("103"), want: true,
		},
		"in the same second, the older one came at that time at the latest": {
			older: pushed("o", 5, yes).stamped("<=102"), newer: pushed("n", 5, yes).stamped("103"), want: true,
		},
		"in the same second, the newer one came at that time at the latest": {
			older: pushed("o", 5, yes).stamped("102"), newer: pushed("n", 5, yes).stamped("<=103"),
		},
		"in the same second, nothing says when the older one came": {
			older: pushed("o", 5, yes), newer: pushed("n", 5, yes).stamped("103"),
		},
		"in the same second, nothing says when the newer one came": {
			older: pushed("o", 5, yes).stamped("102"), newer: pushed("n", 5, yes),
		},
		"in the same second, what only this replica has seen is not enough": {
			older: pushed("o", 5, yes).seen("102"), newer: pushed("n", 5, yes).seen("103"),
		},
		"the older one is started":           {older: pushed("o", 9).started(), newer: pushed("n", 5, yes), want: true},
		"the older one is over":              {older: pushed("o", 9).done(), newer: pushed("n", 5, yes)},
		"the newer one is over":              {older: pushed("o", 9), newer: pushed("n", 5, yes).done(), want: true},
		"the older one is cancelled already": {older: pushed("o", 9).started().ending(), newer: pushed("n", 5, yes)},
		"the newer one is not in order yet":  {older: pushed("o", 9), newer: pushed("n", 5, yes).noOrder(), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			tc.newer.Origin.Settings = tc.settings
			d := decide(t, queue.Snapshot{Limit: 9, Runs: runs(tc.newer, tc.older)})
			var got []string
			for _, a := range d.Actions {
				if _, ok := a.(queue.Cancel); ok {
					got = append(got, describe(a))
				}
			}
			var want []string
			if tc.want {
				want = []string{"cancel o for n"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("cancellations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	a, b, c := pushed("a", 12), pushed("b", 11), pushed("c", 10, yes)
	other := run("x").created(-9 * time.Second)
	checkDecisions(t, map[string]decideCase{
		"what is superseded is cancelled, first first, and never started": {
			limit: 1, runs: runs(a, b, c), slots: slots(slot(0)),
			want: []string{"cancel a for c", "cancel b for c", "claim 0 for c"},
		},
		"a claim keeps its slot until it is seen to be over": {
			limit: 1, runs: runs(a, c), slots: slots(slot(0).of("a")),
			want: []string{"cancel a for c"},
		},
		"a started run keeps its slot until it is seen to be over": {
			limit: 1, runs: runs(a.started(), c), slots: slots(slot(0).of("a")),
			want: []string{"cancel a for c"},
		},
		"its finally tasks are waited for": {
			limit: 1, runs: runs(a.started().ending(), c), slots: slots(slot(0).of("a")),
		},
		"the slot goes to the first in line, not to the newest": {
			limit: 1, runs: runs(a.done(), other.created(-11*time.Second), c), slots: slots(slot(0).of("a")),
			want: []string{"claim 0 for x"},
		},
		"it names the newest of several that supersede it": {
			limit: 2, runs: runs(a, pushed("b", 11, yes), c), slots: slots(slot(0), slot(1)),
			want: []string{"cancel a for c", "cancel b for c", "claim 0 for c"},
		},
		"not its business without a limit": {
			runs: runs(a.started(), c), want: []string{"start c with -1/0/0"},
		},
	})
}

// TestSupersededByAlike compares with the rule as PAC has it, one pair of runs after the other.
func TestSupersededByAlike(t *testing.T) {
	ofPullRequest := func(t queue.Trigger) bool { return t == queue.PullRequestTrigger || t == queue.LabelTrigger }
	proven := func(r queue.Run) uint64 {
		if r.Arrived.AtMost {
			return 0
		}
		return r.Arrived.Version
	}
	supersedes := func(r, o queue.Run) bool {
		return r.Origin.Definition != "" && r.Origin.Definition == o.Origin.Definition &&
			(o.Origin.Branch == "" || o.Origin.Branch == r.Origin.Branch) &&
			(!ofPullRequest(r.Origin.Trigger) ||
				o.Origin.Trigger == queue.PullRequestTrigger && o.Origin.PullRequest == r.Origin.PullRequest) &&
			(o.Created.Before(r.Created) || o.Created.Equal(r.Created) && o.Arrived.Known() && o.Arrived.Version < proven(r))
	}
	rnd := rand.New(rand.NewSource(1))
	one := func(of ...string) string { return of[rnd.Intn(len(of))] }
	found := 0
	for range 3000 {
		var runs []queue.Run
		for i := range rnd.Intn(12) {
			b := run(fmt.Sprintf("r%02d", i)).created(time.Duration(rnd.Intn(4)) * time.Second)
			b.Origin = queue.Origin{
				Definition: one("build", "build", "test", ""), Trigger: queue.Trigger(rnd.Intn(4)), PullRequest: one("1", "2", ""),
				Branch: one("main", "topic", ""), CancelInProgress: queue.Choice(rnd.Intn(3)),
				Settings: queue.CancelInProgress{
					OnPullRequest: rnd.Intn(2) == 0, OnPush: rnd.Intn(2) == 0, Since: noon.Add(time.Duration(rnd.Intn(5)-1) * time.Second),
				},
			}
			b.Phase = queue.Phase(rnd.Intn(3))
			if rnd.Intn(2) == 0 {
				b.Arrived = queue.Arrival{Version: 100 + uint64(rnd.Intn(4)), AtMost: rnd.Intn(3) == 0}
			}
			runs = append(runs, b.Run)
		}
		var want map[string]*queue.Run
		for _, r := range runs {
			o, settings := r.Origin, r.Origin.Settings
			on := r.Created.After(settings.Since) && (ofPullRequest(o.Trigger) && settings.OnPullRequest ||
				o.Trigger == queue.PushTrigger && settings.OnPush)
			if o.CancelInProgress == queue.No || o.CancelInProgress == queue.Unsaid && !on {
				continue
			}
			for _, old := range runs {
				newest, again := queue.Run{}, want[old.UID] != nil
				if again {
					newest = *want[old.UID]
				}
				newer := stdcmp.Or(
					r.Created.Compare(newest.Created), stdcmp.Compare(proven(r), proven(newest)), stdcmp.Compare(r.Name, newest.Name),
				)
				if old.Phase == queue.Done || !supersedes(r, old) || again && newer < 0 {
					continue
				}
				if want == nil {
					want = map[string]*queue.Run{}
				}
				want[old.UID] = &r
			}
		}
		found += len(want)
		if diff := cmp.Diff(want, queue.SupersededBy(queue.Line(queue.Shared(runs), nil)), sequencesByID); diff != "" {
			t.Fatalf("of %+v (-want +got):\n%s", runs, diff)
		}
	}
	if found == 0 {
		t.Error("nothing was superseded")
	}
}

// TestCrowd is case T4: ten times as many runs take some ten times as long. Comparing every pair of
// them takes a hundred times as long.
func TestCrowd(t *testing.T) {
	const few, many, most = 5_000, 50_000, 40
	took := func(n int) time.Duration {
		runs := make([]queue.Run, n)
		for i := range runs {
			b := run(fmt.Sprintf("r%05d", i)).created(time.Duration(i%60) * time.Second)
			b.Origin = queue.Origin{
				Definition: "build", Trigger: queue.PushTrigger, Branch: fmt.Sprint(i), CancelInProgress: queue.Yes,
			}
			runs[i] = b.Run
		}
		best := time.Duration(math.MaxInt64) // of some, since others use the machine, too
		for range 3 {
			began := time.Now()
			if by := queue.SupersededBy(queue.Line(queue.Shared(runs), nil)); len(by) > 0 {
				t.Errorf("%d runs of different branches are superseded", len(by))
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	if ratio := float64(took(many)) / float64(took(few)); ratio > most {
		t.Errorf("%d runs take %.0f times as long as %d, %d times is the most", many, ratio, few, most)
	}
}
