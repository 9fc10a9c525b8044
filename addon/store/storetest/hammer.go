package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// hammer has many writers work on few slots, each on what it last saw, and
// checks that the writes that succeeded form, for every slot, one unbroken chain
// of versions: each was the only one to be based on what it was based on.
func hammer(s *suite) {
	const writers, rounds, slots = 8, 40, 3
	q := s.queue("shop")
	h := &log{versions: map[string]queue.Slot{}}
	together(writers, func(writer int) {
		random := rand.New(rand.NewPCG(uint64(writer), 1))
		for round := range rounds {
			if err := h.write(s.Context(), random, s.store(writer), q, random.IntN(slots),
				fmt.Sprintf("run-%d-%d", writer, round)); err != nil {
				s.Errorf("writer %d: %v", writer, err)
				return
			}
		}
	})
	s.Logf("%d writers: %d writes, %d refused", writers, len(h.writes), h.refused)
	if s.Failed() {
		return
	}
	final := s.fresh(q)
	for _, problem := range h.check(final) {
		s.Error(problem)
	}
	s.wantCached(q, final)
}

// log is what the writers saw and did.
type log struct {
	mu       sync.Mutex
	writes   []write
	refused  int
	versions map[string]queue.Slot // every version that anybody saw
	problems []string
}

// write is one that succeeded. A claim returns the slot as written; what the
// others wrote is known by its successor only.
type write struct {
	what          string
	before, after queue.Slot
}

// write looks at the queue, fresh or not, and does something with a slot.
func (h *log) write(ctx context.Context, random *rand.Rand, store engine.Store, q engine.Repository, index int, run string) error {
	freshness := []queue.Freshness{queue.Cached, queue.Fresh}[random.IntN(2)]
	slots, err := list(ctx, store, q.Key, freshness)
	if err != nil {
		return err
	}
	w := write{before: queue.Slot{Index: index}}
	h.mu.Lock()
	for _, slot := range slots {
		h.see(slot)
		if slot.Index == index {
			w.before = slot
		}
	}
	h.mu.Unlock()
	switch dice := random.IntN(10); {
	case w.before.Holder == nil || dice < 6: // who releases what is free may change nothing
		w.what = "claim"
		w.after, err = store.Claim(ctx, q, w.before, holder(run))
	case dice < 8:
		w.what = "release"
		err = store.Release(ctx, q, w.before)
	default:
		w.what = "remove"
		err = store.Remove(ctx, q, w.before)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case errors.Is(err, engine.ErrStale):
		h.refused++
	case err != nil:
		return fmt.Errorf("%s slot %d: %w", w.what, index, err)
	default:
		h.writes = append(h.writes, w)
		if w.what == "claim" {
			h.see(w.after)
		}
	}
	return nil
}

// see notes a version, of which all must see the same.
func (h *log) see(slot queue.Slot) {
	if was, seen := h.versions[id(slot)]; !seen {
		h.versions[id(slot)] = slot
	} else if diff := gocmp.Diff(was, slot); diff != "" {
		h.problems = append(h.problems, fmt.Sprintf("slot %d at version %s was seen differently (-once +then):\n%s", slot.Index,
			slot.Version, diff))
	}
}

// check returns what is wrong with the log, given the slots that are left.
func (h *log) check(final []queue.Slot) []string {
	problem := func(format string, args ...any) { h.problems = append(h.problems, fmt.Sprintf(format, args...)) }
	successor := map[string]write{} // by the version before
	lives := map[int]int{}          // creations without removals
	claims := 0
	for _, w := range h.writes {
		if w.what == "claim" {
			claims++
			if w.after.Transition != w.before.Transition+1 {
				problem("a claim of slot %d led from transition %d to %d", w.before.Index, w.before.Transition, w.after.Transition)
			}
		}
		if w.before.Version == "" {
			lives[w.before.Index]++
			continue
		}
		if first, second := successor[id(w.before)]; second {
			problem("version %s of slot %d had two successors: %s and %s", w.before.Version, w.before.Index, first.what, w.what)
		}
		successor[id(w.before)] = w
		if w.what == "remove" {
			lives[w.before.Index]--
		}
	}
	if claims == 0 {
		problem("no claim ever succeeded")
	}
	left := map[string]bool{}
	for _, slot := range final {
		h.see(slot)
		left[id(slot)] = true
		lives[slot.Index]--
		if w, ok := successor[id(slot)]; ok {
			problem("slot %d is still at version %s, of which a %s succeeded", slot.Index, slot.Version, w.what)
		}
	}
	for index, n := range lives {
		if n != 0 {
			problem("slot %d was created %d times more often than it was removed or is left", index, n)
		}
	}
	// Nothing that was claimed got lost without a write that says so.
	for _, w := range h.writes {
		if _, ok := successor[id(w.after)]; w.what == "claim" && !ok && !left[id(w.after)] {
			problem("slot %d at version %s, claimed for %s, vanished", w.after.Index, w.after.Version, w.after.Holder.Name)
		}
	}
	return h.problems
}

func id(slot queue.Slot) string { return fmt.Sprint(slot.Index, " ", slot.Version) }
