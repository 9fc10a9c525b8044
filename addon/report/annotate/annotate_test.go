package annotate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/annotate"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
)

var (
	noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	app  = queue.Key{Namespace: "shop", Repository: "app"}
)

// board keeps what is shown, and counts how often.
type board struct {
	mu     sync.Mutex
	texts  map[string]map[string]string // by run name
	writes int
	refuse map[string]error
	// after is called after each write with the number of writes; nil for nothing.
	after func(writes int)
	stubs map[string]bool // runs whose texts are not known
}

func (b *board) Shown(_ queue.Key, run queue.Run) (map[string]string, bool) {
	return b.texts[run.Name], !b.stubs[run.Name]
}

func (b *board) Show(_ context.Context, _ queue.Key, run queue.Run, texts map[string]string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	if err := b.refuse[run.Name]; err != nil {
		return err
	}
	is := maps.Clone(b.texts[run.Name])
	if is == nil {
		is = map[string]string{}
	}
	maps.Copy(is, texts)
	maps.DeleteFunc(is, func(_, text string) bool { return text == "" })
	b.texts[run.Name] = is
	if b.after != nil {
		b.after(b.writes)
	}
	return nil
}

// written is how often anything was shown so far.
func (b *board) written() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes
}

type rig struct {
	engine.Observers
	annotator *annotate.Annotator
	board
	clock     *clocktesting.FakeClock // nil by the time of a bubble
	now       func() time.Time
	pace      *pace.Pace
	events    []event.Event
	acts      bool
	positions int
}

func (r *rig) Record(e event.Event) { r.events = append(r.events, e) }

func newRig(positions int) *rig {
	clk := clocktesting.NewFakeClock(noon)
	r := newRigBy(clk, positions, 10_000)
	r.clock = clk
	return r
}

func newRigBy(clk clock.WithTicker, positions, perSecond int) *rig {
	r := &rig{
		board: board{texts: map[string]map[string]string{}, refuse: map[string]error{}},
		now:   clk.Now, pace: pace.New(clk, perSecond), acts: true, positions: positions,
	}
	acts := func(queue.Key) bool { return r.acts }
	looks := latest.New(acts)
	r.annotator = annotate.New(annotate.Config{
		Board: &r.board, Looks: looks, Events: r, Clock: clk, Acts: acts, Pace: r.pace,
		Policy:  func() queue.Policy { return queue.Policy{ClaimTTL: 30 * time.Second, OrderGrace: 30 * time.Second} },
		Refresh: func() annotate.Refresh { return annotate.Refresh{Interval: 10 * time.Second, Positions: r.positions} },
	})
	r.Observers = engine.Observers{looks, r.annotator}
	return r
}

// see has the replica look at the queue.
func (r *rig) see(s queue.Snapshot) {
	r.Looked(engine.Look{Snapshot: s, At: r.now()})
}

// round lets time pass and returns how much a round wrote.
func (r *rig) round(t *testing.T, pause time.Duration) int {
	t.Helper()
	before := r.writes
	r.clock.Step(pause)
	r.annotator.Round(t.Context())
	return r.writes - before
}

// look is a queue with limit 1 in which the first of so many runs is started.
func look(runs int) queue.Snapshot {
	s := queue.Snapshot{Key: app, Limit: 1, Freshness: queue.Confirmed}
	for i := range runs {
		name := fmt.Sprintf("run-%03d", i)
		s.Runs = append(s.Runs, &queue.Run{
			Name: name, UID: name, Created: noon.Add(time.Duration(i-runs) * time.Second),
			Order: &queue.Order{Held: true, Sequence: queue.NewSequence([]string{name})},
		})
	}
	s.Runs[0].Phase, s.Runs[0].Began = queue.Started, noon.Add(-time.Minute)
	s.Slots = []queue.Slot{{Version: "1", Holder: &queue.Holder{Name: "run-000", UID: "run-000"}, HeldSince: noon}}
	return s
}

func TestTexts(t *testing.T) {
	r := newRig(2)
	s := look(4)
	s.Runs = append(
		s.Runs,
		&queue.Run{Name: "past", UID: "past", Phase: queue.Done, Began: noon.Add(-10 * time.Minute), Ended: noon.Add(-6 * time.Minute)},
	)
	r.see(s)
	if n := r.round(t, 0); n != 3 {
		t.Errorf("%d writes, want one for each run that waits", n)
	}
	const inUse = "waiting for a slot: 1 of 1 in use by run-000 (since 11:59:00Z)"
	want := map[string]map[string]string{
		"run-001": {
			pac.Status: "queued", pac.QueuedAt: "2026-07-01T12:00:00Z", pac.Position: "1", pac.QueueLength: "3", pac.Reason: inUse,
			pac.EstimatedStart: "2026-07-01T12:03Z (the last 1 took 4m, by the median)",
		},
		"run-002": {
			pac.Status: "queued", pac.QueuedAt: "2026-07-01T12:00:00Z", pac.Position: "2", pac.QueueLength: "3", pac.Reason: inUse,
			pac.EstimatedStart: "2026-07-01T12:07Z (the last 1 took 4m, by the median)",
		},
		"run-003": {
			pac.Status: "queued", pac.QueuedAt: "2026-07-01T12:00:00Z", pac.Position: "more than 2",
			pac.Reason: "waiting for a slot, behind more than 2 others",
		},
	}
	if diff := cmp.Diff(want, r.texts); diff != "" {
		t.Error(diff)
	}
	if len(r.events) != 3 || r.events[0].Reason != event.ReasonQueued {
		t.Errorf("events %v, want that each was queued", r.events)
	}
}

// A run whose texts are not known would be written to again and again.
func TestStubsAreLeftAlone(t *testing.T) {
	const runs = 30
	r := newRig(20)
	r.stubs = map[string]bool{"run-002": true, "run-025": true}
	r.see(look(runs))
	if n := r.round(t, 0); n != runs-1-len(r.stubs) {
		t.Errorf("%d writes, want one for each waiting run but the stubs", n)
	}
}

// However often a queue is looked at, it is written to once per interval, and then
// only where something changed.
func TestBound(t *testing.T) {
	const runs, positions = 200, 20
	r := newRig(positions)
	s := look(runs)
	r.see(s)
	if n := r.round(t, 0); n != runs-1 {
		t.Errorf("%d writes at first, want %d: each waiting run is told once", n, runs-1)
	}
	for range 9 {
		r.see(s)
		if n := r.round(t, time.Second); n != 0 {
			t.Fatalf("%d writes within the interval", n)
		}
	}
	if n := r.round(t, time.Second); n != 0 {
		t.Errorf("%d writes though nothing changed", n)
	}
	// One moves up: the first positions have another text, and one more belongs to them.
	s.Runs = s.Runs[1:]
	started := *s.Runs[0]
	started.Phase, started.Began = queue.Started, noon
	s.Runs[0] = &started
	s.Slots = []queue.Slot{{Version: "2", Holder: &queue.Holder{Name: s.Runs[0].Name, UID: s.Runs[0].UID}, HeldSince: noon}}
	r.see(s)
	if n := r.round(t, 10*time.Second); n != positions {
		t.Errorf("%d writes after one start, want %d", n, positions)
	}
}

func TestRefusalIsTold(t *testing.T) {
	r := newRig(20)
	s := look(2)
	s.Limit = 2
	s.Slots = append(s.Slots, queue.Slot{Index: 1, Version: "1", Holder: &queue.Holder{Name: "run-001", UID: "run-001"}, HeldSince: noon})
	r.see(s)
	if n := r.round(t, 0); n != 0 {
		t.Errorf("%d writes to a run that is about to be started", n)
	}
	r.Wrote(
		engine.Write{
			Repository: engine.Repository{Key: app},
			Action:     queue.Start{Run: *s.Runs[1]},
			Err:        errors.New("admission webhook denied it: frozen"),
		},
	)
	r.round(t, 10*time.Second)
	got := r.texts["run-001"]
	if got[pac.Status] != "claimed" || !strings.Contains(got[pac.Reason], "after a failed start: admission webhook denied it: frozen") {
		t.Errorf("the run says %v, want why it is not started", got)
	}
}

func TestWhoWritesNothing(t *testing.T) {
	for name, prepare := range map[string]func(*rig){
		"not its queue":  func(r *rig) { r.see(look(3)); r.acts = false },
		"no such queue":  func(r *rig) { r.see(look(3)); r.Missing(app, nil) },
		"not listed":     func(r *rig) { r.see(look(3)); r.Listed(nil) },
		"from the cache": func(r *rig) { s := look(3); s.Freshness = queue.Cached; r.see(s) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(20)
			prepare(r)
			if n := r.round(t, time.Hour); n != 0 {
				t.Errorf("%d writes", n)
			}
		})
	}
}

// A run that has changed since is left to the next round, with those after it told.
func TestStaleRun(t *testing.T) {
	r := newRig(20)
	r.see(look(3))
	r.refuse["run-001"] = fmt.Errorf("%w: conflict", engine.ErrStale)
	if n := r.round(t, 0); n != 2 || r.texts["run-002"] == nil {
		t.Errorf("%d writes, texts %v", n, r.texts)
	}
	if len(r.events) != 1 {
		t.Errorf("events %v: want none of what was not written", r.events)
	}
}

// What the API server refuses of one run is no reason to tell the others nothing; any
// other error is, until the next round.
func TestErrors(t *testing.T) {
	runs := schema.GroupResource{Resource: "pipelineruns"}
	for name, c := range map[string]struct {
		err    error
		writes int
	}{
		"refused": {apierrors.NewForbidden(runs, "run-001", errors.New("frozen")), 2},
		"invalid": {apierrors.NewInvalid(schema.GroupKind{}, "run-001", nil), 2},
		"down":    {apierrors.NewInternalError(errors.New("etcd")), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(20)
			r.see(look(3))
			r.refuse["run-001"] = fmt.Errorf("patch: %w", c.err)
			if n := r.round(t, 0); n != c.writes {
				t.Errorf("%d writes, want %d", n, c.writes)
			}
			delete(r.refuse, "run-001")
			if n := r.round(t, 9*time.Second); n != 0 {
				t.Errorf("%d writes within the interval", n)
			}
			r.round(t, time.Second)
			if r.texts["run-001"] == nil || r.texts["run-002"] == nil {
				t.Errorf("nothing has changed since, and the runs say %v", r.texts)
			}
		})
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	r := newRig(3)
	r.see(look(20))
	for i := range 20 {
		r.refuse[fmt.Sprintf("run-%03d", i)] = apierrors.NewForbidden(schema.GroupResource{}, "", nil)
	}
	if n := r.round(t, 0); n != 4 {
		t.Errorf("%d writes that are refused", n)
	}
}

// A run whose turn was put off says so, and not what it said before.
func TestTurnPutOff(t *testing.T) {
	lowered := func(s *queue.Snapshot) {
		s.Slots = append(
			s.Slots,
			queue.Slot{Index: 1, Version: "1", Holder: &queue.Holder{Name: "run-001", UID: "run-001"}, HeldSince: noon},
		)
	}
	for name, c := range map[string]struct {
		change         func(*queue.Snapshot)
		status, reason string
	}{
		"limit lowered": {lowered, "claimed", "has slot 1, but other runs take up the limit of 1: waiting for them to end"},
		"hand-back": {
			func(s *queue.Snapshot) { s.HandBack = true }, "queued",
			"returns to Pipelines-as-Code once the started runs are done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(20)
			r.see(look(2))
			r.round(t, 0)
			s := look(2)
			s.Runs[0].Claim = &queue.Token{}
			c.change(&s)
			r.see(s)
			r.round(t, 10*time.Second)
			want := map[string]string{pac.Status: c.status, pac.Reason: c.reason, pac.QueuedAt: "2026-07-01T12:00:00Z"}
			if diff := cmp.Diff(want, r.texts["run-001"]); diff != "" {
				t.Error(diff)
			}
		})
	}
	r := newRig(20)
	s := look(2)
	s.HandBack, s.Runs[1].Order = true, &queue.Order{Sequence: s.Runs[1].Sequence()}
	r.see(s)
	if n := r.round(t, 0); n != 0 {
		t.Errorf("%d writes to a run that PAC has back", n)
	}
}

func TestSwitchedOff(t *testing.T) {
	r := newRig(0)
	r.see(look(3))
	if n := r.round(t, time.Hour); n != 0 {
		t.Errorf("%d writes", n)
	}
}

// TestRefusedFront: runs at the front that refuse their texts keep none behind them from its own.
// They are not tried again in the same round, but in the next one.
func TestRefusedFront(t *testing.T) {
	r := newRig(20)
	const refused = 12 // more than a turn
	for i := 1; i <= refused; i++ {
		r.refuse[fmt.Sprintf("run-%03d", i)] = apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no"))
	}
	r.see(look(40))
	if n := r.round(t, 0); n != 39 || len(r.texts) != 39-refused {
		t.Errorf("%d writes, and %d runs are told; want one for each of 39, of which %d refuse", n, len(r.texts), refused)
	}
	if n := r.round(t, time.Minute); n != refused {
		t.Errorf("%d writes in the next round, want those of the %d that refused", n, refused)
	}
}
