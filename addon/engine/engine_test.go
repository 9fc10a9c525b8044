package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
)

// TestClaimAndStart: in one pass a run gets a slot and starts; two writes, and no
// read past the caches unless a slot has to come into being.
func TestClaimAndStart(t *testing.T) {
	for name, tc := range map[string]struct {
		limit     queue.Limit
		runs      []queue.Run
		slots     []queue.Slot
		want      []string
		wantSlots map[int]string
	}{
		"a free slot": {
			1, pending("a", "b"),
			[]queue.Slot{slot(0, "")},
			[]string{"claim 0 for a", "start a with 0/5/0"},
			map[int]string{0: "a"},
		},
		"a slot of a done run": {
			1, append(in(queue.Done, pending("z")), pending("a")...),
			[]queue.Slot{slot(0, "z")},
			[]string{"claim 0 for a", "start a with 0/5/0"},
			map[int]string{0: "a"},
		},
		"a new slot": {
			1, pending("a"), nil,
			[]string{"get Repository", "list slots", "list runs", "claim 0 for a", "start a with 0/1/0"},
			map[int]string{0: "a"},
		},
		"several, one fresh look for all of them": {
			3, pending("a", "b", "c", "d"),
			[]queue.Slot{slot(0, "")},
			[]string{
				"get Repository", "list slots", "list runs",
				"claim 0 for a", "start a with 0/5/0", "claim 1 for b", "start b with 1/1/0", "claim 2 for c", "start c with 2/1/0",
			},
			map[int]string{0: "a", 1: "b", 2: "c"},
		},
		"a claim whose replica did not get to start it": {
			1, pending("a"),
			[]queue.Slot{slot(0, "a")},
			[]string{"start a with 0/4/0"},
			map[int]string{0: "a"},
		},
		"a run that was started without a slot": {
			1, in(queue.Started, pending("a")),
			[]queue.Slot{slot(0, "")},
			[]string{"claim 0 for a"},
			map[int]string{0: "a"},
		},
		"nothing waits": {
			1, in(queue.Done, pending("a")),
			[]queue.Slot{slot(0, "a")},
			[]string{"release 0"},
			map[int]string{0: ""},
		},
		"the limit was lowered": {
			1, nil,
			[]queue.Slot{slot(0, ""), slot(1, "")},
			[]string{"remove 1"},
			map[int]string{0: ""},
		},
		"the limit was removed": {
			queue.Unlimited, pending("a", "b"),
			[]queue.Slot{slot(0, "")},
			[]string{"get Repository", "list slots", "list runs", "start a with -1/0/0", "start b with -1/0/0", "remove 0"},
			map[int]string{},
		},
		"nothing to do": {
			1, in(queue.Started, pending("a")),
			[]queue.Slot{slot(0, "a")},
			nil,
			map[int]string{0: "a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, tc.limit, tc.runs, tc.slots...)
			r := c.replica()
			r.mustPass(tc.want...)
			c.wantSlots(tc.wantSlots)
			r.thaw()
			r.mustPass() // and then there is nothing left to do
		})
	}
}

// TestLostClaim: after a claim of unknown fate the run is not started on a
// guess; the next look tells.
func TestLostClaim(t *testing.T) {
	for name, tc := range map[string]struct {
		slots []queue.Slot
		fate  func(func() error) error
		want  []string // of the next pass
	}{
		"committed":             {[]queue.Slot{slot(0, "")}, committed, []string{"start a with 0/5/0"}},
		"not committed":         {[]queue.Slot{slot(0, "")}, lost, []string{"claim 0 for a", "start a with 0/5/0"}},
		"committed, a new slot": {nil, committed, []string{"start a with 0/1/0"}},
		"not committed, a new slot": {
			nil, lost, []string{"get Repository", "list slots", "list runs", "claim 0 for a", "start a with 0/1/0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, pending("a", "b"), tc.slots...)
			r := c.replica()
			c.intercepted["claim 0 for a"] = tc.fate
			_, err := r.pass()
			wantUnknown(t, err, "slot 0 for a")
			if calls := c.happened(); calls[len(calls)-1] != "claim 0 for a: "+errUnknown.Error() {
				t.Errorf("went on after a claim of unknown fate: %q", calls)
			}
			c.wantStarted()
			r.mustPass(tc.want...)
			c.wantStarted("a")
			r.mustPass()
		})
	}
}

// TestFailedClaim: those behind a run that could not be claimed do not overtake it.
func TestFailedClaim(t *testing.T) {
	for name, fate := range map[string]func(func() error) error{"committed": committed, "not committed": lost} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2, pending("a", "b"), slot(0, ""), slot(1, ""))
			c.intercepted["claim 0 for a"] = fate
			_, err := c.replica().pass()
			wantUnknown(t, err, "slot 0 for a")
			c.want("claim 0 for a: " + errUnknown.Error())
		})
	}
}

// TestCancel: what a newer run supersedes ends before anything else happens, and
// its slot is handed over once it is over. A lost reply costs a second look.
func TestCancel(t *testing.T) {
	runs := pending("a", "b", "c")
	for i := range runs {
		runs[i].Origin = queue.Origin{Definition: "build", Trigger: queue.PushTrigger, Branch: "main"}
	}
	runs[0].Phase = queue.Started
	runs[0].Created, runs[1].Created, runs[2].Created = noon.Add(-3*time.Second), noon.Add(-2*time.Second), noon.Add(-time.Second)
	runs[2].Origin.CancelInProgress = queue.Yes
	c := newCluster(t, 1, runs, slot(0, "a"))
	r := c.replica()
	c.intercepted["cancel b"] = committed
	_, err := r.pass()
	wantUnknown(t, err, "cancel b")
	c.want("cancel a", "cancel b: "+errUnknown.Error())
	r.wantEvents("Normal Superseded a")
	r.mustPass()
	c.finish("a")
	r.mustPass("claim 0 for c", "start c with 0/5/0")
}

// atOnce are runs of one second, of which the last came first.
func atOnce(names ...string) []queue.Run {
	runs := pending(names...)
	for i := range runs {
		runs[i].Created, runs[i].Seen = noon.Add(-time.Minute), queue.Arrival{Version: uint64(200 - i)}
	}
	return runs
}

// TestStamps: which of the events of one second came first is written down before one of their runs
// gets a slot, whatever becomes of the requests.
func TestStamps(t *testing.T) {
	c := newCluster(t, 1, atOnce("a", "b", "c"), slot(0, ""))
	r := c.replica()
	c.intercepted["stamp b with 199"] = committed
	c.intercepted["stamp a with 200"] = lost
	_, err := r.pass()
	wantUnknown(t, err, "stamp b")
	c.want("stamp c with 198", "stamp b with 199: "+errUnknown.Error(), "stamp a with 200: "+errUnknown.Error())
	r.mustPass("stamp a with 200")
	r.mustPass("claim 0 for c", "start c with 0/5/0")
	c.finish("c")
	// A replica that has not seen them come goes by the stamps.
	another := c.replica()
	another.mustPass("claim 0 for b", "start b with 0/6/0")
	if event := c.slots[0].Holder.Event; event.Arrived != (queue.Arrival{Version: 199}) {
		t.Errorf("the slot remembers %v, not when the event came", event)
	}
}

// TestStaleStamp: the first stamp counts.
func TestStaleStamp(t *testing.T) {
	c := newCluster(t, 1, atOnce("a", "b"), slot(0, ""))
	r := c.replica()
	r.freeze()
	c.change("b", func(r *queue.Run) { r.Arrived = queue.Arrival{Version: 201, AtMost: true} })
	_, err := r.pass()
	wantStale(t, err)
	c.want("stamp b with 199: stale")
	r.thaw()
	r.mustPass("stamp a with 200")
	r.mustPass("claim 0 for a", "start a with 0/5/0")
}

// TestUnwrittenStamp: a stamp that cannot be written holds up no more than the events of its second
// and those after it, and those not for ever.
func TestUnwrittenStamp(t *testing.T) {
	c := newCluster(t, 1, append(atOnce("a", "b"), pending("z")[0]), slot(0, ""))
	c.change("z", func(r *queue.Run) { r.Created = noon.Add(-2 * time.Minute) })
	r := c.replica()
	refuse := func() { c.intercepted["stamp b with 199"] = lost }
	refuse()
	_, err := r.pass()
	wantUnknown(t, err, "stamp b")
	c.want("claim 0 for z", "start z with 0/5/0", "stamp b with 199: "+errUnknown.Error(), "stamp a with 200")
	c.finish("z")
	for range 4 {
		refuse()
		r.wait(policy.ClaimTTL / 4)
		_, err := r.pass()
		wantUnknown(t, err, "stamp b")
		if got := c.happened(); len(got) > 2 { // and the slot is emptied
			t.Errorf("calls %q, want none but the stamp and the release", got)
		}
	}
	// From now on the replica goes by what it has seen.
	r.mustPass("claim 0 for b", "start b with 0/6/0")
}

// TestStaleUnlimited: what starts everything must not rest on a cached limit.
func TestStaleUnlimited(t *testing.T) {
	c := newCluster(t, queue.Unlimited, pending("a", "b"))
	c.intercepted["get Repository"] = func(commit func() error) error {
		c.queue.Limit = 1
		return commit()
	}
	c.replica().mustPass("get Repository", "list slots", "list runs", "claim 0 for a", "start a with 0/1/0")
	c.wantStarted("a")
}

// TestHandBack: claims are dropped, what runs is waited for, and then PAC has it
// all. A lost reply costs a second look.
func TestHandBack(t *testing.T) {
	runs := pending("a", "b", "c")
	runs[0].Phase, runs[0].Claim = queue.Started, &queue.Token{}
	c := newCluster(t, 2, runs, slot(0, "a"), slot(1, "b"))
	c.handBack = true
	r := c.replica()
	r.mustPass("remove 1")
	r.mustPass()
	c.finish("a")
	c.intercepted["hand back b"] = committed
	_, err := r.pass()
	wantUnknown(t, err, "hand back b")
	c.want("hand back b: "+errUnknown.Error(), "hand back c", "remove 0")
	r.mustPass()
	c.wantStarted()
}

// TestHandBackOrphaned: no Repository is needed to give a run back.
func TestHandBackOrphaned(t *testing.T) {
	runs := pending("a")
	c := newCluster(t, 1, runs)
	c.handBack, c.missing = true, true
	c.replica().mustPass("hand back a")
}

// TestRetire: what a backend that is not in force still has is removed, and a
// claim that is lost with it is made again.
func TestRetire(t *testing.T) {
	c := newCluster(t, 1, pending("a"), slot(0, "a"))
	r := c.replica()
	other := memory.New()
	r.Stores = func() []engine.Store { return []engine.Store{other, store{r}} }
	r.mustPass("remove 0", "get Repository", "list runs", "start a with 0/1/0")
	r.Stores = func() []engine.Store { return []engine.Store{store{r}, other} }
	r.mustPass("get Repository", "list slots", "list runs", "claim 0 for a")
	if left, _ := other.List(t.Context(), app, queue.Cached); len(left) > 0 {
		t.Errorf("in memory there is still %+v", left)
	}
	c.wantStarted("a")
}

// counted counts how often a Repository is read.
type counted struct {
	engine.Repositories
	reads *int
}

func (c counted) Get(ctx context.Context, key queue.Key, f queue.Freshness) (engine.Repository, bool, error) {
	*c.reads++
	return c.Repositories.Get(ctx, key, f)
}

// TestOverdueDecidesOnce (case T4): while nothing changes, recovery costs nothing.
func TestOverdueDecidesOnce(t *testing.T) {
	c := newCluster(t, 1, pending("a", "b"), slot(0, ""))
	r := c.replica()
	reads := 0
	r.Repositories = counted{r.Repositories, &reads}
	due := func(wantReads int, want ...string) {
		t.Helper()
		actions, _, err := r.Overdue(t.Context(), app)
		var got []string
		for _, a := range actions {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("error %v, due (-want +got):\n%s", err, diff)
		}
		if reads != wantReads {
			t.Errorf("decided %d times, want %d", reads, wantReads)
		}
	}
	due(1, "claim slot 0 for a")
	due(1, "claim slot 0 for a")
	r.wait(time.Hour)
	due(1, "claim slot 0 for a")
	r.mustPass("claim 0 for a", "start a with 0/5/0") // decides, too
	due(3)
	due(3)
	c.finish("a")
	due(3)
	r.Changed(app)
	due(4, "claim slot 0 for b")

	// What only time changes.
	c.change("b", func(run *queue.Run) { run.NotBefore = r.clock.Now().Add(5 * time.Second) })
	r.Changed(app)
	due(5, "release slot 0")
	r.wait(5*time.Second - time.Nanosecond)
	due(5, "release slot 0")
	r.wait(time.Nanosecond)
	due(6, "claim slot 0 for b")

	r.Repositories = repositories{c}
	c.unreadable = errUnknown
	r.Changed(app)
	if _, _, err := r.Overdue(t.Context(), app); !errors.Is(err, errUnknown) {
		t.Errorf("error %v, want %v", err, errUnknown)
	}
	c.unreadable = nil
	r.Repositories = counted{r.Repositories, &reads}
	due(7, "claim slot 0 for b")
}

// during calls a function while a Repository is read, once.
type during struct {
	engine.Repositories
	do *func()
}

func (d during) Get(ctx context.Context, key queue.Key, f queue.Freshness) (engine.Repository, bool, error) {
	if do := *d.do; do != nil {
		*d.do = nil
		do()
	}
	return d.Repositories.Get(ctx, key, f)
}

// TestOverdueMeanwhile: a call that comes while another one decides does not take the queue for one
// that waits for nothing.
func TestOverdueMeanwhile(t *testing.T) {
	r := newCluster(t, 1, pending("a"), slot(0, "")).replica()
	var meanwhile []queue.Action
	do := func() {
		var err error
		if meanwhile, _, err = r.Overdue(t.Context(), app); err != nil {
			t.Error(err)
		}
	}
	r.Repositories = during{r.Repositories, &do}
	first, _, err := r.Overdue(t.Context(), app)
	if err != nil || len(first) != 1 || len(meanwhile) != 1 {
		t.Errorf("due %v, and meanwhile %v, error %v; want one step each time", first, meanwhile, err)
	}
}

// TestUnreported (case P11): an operator hears of a run that PAC does not report, although nothing
// else happens in its queue.
func TestUnreported(t *testing.T) {
	c := newCluster(t, 1, pending("a"), slot(0, ""))
	c.change("a", func(run *queue.Run) { run.Phase, run.Ended = queue.Done, noon })
	r := c.replica()
	next, err := r.pass()
	if want := noon.Add(6 * time.Minute); err != nil || !next.Equal(want) {
		t.Errorf("looks again at %s, error %v, want at %s", next, err, want)
	}
	r.wantEvents()
	r.clock.SetTime(next)
	if next, err := r.pass(); err != nil || !next.IsZero() {
		t.Errorf("looks again at %s, error %v, want never", next, err)
	}
	r.wantEvents("Warning Unreported a")
	c.want()
}

// TestBlockedClaim: an operator has to hear of what no further look can mend.
func TestBlockedClaim(t *testing.T) {
	c := newCluster(t, 2, pending("a", "b"))
	c.intercepted["claim 0 for a"] = func(func() error) error { return engine.ErrBlocked }
	r := c.replica()
	_, err := r.pass()
	if !errors.Is(err, engine.ErrBlocked) || errors.Is(err, engine.ErrStale) {
		t.Errorf("error %v, want ErrBlocked", err)
	}
	c.want("get Repository", "list slots", "list runs", "claim 0 for a: "+engine.ErrBlocked.Error())
	r.wantEvents("Warning SlotBlocked app")
}

// TestBlockedSlot (case T6): something else in the place of a slot costs that slot, not the queue.
func TestBlockedSlot(t *testing.T) {
	c := newCluster(t, 3, pending("a", "b", "c"))
	blocked := func(func() error) error { return engine.ErrBlocked }
	c.intercepted["claim 0 for a"] = blocked
	r := c.replica()
	if _, err := r.pass(); !errors.Is(err, engine.ErrBlocked) {
		t.Fatalf("error %v, want ErrBlocked", err)
	}
	c.happened()
	r.mustPass("get Repository", "list slots", "list runs",
		"claim 1 for a", "start a with 1/1/0", "claim 2 for b", "start b with 2/1/0")
	c.wantStarted("a", "b")

	r.wait(policy.ClaimTTL - time.Second)
	next, err := r.pass()
	if want := noon.Add(policy.ClaimTTL); err != nil || !next.Equal(want) {
		t.Errorf("looks again at %s, error %v, want at %s, when the slot is tried again", next, err, want)
	}
	c.want()
	r.wait(time.Second)
	c.intercepted["claim 0 for c"] = blocked
	if _, err := r.pass(); !errors.Is(err, engine.ErrBlocked) {
		t.Errorf("error %v, want ErrBlocked again", err)
	}
	c.happened()
	r.mustPass()
	r.wait(policy.ClaimTTL)
	r.mustPass("get Repository", "list slots", "list runs", "claim 0 for c", "start c with 0/1/0")
	c.wantStarted("a", "b", "c")

	c.queue.Limit = queue.Unlimited
	c.finish("a", "b", "c")
	r.mustPass("remove 0", "remove 1", "remove 2")
}

// TestGhosts (case T3): a thousand slots that name runs which do not exist take many short passes,
// not one long one, and nothing is learnt twice.
func TestGhosts(t *testing.T) {
	const ghosts = 100
	var slots []queue.Slot
	for i := range ghosts {
		slots = append(slots, slot(i+1, fmt.Sprintf("ghost-%03d", i)))
	}
	c := newCluster(t, 1, pending("a"), slots...)
	r := c.replica()
	reads, passes := 0, 0
	for len(c.slots) > 1 || len(c.started()) == 0 {
		if passes++; passes > ghosts {
			t.Fatalf("after %d passes: %d slots, %v started", passes, len(c.slots), c.started())
		}
		next, err := r.pass()
		if err != nil {
			t.Fatal(err)
		}
		if len(c.slots) > 1 && !next.Equal(noon) {
			t.Fatalf("pass %d looks again at %s although %d slots are left", passes, next, len(c.slots))
		}
		calls := c.happened()
		inPass := len(slices.DeleteFunc(slices.Clone(calls), func(call string) bool { return !strings.HasPrefix(call, "get ghost") }))
		if reads += inPass; inPass > 16*2 || len(calls)-inPass > 32+5 {
			t.Fatalf("pass %d made %d reads and %d other calls", passes, inPass, len(calls)-inPass)
		}
	}
	if reads > ghosts {
		t.Errorf("%d reads of %d ghosts", reads, ghosts)
	}
}

// TestUnreadHolders: as long as a holder may run, it counts, and it is read again like any run that
// no list shows.
func TestUnreadHolders(t *testing.T) {
	var slots []queue.Slot
	runs := pending("a")
	for i := range 20 {
		name := fmt.Sprintf("unlisted-%02d", i)
		runs, slots = append(runs, in(queue.Started, pending(name))...), append(slots, slot(i, name))
	}
	c := newCluster(t, 20, runs, slots...)
	for i := range 20 {
		c.finished[fmt.Sprintf("unlisted-%02d", i)] = true
	}
	r := c.replica()
	next, err := r.pass()
	if want := noon.Add(time.Second); err != nil || !next.Equal(want) {
		t.Errorf("looks again at %s, error %v, want %s", next, err, want)
	}
	if calls := c.happened(); len(calls) != 16 {
		t.Errorf("calls %v, want 16 reads", calls)
	}
	// Those that run do not keep the one that is over from being read.
	c.finish("unlisted-19")
	for range 2 {
		if _, err := r.pass(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[int]string{19: "a"}
	for i := range 19 {
		want[i] = fmt.Sprintf("unlisted-%02d", i)
	}
	c.wantSlots(want)
}

// TestEndSeen: of a hand-over whose end a watch has shown, nothing is read: two writes are all.
func TestEndSeen(t *testing.T) {
	c := newCluster(t, 1, append(in(queue.Started, pending("a")), pending("b")...), slot(0, "a"))
	r := c.replica()
	r.mustPass()
	c.finished["a"] = true // PAC marks it as finished, and Tekton has yet to end it
	r.mustPass("get a")
	c.finish("a")
	c.over = map[string]time.Time{c.runs["a"].UID: noon}
	r.mustPass("claim 0 for b", "start b with 0/5/0")
}

// TestPodsOfAnEnd: pods that outlast their run are due since its end, however that was learnt, and
// however often it is looked at.
func TestPodsOfAnEnd(t *testing.T) {
	for name, seen := range map[string]bool{"a read shows it": false, "a watch has shown it": true} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, append(in(queue.Started, pending("a")), pending("b")...), slot(0, "a"))
			c.release = queue.ReleaseWhenPodsGone
			c.change("a", func(r *queue.Run) { r.Phase, r.Ended = queue.Done, noon })
			c.finished["a"] = true // PAC marks it as finished: no list shows it
			if seen {
				c.over = map[string]time.Time{c.runs["a"].UID: noon}
			}
			var due []time.Time
			var last *queue.Pods
			c.pods = func(queue.Holder) *queue.Pods {
				if last != nil {
					due = append(due, last.Due)
				}
				last = &queue.Pods{Number: 1}
				return last
			}
			r := c.replica()
			for range 3 {
				r.wait(time.Minute)
				if _, err := r.pass(); err != nil {
					t.Fatal(err)
				}
			}
			if due = append(due, last.Due); len(due) != 3 || slices.ContainsFunc(due, func(at time.Time) bool { return !at.Equal(noon) }) {
				t.Errorf("due since %v, want three times since the end", due)
			}
		})
	}
}

// TestRelease: what a queue says of its slots counts before what the installation says of all.
func TestRelease(t *testing.T) {
	for name, tc := range map[string]struct {
		all, one queue.ReleaseWhen
		kept     bool
	}{
		"all keep slots for pods":             {all: queue.ReleaseWhenPodsGone, kept: true},
		"all but this one":                    {all: queue.ReleaseWhenPodsGone, one: queue.ReleaseWhenDone},
		"none keeps slots for pods":           {all: queue.ReleaseWhenDone},
		"none but this one":                   {all: queue.ReleaseWhenDone, one: queue.ReleaseWhenPodsGone, kept: true},
		"none but this one, and nothing said": {one: queue.ReleaseWhenPodsGone, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, append(in(queue.Done, pending("a")), pending("b")...), slot(0, "a"))
			c.release, c.queue.Spec.Release = tc.all, tc.one
			c.pods = func(queue.Holder) *queue.Pods { return &queue.Pods{Number: 1} }
			if _, err := c.replica().pass(); err != nil {
				t.Fatal(err)
			}
			if kept := c.slots[0].Holder.Name == "a"; kept != tc.kept {
				t.Errorf("the slot is kept for pods: %t, want %t", kept, tc.kept)
			}
		})
	}
}

// TestLostClaimUnseen: a cache that does not show the lost claim leads to a
// refused write, not to a second slot.
func TestLostClaimUnseen(t *testing.T) {
	for name, slots := range map[string][]queue.Slot{"a free slot": {slot(0, ""), slot(1, "")}, "new slots": nil} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2, pending("a"), slots...)
			r := c.replica()
			r.freeze()
			c.intercepted["claim 0 for a"] = committed
			_, err := r.pass()
			wantUnknown(t, err, "slot 0 for a")
			c.happened()
			if slots == nil { // the look behind a creation is fresh
				r.mustPass("get Repository", "list slots", "list runs", "start a with 0/1/0")
				return
			}
			_, err = r.pass()
			wantStale(t, err)
			c.want("claim 0 for a: stale")
			r.thaw()
			r.mustPass("start a with 0/5/0")
		})
	}
}

// TestLostStart: a start of unknown fate costs the run its slot in no case.
func TestLostStart(t *testing.T) {
	t.Run("committed", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, ""))
		r := c.replica()
		c.intercepted["start a with 0/5/0"] = committed
		_, err := r.pass()
		wantUnknown(t, err, "start a")
		c.wantStarted("a")
		c.happened()
		r.mustPass()
		c.wantSlots(map[int]string{0: "a"})
	})
	t.Run("committed, and the cache does not show it", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, "a"))
		r := c.replica()
		r.freeze()
		c.intercepted["start a with 0/4/0"] = committed
		_, err := r.pass()
		wantUnknown(t, err, "start a")
		c.happened()
		_, err = r.pass()
		wantStale(t, err)
		c.want("start a with 0/4/0: stale")
		c.wantStarted("a")
	})
	t.Run("not committed", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, ""))
		r := c.replica()
		c.intercepted["start a with 0/5/0"] = lost
		_, err := r.pass()
		wantUnknown(t, err, "start a")
		c.happened()
		r.mustPass("start a with 0/5/0")
	})
	t.Run("committed long after the client gave up", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, ""))
		r := c.replica()
		var late func() error
		c.intercepted["start a with 0/5/0"] = func(commit func() error) error { late = commit; return errUnknown }
		_, err := r.pass()
		wantUnknown(t, err, "start a")
		// It keeps failing, the claim expires, the slot goes to b.
		c.intercepted["start a with 0/5/0"] = lost
		_, err = r.pass()
		wantUnknown(t, err, "start a")
		r.wait(policy.ClaimTTL)
		c.happened()
		r.mustPass("fence a at 1 until 12:00:25")
		if r.mustPass("claim 0 for b", "start b with 0/6/0"); late() == nil {
			t.Error("the late start was not refused")
		}
		c.wantStarted("b")
	})
}

// TestLostFence: no slot is freed on the word of a fence whose fate is unknown.
func TestLostFence(t *testing.T) {
	for name, tc := range map[string]struct {
		fate func(func() error) error
		want []string // of the next pass
	}{
		"committed":     {committed, []string{"claim 0 for b", "start b with 0/5/0"}},
		"not committed": {lost, []string{"fence a at 1 until 12:00:25"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, pending("a", "b"), slot(0, "a"))
			r := c.replica()
			c.intercepted["start a with 0/4/0"] = lost
			_, err := r.pass()
			wantUnknown(t, err, "start a")
			r.wait(policy.ClaimTTL)
			c.intercepted["fence a at 1 until 12:00:25"] = tc.fate
			_, err = r.pass()
			wantUnknown(t, err, "expire the claim of a on slot 0")
			c.wantSlots(map[int]string{0: "a"})
			c.happened()
			r.mustPass(tc.want...)
		})
	}
}

// TestLostReleaseAndRemove: repeating them is harmless.
func TestLostReleaseAndRemove(t *testing.T) {
	for name, tc := range map[string]struct {
		limit queue.Limit
		call  string
		what  string
	}{
		"release": {2, "release 1", "release slot 1"},
		"remove":  {1, "remove 1", "remove slot 1"},
	} {
		for fate, intercept := range map[string]func(func() error) error{"committed": committed, "not committed": lost} {
			t.Run(name+"/"+fate, func(t *testing.T) {
				c := newCluster(t, tc.limit, in(queue.Done, pending("a")), slot(1, "a"))
				r := c.replica()
				r.freeze()
				c.intercepted[tc.call] = intercept
				_, err := r.pass()
				wantUnknown(t, err, tc.what)
				_, err = r.pass() // on the old look
				if fate == "committed" && name == "release" {
					wantStale(t, err)
				} else if err != nil {
					t.Error(err)
				}
				r.thaw()
				c.happened()
				r.mustPass()
			})
		}
	}
}

// TestStale: the first observation that proves stale ends the pass, because
// what follows rests on the same look.
func TestStale(t *testing.T) {
	for name, tc := range map[string]struct {
		limit   queue.Limit
		runs    []queue.Run
		slots   []queue.Slot
		meddle  func(*cluster) // after the caches froze
		want    []string
		wantErr string
	}{
		"claim": {
			2, pending("a", "b"),
			[]queue.Slot{slot(0, ""), slot(1, "")},
			func(c *cluster) { c.setSlot(slot(0, "x")) },
			[]string{"claim 0 for a: stale"},
			"claim failed: claim slot 0 for a",
		},
		"start of a claimed run": {
			2, pending("a", "b"),
			[]queue.Slot{slot(0, "a"), slot(1, "")},
			func(c *cluster) { c.change("a", func(*queue.Run) {}) },
			[]string{"start a with 0/4/0: stale"},
			"start a",
		},
		"start of a run that was just claimed": {
			2, pending("a", "b"),
			[]queue.Slot{slot(0, ""), slot(1, "")},
			func(c *cluster) { c.change("a", func(r *queue.Run) { r.Phase = queue.Done }) },
			[]string{"claim 0 for a", "start a with 0/5/0: stale"},
			"start a",
		},
		"start of a run that was deleted": {
			1, pending("a"),
			[]queue.Slot{slot(0, "a")},
			func(c *cluster) { delete(c.runs, "a") },
			[]string{"start a with 0/4/0: stale"},
			"start a",
		},
		"start of a run that was deleted and made anew": {
			1, pending("a"),
			[]queue.Slot{slot(0, "a")},
			func(c *cluster) { c.change("a", func(r *queue.Run) { r.UID = "second" }) },
			[]string{"start a with 0/4/0: stale"},
			"start a",
		},
		"release": {
			2, in(queue.Done, pending("a", "b")),
			[]queue.Slot{slot(0, "a"), slot(1, "b")},
			func(c *cluster) { c.setSlot(slot(0, "")) },
			[]string{"release 0: stale"},
			"release slot 0",
		},
		"remove": {
			1, nil,
			[]queue.Slot{slot(1, ""), slot(2, "")},
			func(c *cluster) { c.setSlot(slot(1, "x")) },
			[]string{"remove 1: stale"},
			"remove slot 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, tc.limit, tc.runs, tc.slots...)
			r := c.replica()
			r.freeze()
			tc.meddle(c)
			_, err := r.pass()
			wantStale(t, err)
			if err != nil && !strings.HasPrefix(err.Error(), tc.wantErr) {
				t.Errorf("error %q, want it to begin with %q", err, tc.wantErr)
			}
			c.want(tc.want...)
		})
	}
}

// TestRefusedStart: one run that may not be started does not hold up the others,
// and does not keep its slot for ever.
func TestRefusedStart(t *testing.T) {
	c := newCluster(t, 2, pending("a", "b", "c"), slot(0, "a"), slot(1, ""))
	r := c.replica()
	refuse := func(calls ...string) {
		for _, call := range calls {
			c.intercepted[call] = lost
		}
	}
	refuse("start a with 0/4/0")
	next, err := r.pass()
	wantUnknown(t, err, "start a")
	c.want("start a with 0/4/0: "+errUnknown.Error(), "claim 1 for b", "start b with 1/5/0")
	if want := noon.Add(policy.ClaimTTL); !next.Equal(want) {
		t.Errorf("next look at %s, want %s, when the claim expires", next, want)
	}
	r.wantEvents("Normal SlotAcquired b", "Normal Started b")

	r.wait(policy.ClaimTTL - 1)
	refuse("start a with 0/4/0")
	_, err = r.pass()
	wantUnknown(t, err, "start a")
	c.happened()

	r.wait(1)
	r.mustPass("fence a at 1 until 12:00:25")
	if why := r.events[0].Message; !strings.Contains(why, errUnknown.Error()) {
		t.Errorf("the event says %q, not why the start failed", why)
	}
	r.wantEvents("Warning ClaimExpired a")
	r.mustPass("claim 0 for c", "start c with 0/5/0")
	c.wantStarted("b", "c")

	// Its back-off over, it gets the next slot.
	r.wait(policy.BackoffBase)
	c.finish("b")
	r.mustPass("claim 1 for a", "start a with 1/6/1")
}

// TestOwnClock: how long a slot has been held is for this engine to measure; it
// begins when it first sees the holder.
func TestOwnClock(t *testing.T) {
	refused := func(c *cluster) { c.intercepted["start a with 0/4/0"] = lost }

	t.Run("another engine begins anew", func(t *testing.T) {
		c := newCluster(t, 1, pending("a"), slot(0, "a"))
		first, second := c.replica(), c.replica()
		refused(c)
		_, _ = first.pass()
		first.wait(policy.ClaimTTL)
		second.wait(policy.ClaimTTL)
		refused(c)
		_, _ = second.pass() // sees the claim for the first time
		c.happened()
		first.mustPass("fence a at 1 until 12:00:25")
	})
	t.Run("clocks do not have to agree", func(t *testing.T) {
		s := slot(0, "a")
		s.HeldSince = noon.Add(-time.Hour) // whatever a store says
		c := newCluster(t, 1, pending("a"), s)
		r := c.replica()
		r.wait(-50 * time.Second) // behind the creation of the run, nearly
		refused(c)
		_, _ = r.pass()
		c.want("start a with 0/4/0: " + errUnknown.Error())
	})
	t.Run("a look for the recovery loop counts", func(t *testing.T) {
		c := newCluster(t, 1, pending("a"), slot(0, "a"))
		r := c.replica()
		if _, _, err := r.Overdue(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		r.wait(policy.ClaimTTL)
		r.mustPass("fence a at 1 until 12:00:25")
	})
	for name, meddle := range map[string]func(*cluster){
		"another transition is another claim": func(c *cluster) {
			s := slot(0, "a")
			s.Transition = 9
			c.setSlot(s)
		},
		"another run is another claim": func(c *cluster) {
			c.change("a", func(r *queue.Run) { r.UID = "second" })
			s := slot(0, "a")
			s.Holder.UID = "second"
			c.setSlot(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, pending("a"), slot(0, "a"))
			r := c.replica()
			refused(c)
			_, _ = r.pass()
			r.wait(policy.ClaimTTL)
			meddle(c)
			c.happened()
			if _, err := r.pass(); err != nil {
				t.Error(err)
			}
			if calls := c.happened(); len(calls) != 1 || !strings.HasPrefix(calls[0], "start a") {
				t.Errorf("calls %q, want just a start", calls)
			}
		})
	}
}

// TestParkedClaim: a claim that has to wait because the limit was lowered does
// not use up its time meanwhile.
func TestParkedClaim(t *testing.T) {
	c := newCluster(t, 2, pending("a", "b"), slot(0, "a"), slot(1, "b"))
	c.change("a", func(r *queue.Run) { r.Phase = queue.Started })
	c.queue.Limit = 1
	r := c.replica()
	r.mustPass()
	for range 3 {
		r.wait(policy.ClaimTTL)
		if due, _, err := r.Overdue(t.Context(), app); err != nil || len(due) > 0 {
			t.Fatalf("due: %v, %v; want nothing while a runs", due, err)
		}
	}
	c.finish("a")
	if _, err := r.pass(); err != nil {
		t.Error(err)
	}
	if calls := c.happened(); !slices.Contains(calls, "start b with 1/4/0") {
		t.Errorf("calls %q, want b started", calls)
	}
}

// TestAbsentSlot: what is decided on the absence of a slot is decided on a fresh
// look, since no version can prove it.
func TestAbsentSlot(t *testing.T) {
	t.Run("it exists, and its holder runs", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"))
		r := c.replica()
		r.freeze()
		c.replica().mustPass("get Repository", "list slots", "list runs", "claim 0 for a", "start a with 0/1/0")
		r.mustPass("get Repository", "list slots", "list runs")
		c.wantStarted("a")
	})
	t.Run("it exists, and its holder is to be started", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"))
		r := c.replica()
		r.freeze()
		c.setSlot(slot(0, "a"))
		r.mustPass("get Repository", "list slots", "list runs", "start a with 0/4/0")
	})
	t.Run("it does not, but a run runs without it", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"))
		r := c.replica()
		r.freeze()
		c.change("a", func(r *queue.Run) { r.Phase = queue.Started })
		r.mustPass("get Repository", "list slots", "list runs", "claim 0 for a") // adopted
		c.wantStarted("a")
		r.wantEvents("Normal Adopted a")
	})
	t.Run("another replica was faster", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"))
		r := c.replica()
		c.intercepted["claim 0 for a"] = func(commit func() error) error {
			c.setSlot(slot(0, "b"))
			return commit()
		}
		_, err := r.pass()
		wantStale(t, err)
		c.want("get Repository", "list slots", "list runs", "claim 0 for a: stale")
	})
	t.Run("its former holder is looked for live", func(t *testing.T) {
		c := newCluster(t, 2, append(in(queue.Started, pending("a")), pending("b")...), slot(0, "a"))
		c.finished["a"] = true // PAC believes so
		r := c.replica()
		r.mustPass("get a", "get Repository", "list slots", "list runs", "get a", "claim 1 for b", "start b with 1/1/0")
	})
	for call, says := range map[string]string{
		"get Repository": "read Repository shop/app", "list slots": "list slots of shop/app", "list runs": "list runs of shop/app",
	} {
		t.Run("and nothing is done if it fails: "+call, func(t *testing.T) {
			c := newCluster(t, 1, pending("a"))
			c.intercepted[call] = lost
			_, err := c.replica().pass()
			wantUnknown(t, err, says)
			c.wantStarted()
			c.wantSlots(map[int]string{})
		})
	}
}

// TestMissingHolder: the cache shows only what PAC has not finished with, so a
// holder that it does not show is looked for live before its slot is given away.
func TestMissingHolder(t *testing.T) {
	running := in(queue.Started, pending("a"))
	for name, tc := range map[string]struct {
		meddle  func(*cluster)
		want    []string
		wantErr bool
	}{
		"it runs, whatever PAC thinks": {
			func(c *cluster) { c.finished["a"] = true }, []string{"get a"}, false,
		},
		"it is done": {
			func(c *cluster) { c.finished["a"] = true; c.finish("a") },
			[]string{"get a", "claim 0 for b", "start b with 0/5/0"},
			false,
		},
		"it is gone": {
			func(c *cluster) { delete(c.runs, "a") },
			[]string{"get a", "claim 0 for b", "start b with 0/5/0"},
			false,
		},
		"another run has its name": {
			func(c *cluster) {
				c.finished["a"] = true
				c.change("a", func(r *queue.Run) { r.UID = "second" })
			},
			[]string{"get a", "claim 0 for b", "start b with 0/5/0"},
			false,
		},
		"unknown": {
			func(c *cluster) { c.finished["a"] = true; c.intercepted["get a"] = lost },
			[]string{"get a: " + errUnknown.Error()},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, append(slices.Clone(running), pending("b")...), slot(0, "a"))
			tc.meddle(c)
			if name == "another run has its name" {
				c.queue.Limit = 2 // it runs, and PAC does not show it: no list counts it
			}
			r := c.replica()
			_, err := r.pass()
			if tc.wantErr {
				wantUnknown(t, err, "look for a, holder of slot 0 of shop/app")
			} else if err != nil {
				t.Error(err)
			}
			c.want(tc.want...)
		})
	}
	t.Run("only the queue's own look is live, not the recovery loop's", func(t *testing.T) {
		c := newCluster(t, 1, append(slices.Clone(running), pending("b")...), slot(0, "a"))
		c.finished["a"] = true
		actions, _, err := c.replica().Overdue(t.Context(), app)
		if err != nil || len(actions) != 1 {
			t.Errorf("due %v, error %v; want one action, which is judged again by who takes it", actions, err)
		}
		c.want()
	})
}

// TestOrphaned: the queue of a Repository that is not there warns and starts
// nothing, and goes on when it comes back.
func TestOrphaned(t *testing.T) {
	waiting := pending("a", "b", "c", "d")
	waiting[1].Phase = queue.Started
	waiting[2].Order = nil
	c := newCluster(t, 1, waiting, slot(0, "b"))
	c.finish("d")
	c.missing = true
	r := c.replica()
	next, err := r.pass()
	if err != nil || !next.IsZero() {
		t.Errorf("next look %v, error %v; want none", next, err)
	}
	c.want()
	r.wantEvents("Warning RepositoryNotFound a")
	if actions, _, err := r.Overdue(t.Context(), app); err != nil || len(actions) > 0 {
		t.Errorf("due %v, error %v; want nothing", actions, err)
	}

	c.missing = false
	c.finish("b")
	r.mustPass("claim 0 for a", "start a with 0/5/0")
}

// TestForgetOrphaned: what is done is marked as finished, also if its queue is gone.
func TestForgetOrphaned(t *testing.T) {
	over := pending("a", "b")
	over[0].Labelled, over[0].Phase = true, queue.Done
	c := newCluster(t, 1, over)
	c.missing = true
	c.replica().mustPass("forget a")
	c.replica().mustPass()
}

// TestRepositoryUnknown: an error is not an answer.
func TestRepositoryUnknown(t *testing.T) {
	c := newCluster(t, 1, pending("a"), slot(0, ""))
	c.unreadable = errUnknown
	r := c.replica()
	_, err := r.pass()
	wantUnknown(t, err, "read Repository shop/app")
	_, _, err = r.Overdue(t.Context(), app)
	wantUnknown(t, err, "")
	c.want()
	r.wantEvents()
}

// TestEvents: people hear about what they should look at, and what was done
// without PAC.
func TestEvents(t *testing.T) {
	late := pending("a", "b")
	late[0].Order = nil
	late[1].Owed = "its git secret"
	bad := pending("c")
	bad[0].Created = noon
	bad[0].Problems = []string{"annotation x: not good", "annotation y: not good either"}
	damaged := slot(2, "")
	damaged.Damaged = "edited by hand"
	c := newCluster(t, 3, slices.Concat(late, bad), slot(0, ""), slot(1, ""), damaged)
	c.queue.Problems = []string{"the limit is odd"}
	r := c.replica()
	r.wait(time.Minute) // past every grace
	r.mustPass("claim 0 for a", "start a with 0/5/0", "claim 1 for b", "start b with 1/5/0")
	r.wantEvents(
		"Warning NotWaitedFor b",
		"Normal OrderTimedOut a",
		"Normal SlotAcquired a",
		"Normal SlotAcquired b",
		"Normal Started a",
		"Normal Started b",
		"Warning BadAnnotation c",
		"Warning BadRepository app",
		"Warning BadSlot app",
	)

	// There is no event for what did not happen, as far as is known.
	c = newCluster(t, 1, late[:1], slot(0, ""))
	r = c.replica()
	r.wait(time.Minute)
	c.intercepted["start a with 0/5/0"] = lost
	_, err := r.pass()
	wantUnknown(t, err, "start a")
	r.wantEvents("Normal SlotAcquired a")
}

// TestDamagedSlot: it counts as taken, by this engine's own clock, and is then
// written anew.
func TestDamagedSlot(t *testing.T) {
	damaged := slot(0, "")
	damaged.Damaged = "edited by hand"
	c := newCluster(t, 1, pending("a"), damaged)
	r := c.replica()
	next, err := r.pass()
	if want := noon.Add(policy.ClaimTTL); err != nil || !next.Equal(want) {
		t.Errorf("next look at %s, error %v; want %s", next, err, want)
	}
	c.want()

	r.wait(policy.ClaimTTL - 1)
	damaged.Damaged = "and again, otherwise"
	c.setSlot(damaged)
	r.mustPass() // that began anew
	r.wait(policy.ClaimTTL - 1)
	r.mustPass()
	r.wait(1)
	r.mustPass("get Repository", "list slots", "list runs", "claim 0 for a", "start a with 0/5/0")
}

// TestStopped: nothing more is written once the context has ended.
func TestStopped(t *testing.T) {
	c := newCluster(t, 2, pending("a", "b"), slot(0, ""), slot(1, ""))
	ctx, cancel := context.WithCancel(t.Context())
	c.intercepted["start a with 0/5/0"] = func(commit func() error) error {
		cancel()
		return commit()
	}
	_, _ = c.replica().Reconcile(quiet(ctx), app)
	c.want("claim 0 for a", "start a with 0/5/0")
}

// TestConcurrentLooks: the recovery loop looks while the queue is worked on.
func TestConcurrentLooks(t *testing.T) {
	c := newCluster(t, 2, pending("a", "b", "c"), slot(0, "a"), slot(1, ""))
	c.group = nil
	r := c.replica()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				_, _, _ = r.Overdue(t.Context(), app)
				_, _ = r.pass()
			}
		})
	}
	wg.Wait()
	c.wantStarted("a", "b")
}
