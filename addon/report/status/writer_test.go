package status_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/status"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

var (
	noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	app  = queue.Key{Namespace: "shop", Repository: "app"}
)

// board is the cluster: RunQueues, and what was written.
type board struct {
	known    map[queue.Key]runqueue.Known
	statuses map[queue.Key]v1alpha1.RunQueueStatus
	made     []queue.Key
	writes   int
	unknown  bool
	refuse   error
}

func (b *board) Known(key queue.Key) (runqueue.Known, bool, error) {
	if b.unknown {
		return runqueue.Known{}, false, errors.New("not known")
	}
	is, exists := b.known[key]
	return is, exists, nil
}

func (b *board) Make(_ context.Context, key queue.Key, repositoryUID string) error {
	b.writes++
	if b.refuse != nil {
		return b.refuse
	}
	if repositoryUID != "uid-of-"+key.Repository {
		return fmt.Errorf("owner %q", repositoryUID)
	}
	b.made = append(b.made, key)
	b.known[key] = runqueue.Known{UID: types.UID("rq-" + key.Repository), Generation: 1, Hash: "none yet"}
	return nil
}

func (b *board) Show(_ context.Context, key queue.Key, uid types.UID, s v1alpha1.RunQueueStatus) error {
	b.writes++
	if b.refuse != nil {
		return b.refuse
	}
	is := b.known[key]
	if is.UID != uid {
		return fmt.Errorf("UID %q", uid)
	}
	is.Hash, is.Conditions = runqueue.Hash(s), s.Conditions
	b.known[key], b.statuses[key] = is, s
	return nil
}

type rig struct {
	engine.Observers
	*board
	writer *status.Writer
	clock  *clocktesting.FakeClock
	events []string
	acts   bool
}

func (r *rig) Record(e event.Event) { r.events = append(r.events, string(e.Reason)) }

func newRig(keys ...queue.Key) *rig {
	r := &rig{
		board: &board{known: map[queue.Key]runqueue.Known{}, statuses: map[queue.Key]v1alpha1.RunQueueStatus{}},
		clock: clocktesting.NewFakeClock(noon), acts: true,
	}
	for _, key := range keys {
		r.known[key] = runqueue.Known{UID: types.UID("rq-" + key.Repository), Generation: 1, Hash: "none yet"}
	}
	acts := func(queue.Key) bool { return r.acts }
	looks := latest.New(acts)
	r.writer = status.New(status.Config{
		Board: r.board, Looks: looks, Events: r, Clock: r.clock, Pace: pace.New(r.clock, 10_000), Acts: acts,
		Policy: func() queue.Policy { return queue.Policy{ClaimTTL: 30 * time.Second, OrderGrace: 30 * time.Second} },
	})
	r.Observers = engine.Observers{looks, r.writer}
	return r
}

func (r *rig) see(s queue.Snapshot) {
	of := engine.Repository{Key: s.Key, UID: "uid-of-" + s.Key.Repository, Limit: s.Limit}
	r.Looked(engine.Look{Repository: of, Snapshot: s, At: r.clock.Now()})
}

// round lets time pass and returns how much was written.
func (r *rig) round(t *testing.T, pause time.Duration) int {
	t.Helper()
	before := r.writes
	r.clock.Step(pause)
	r.writer.Round(t.Context())
	return r.writes - before
}

// look is a queue with limit 1 in which the first of so many runs is started.
func look(runs int) queue.Snapshot {
	s := queue.Snapshot{Key: app, Limit: 1, Freshness: queue.Confirmed}
	for i := range runs {
		name := fmt.Sprintf("run-%d", i)
		s.Runs = append(s.Runs, &queue.Run{
			Name: name, UID: name, Created: noon.Add(time.Duration(i-runs) * time.Minute),
			Order: &queue.Order{Held: true, Sequence: queue.NewSequence([]string{name})},
		})
	}
	if runs > 0 {
		s.Runs[0].Phase, s.Runs[0].Began = queue.Started, noon.Add(-30*time.Second)
		s.Slots = []queue.Slot{{Version: "1", Holder: &queue.Holder{Name: "run-0", UID: "run-0"}, HeldSince: noon}}
	}
	return s
}

func at(d time.Duration) *metav1.Time { return new(metav1.NewTime(noon.Add(d))) }

func TestStatus(t *testing.T) {
	condition := func(kind string, is bool, reason, message string) metav1.Condition {
		c := metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, ObservedGeneration: 1, Reason: reason, Message: message,
			LastTransitionTime: *at(time.Second),
		}
		if is {
			c.Status = metav1.ConditionTrue
		}
		return c
	}
	usable := condition("Ready", true, "Usable", "")
	going := []metav1.Condition{
		usable, condition("Paused", false, "NotPaused", ""), condition("Stalled", false, "Moving", ""),
		condition("LimitExceeded", false, "WithinLimit", ""),
	}
	with := func(c metav1.Condition) []metav1.Condition {
		all := slices.Clone(going)
		all[slices.IndexFunc(all, func(was metav1.Condition) bool { return was.Type == c.Type })] = c
		return all
	}
	front := func(n int, reason string) (runs []v1alpha1.WaitingRun) {
		for i := range n {
			runs = append(runs, v1alpha1.WaitingRun{Run: fmt.Sprintf("run-%d", i+1), Position: int32(i + 1), Reason: reason})
		}
		return runs
	}
	const inUse = "waiting for a slot: 1 of 1 in use by run-0 (since 11:59:30Z)"
	slots := []v1alpha1.Slot{{Number: 0, Run: "run-0", Since: at(-30 * time.Second)}}
	for name, tc := range map[string]struct {
		change func(*queue.Snapshot, *runqueue.Known)
		want   v1alpha1.RunQueueStatus
	}{
		"a queue that moves": {
			want: v1alpha1.RunQueueStatus{
				State: "Running", Limit: new(int32(1)), Running: 1, Waiting: 2, OldestWaitingSince: at(-2 * time.Minute), Next: "run-1",
				Slots: slots, Front: front(2, inUse), Conditions: going,
			},
		},
		"nothing": {
			change: func(s *queue.Snapshot, _ *runqueue.Known) { s.Runs, s.Slots = nil, nil },
			want:   v1alpha1.RunQueueStatus{State: "Idle", Limit: new(int32(1)), Conditions: going},
		},
		"no limit": {
			change: func(s *queue.Snapshot, _ *runqueue.Known) { *s = queue.Snapshot{Key: app, Freshness: queue.Confirmed} },
			want:   v1alpha1.RunQueueStatus{State: "Idle", Conditions: going},
		},
		"a spec without a limit": {
			change: func(s *queue.Snapshot, _ *runqueue.Known) {
				*s = queue.Snapshot{Key: app, Freshness: queue.Confirmed, Spec: queue.Spec{MostWaiting: 3}}
			},
			want: v1alpha1.RunQueueStatus{State: "Idle", Conditions: with(condition("Ready", false, "NoLimit",
				"Repository app has no concurrency_limit, and Pipelines-as-Code starts its runs at once: there is no queue to shape. "+
					"Set a limit, however high."))},
		},
		"a pause": {
			change: func(s *queue.Snapshot, _ *runqueue.Known) { s.Spec.Paused, s.Spec.PausedBy = true, "by ann: freeze" },
			want: v1alpha1.RunQueueStatus{
				State: "Paused", Limit: new(int32(1)), Running: 1, Waiting: 2, OldestWaitingSince: at(-2 * time.Minute), Slots: slots,
				Front:      front(2, "waiting while the queue is paused (by ann: freeze)"),
				Conditions: with(condition("Paused", true, "Paused", "by ann: freeze")),
			},
		},
		"more started than may be": {
			change: func(s *queue.Snapshot, _ *runqueue.Known) {
				s.Runs = s.Runs[:2]
				s.Runs[1].Phase = queue.Started
				s.Slots = append(s.Slots, queue.Slot{Index: 1, Version: "2", Holder: &queue.Holder{Name: "run-1", UID: "run-1"}})
			},
			want: v1alpha1.RunQueueStatus{
				State: "Running", Limit: new(int32(1)), Running: 2,
				Slots: append(slices.Clone(slots), v1alpha1.Slot{Number: 1, Run: "run-1"}),
				Conditions: with(condition("LimitExceeded", true, "MoreStarted",
					"2 runs go on, and the limit is 1: the others wait until enough of them have ended")),
			},
		},
		"a spec that cannot be used": {
			change: func(s *queue.Snapshot, rq *runqueue.Known) {
				s.Runs, s.Slots = nil, nil
				rq.Problem = errors.New("spec.order is bad")
			},
			want: v1alpha1.RunQueueStatus{
				State: "Idle", Limit: new(int32(1)),
				Conditions: with(condition("Ready", false, "BadSpec", "spec.order is bad. The queue goes on without")),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := newRig(app), look(3)
			if tc.change != nil {
				rq := r.known[app]
				tc.change(&s, &rq)
				r.known[app] = rq
			}
			r.see(s)
			if n := r.round(t, time.Second); n != 1 {
				t.Errorf("%d writes", n)
			}
			tc.want.ObservedGeneration = 1
			if diff := cmp.Diff(tc.want, r.statuses[app]); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStalled: what is refused shows, until it is done.
func TestStalled(t *testing.T) {
	r := newRig(app)
	s := look(2)
	s.Runs[0].Phase = queue.Done
	r.see(s)
	claim := queue.Claim{Run: *s.Runs[1], Slot: s.Slots[0]}
	start := queue.Start{Run: claim.Run}
	r.Wrote(engine.Write{Repository: engine.Repository{Key: app}, Action: start, Err: errors.New("the webhook says no")})
	r.round(t, time.Second)
	is := r.statuses[app]
	i := slices.IndexFunc(is.Conditions, func(c metav1.Condition) bool { return c.Type == "Stalled" })
	if c := is.Conditions[i]; is.State != v1alpha1.StateStalled || c.Status != metav1.ConditionTrue ||
		c.Message != "the slot of run-1 cannot be claimed: the webhook says no" {
		t.Errorf("state %s, %v", is.State, c)
	}
	s = look(2)
	s.Runs[0].Phase, s.Runs[1].Phase = queue.Done, queue.Started
	r.see(s)
	r.round(t, time.Second)
	if is := r.statuses[app]; is.State != v1alpha1.StateRunning {
		t.Errorf("state %s", is.State)
	}
}

// TestWrites: a status is written when it changes, at most once a second, by the replica that acts,
// and set right if somebody else changes it.
func TestWrites(t *testing.T) {
	r := newRig(app)
	wrote := func(what string, want int, pause time.Duration) {
		t.Helper()
		if n := r.round(t, pause); n != want {
			t.Errorf("%s: %d writes, want %d", what, n, want)
		}
	}
	wrote("without a look", 0, time.Second)
	r.see(look(3))
	wrote("at first", 1, time.Second)
	r.see(look(3))
	wrote("the same again", 0, time.Second)
	r.see(look(2))
	wrote("another", 1, time.Second)
	r.see(look(3))
	wrote("too soon", 0, 500*time.Millisecond)
	wrote("a second later", 1, 500*time.Millisecond)
	is := r.known[app]
	is.Hash = "by hand"
	r.known[app] = is
	wrote("nobody says that it was changed", 0, time.Second)
	r.writer.Changed(app)
	wrote("changed by hand", 1, time.Second)
	r.acts = false
	r.see(look(2))
	wrote("another replica acts", 0, time.Second)
	r.acts = true
	r.Looked(engine.Look{Snapshot: queue.Snapshot{Key: app, Limit: 1}, At: noon})
	wrote("the caches alone", 0, time.Second)
}

// TestMakes: a queue with a limit gets a RunQueue once it has a run.
func TestMakes(t *testing.T) {
	r := newRig()
	s := look(0)
	r.see(s)
	if r.round(t, time.Second); len(r.made) > 0 {
		t.Errorf("made %v for nothing", r.made)
	}
	s = look(2)
	s.Limit = queue.Unlimited
	r.see(s)
	if r.round(t, time.Second); len(r.made) > 0 {
		t.Errorf("made %v without a limit", r.made)
	}
	r.unknown = true
	r.see(look(2))
	if r.round(t, time.Second); len(r.made) > 0 {
		t.Errorf("made %v without knowing what there is", r.made)
	}
	r.unknown = false
	r.see(look(2))
	if r.round(t, time.Second); !slices.Equal(r.made, []queue.Key{app}) {
		t.Errorf("made %v", r.made)
	}
	r.see(look(2)) // as the watch of the new RunQueue has it
	if n := r.round(t, time.Second); n != 1 || r.statuses[app].Waiting != 1 {
		t.Errorf("%d writes, %v", n, r.statuses[app])
	}
}

// TestNoRepository: a RunQueue that shapes nothing says so.
func TestNoRepository(t *testing.T) {
	r := newRig(app)
	r.Missing(app, nil)
	r.round(t, time.Second)
	c := r.statuses[app].Conditions
	if len(c) != 1 || c[0].Type != "Ready" || c[0].Status != metav1.ConditionFalse || c[0].Reason != "NoRepository" {
		t.Errorf("conditions %v", c)
	}
	if !slices.Equal(r.events, []string{"BadRunQueue"}) {
		t.Errorf("events %v", r.events)
	}
	r.see(look(1))
	if r.round(t, time.Second); r.statuses[app].State != v1alpha1.StateRunning {
		t.Errorf("status %v", r.statuses[app])
	}
}

// TestIgnoredLimit: a limit beside a Repository, whose own counts, says so; without one it is the
// queue's.
func TestIgnoredLimit(t *testing.T) {
	for reason, byRunQueue := range map[string]bool{"LimitIgnored": false, "Usable": true} {
		r := newRig(app)
		rq := r.known[app]
		rq.Limit = 5
		r.known[app] = rq
		s := look(1)
		of := engine.Repository{Key: app, UID: "uid", Limit: s.Limit, ByRunQueue: byRunQueue}
		r.Looked(engine.Look{Repository: of, Snapshot: s, At: r.clock.Now()})
		r.round(t, time.Second)
		if c := r.statuses[app].Conditions; len(c) == 0 || c[0].Reason != reason {
			t.Errorf("conditions %v, want %s", c, reason)
		}
	}
}

// TestIgnoredRelease: a queue whose slots are to be kept for pods says so where nobody sees pods.
func TestIgnoredRelease(t *testing.T) {
	for reason, sees := range map[string]bool{"ReleaseIgnored": false, "Usable": true} {
		r := newRig(app)
		r.writer.SeesPods = sees
		s := look(1)
		s.Spec.Release = queue.ReleaseWhenPodsGone
		r.see(s)
		r.round(t, time.Second)
		if c := r.statuses[app].Conditions; len(c) == 0 || c[0].Reason != reason {
			t.Errorf("conditions %v, want %s", c, reason)
		}
	}
}

// TestTells: a pause and its end are told once, whichever replica writes them.
func TestTells(t *testing.T) {
	r := newRig(app)
	paused := look(1)
	paused.Spec.Paused = true
	for _, s := range []queue.Snapshot{look(1), paused, paused, look(1), look(2)} {
		r.see(s)
		r.round(t, time.Second)
	}
	if want := []string{"Paused", "Resumed"}; !slices.Equal(r.events, want) {
		t.Errorf("events %v, want %v", r.events, want)
	}
}

// TestConditionTimes: a condition that stays as it is keeps its time.
func TestConditionTimes(t *testing.T) {
	r := newRig(app)
	r.see(look(1))
	r.round(t, time.Second)
	r.see(look(2))
	r.round(t, time.Minute)
	for _, c := range r.statuses[app].Conditions {
		if !c.LastTransitionTime.Equal(at(time.Second)) {
			t.Errorf("%s has changed at %s", c.Type, c.LastTransitionTime)
		}
	}
}

// TestRefusedStatus: it is tried again after a while, and an API server without RunQueues is left
// alone by all queues.
func TestRefusedStatus(t *testing.T) {
	web := queue.Key{Namespace: "shop", Repository: "web"}
	for name, tc := range map[string]struct {
		refuse error
		// writes are those of two queues at once, and tried is when they are made again.
		writes int
		tried  time.Duration
	}{
		"refused":      {errors.New("no"), 2, 11 * time.Second},
		"no RunQueues": {fmt.Errorf("%w: 404", status.ErrNoRunQueues), 1, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(app, web)
			r.refuse = tc.refuse
			of := look(1)
			of.Key = web
			r.see(look(1))
			r.see(of)
			if n := r.round(t, time.Second); n != tc.writes {
				t.Errorf("%d writes at first", n)
			}
			if n := r.round(t, tc.tried-time.Second); n != 0 {
				t.Errorf("%d writes too soon", n)
			}
			r.refuse = nil
			if n := r.round(t, time.Second); n != 2 {
				t.Errorf("%d writes at last", n)
			}
		})
	}
}
