package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// held is a cluster in which every write is sent and not carried out before the test says what
// becomes of it.
type held struct {
	*cluster
	fates map[string]chan error
	ended chan error // takes how the pass ended
}

// hold begins a pass of a replica as it ships, in a bubble of synctest.
func hold(r *replica) *held {
	h := &held{cluster: r.cluster, fates: map[string]chan error{}, ended: make(chan error, 1)}
	h.chaos = func(what string, commit func() error) error {
		h.mu.Lock()
		h.fates[what] = make(chan error)
		fate := h.fates[what]
		h.mu.Unlock()
		if err := <-fate; err != nil {
			return err
		}
		return commit()
	}
	go func() {
		_, err := r.pass()
		h.ended <- err
	}()
	synctest.Wait()
	return h
}

// answer carries a write out, or has it fail.
func (h *held) answer(what string, err error) {
	h.t.Helper()
	h.mu.Lock()
	fate := h.fates[what]
	delete(h.fates, what)
	h.mu.Unlock()
	if fate == nil {
		h.t.Fatalf("%s has not been sent", what)
	}
	fate <- err
	synctest.Wait()
}

// wantUnderWay compares what has been sent and not been answered. Everything that goes on without
// an answer has gone on.
func (h *held) wantUnderWay(want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	var got []string
	for what := range h.fates {
		got = append(got, what)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("under way (-want +got):\n%s", diff)
	}
}

// wantEnd wants the pass to be over and returns how it ended.
func (h *held) wantEnd() error {
	h.t.Helper()
	select {
	case err := <-h.ended:
		return err
	default:
		h.t.Fatal("the pass is not over")
		return nil
	}
}

// overlapping plays one pass with free slots for a, b and c.
func overlapping(t *testing.T, slots []queue.Slot, play func(*testing.T, *replica, *held)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, queue.Limit(len(slots)), pending("a", "b", "c"), slots...)
		c.group = nil
		r := c.replica()
		play(t, r, hold(r))
	})
}

// TestStartsOverlap: claims are made one after the other, and each start goes on beside what
// follows, two of them at a time. The pass ends with the last start.
func TestStartsOverlap(t *testing.T) {
	overlapping(t, []queue.Slot{slot(0, ""), slot(1, ""), slot(2, "")}, func(t *testing.T, r *replica, h *held) {
		h.wantUnderWay("claim 0 for a")
		h.answer("claim 0 for a", nil)
		h.wantUnderWay("claim 1 for b", "start a with 0/5/0")
		h.answer("claim 1 for b", nil)
		h.wantUnderWay("claim 2 for c", "start a with 0/5/0", "start b with 1/5/0")
		h.answer("claim 2 for c", nil)
		h.wantUnderWay("start a with 0/5/0", "start b with 1/5/0")
		h.answer("start b with 1/5/0", nil)
		h.wantUnderWay("start a with 0/5/0", "start c with 2/5/0")
		h.answer("start c with 2/5/0", nil)
		h.wantUnderWay("start a with 0/5/0")
		if len(h.ended) > 0 {
			t.Error("the pass does not wait for the start of a")
		}
		h.answer("start a with 0/5/0", nil)
		if err := h.wantEnd(); err != nil {
			t.Error(err)
		}
		h.wantStarted("a", "b", "c")
		var told []string
		for _, e := range r.events {
			told = append(told, fmt.Sprintf("%s %s", e.Reason, e.Name))
		}
		want := []string{"SlotAcquired a", "SlotAcquired b", "SlotAcquired c", "Started b", "Started c", "Started a"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// TestClaimFailsBesideStart: those behind a claim that failed do not overtake it, and the pass
// still waits for the start that is under way.
func TestClaimFailsBesideStart(t *testing.T) {
	overlapping(t, []queue.Slot{slot(0, ""), slot(1, ""), slot(2, "")}, func(t *testing.T, _ *replica, h *held) {
		h.answer("claim 0 for a", nil)
		h.answer("claim 1 for b", errUnknown)
		h.wantUnderWay("start a with 0/5/0")
		h.answer("start a with 0/5/0", nil)
		wantUnknown(t, h.wantEnd(), "claim failed: claim slot 1 for b")
		h.wantStarted("a")
	})
}

// TestStaleStartBesideClaim: once a start has proved stale nothing more is claimed. What has its
// slot by then is started.
func TestStaleStartBesideClaim(t *testing.T) {
	overlapping(t, []queue.Slot{slot(0, ""), slot(1, ""), slot(2, "")}, func(t *testing.T, _ *replica, h *held) {
		h.answer("claim 0 for a", nil)
		h.answer("start a with 0/5/0", engine.ErrStale)
		h.answer("claim 1 for b", nil)
		h.wantUnderWay("start b with 1/5/0")
		h.answer("start b with 1/5/0", nil)
		wantStale(t, h.wantEnd())
		h.wantStarted("b")
	})
}

// TestStartsFailApart: a start that fails concerns its run alone. The errors are in the order of
// the line.
func TestStartsFailApart(t *testing.T) {
	overlapping(t, []queue.Slot{slot(0, "a"), slot(1, "b"), slot(2, "")}, func(t *testing.T, _ *replica, h *held) {
		h.wantUnderWay("claim 2 for c", "start a with 0/4/0", "start b with 1/4/0")
		h.answer("start b with 1/4/0", errUnknown)
		h.answer("claim 2 for c", nil)
		h.answer("start a with 0/4/0", errUnknown)
		h.answer("start c with 2/5/0", nil)
		err := h.wantEnd()
		wantUnknown(t, err, "start a")
		if lines := strings.Split(err.Error(), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "start a: ") ||
			!strings.HasPrefix(lines[1], "start b: ") {
			t.Errorf("errors %q, want those of a and b", lines)
		}
		h.wantStarted("c")
	})
}

// TestOthersWaitForStarts: what is neither a claim nor a start waits until it is known whether a
// start before it was stale.
func TestOthersWaitForStarts(t *testing.T) {
	for name, fate := range map[string]error{"carried out": nil, "stale": engine.ErrStale} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, append(in(queue.Done, pending("z")), pending("a")...), slot(0, "a"), slot(1, "z"))
				c.group = nil
				h := hold(c.replica())
				h.wantUnderWay("start a with 0/4/0")
				h.answer("start a with 0/4/0", fate)
				if fate == nil {
					h.wantUnderWay("release 1")
					h.answer("release 1", nil)
				}
				if err := h.wantEnd(); !errors.Is(err, fate) {
					t.Errorf("error %v, want %v", err, fate)
				}
			})
		})
	}
}

// TestForgetfulSlots: if nobody else sees the claims, a run is started before the next one has its
// slot.
func TestForgetfulSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, pending("a", "b"), slot(0, ""), slot(1, ""))
		c.group, c.forgetful = nil, true
		h := hold(c.replica())
		for _, what := range []string{"claim 0 for a", "start a with 0/5/0", "claim 1 for b", "start b with 1/5/0"} {
			h.wantUnderWay(what)
			h.answer(what, nil)
		}
		if err := h.wantEnd(); err != nil {
			t.Error(err)
		}
	})
}
