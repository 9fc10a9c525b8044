package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Fixture is what one test works with.
type Fixture struct {
	// Stores keep the same slots, as replicas do. There is one, or more if claims are to last.
	Stores []engine.Store
	// Namespaces are two that have no slots.
	Namespaces [2]string
}

const (
	// caughtUpWithin is how long a cached listing may differ from a fresh one
	// after the last write.
	caughtUpWithin = 10 * time.Second
	// lookAgain is how often that is looked at.
	lookAgain = 5 * time.Millisecond
)

// Run runs the suite on the stores that open returns.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"ClaimCreatesAbsentSlot", claimCreatesAbsentSlot},
		{"ClaimHandsOver", claimHandsOver},
		{"ReleaseKeepsSlot", releaseKeepsSlot},
		{"SlotsKeepTurns", slotsKeepTurns},
		{"RemoveDeletesSlot", removeDeletesSlot},
		{"OneOfConcurrentClaimsWins", oneOfConcurrentClaimsWins},
		{"StaleWritesChangeNothing", staleWritesChangeNothing},
		{"FreshListShowsOthersWrites", freshListShowsOthersWrites},
		{"QueuesAreApart", queuesAreApart},
		{"LongNames", longNames},
		{"Hammer", hammer},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(&suite{T: t, Fixture: open(t)}) })
	}
}

// suite is one test on its fixture.
type suite struct {
	*testing.T
	Fixture
}

// store is one of the stores, by turns.
func (s *suite) store(i int) engine.Store { return s.Stores[i%len(s.Stores)] }

// queue is a queue without slots, unless the name was used before.
func (s *suite) queue(repository string) engine.Repository {
	return queueIn(s.Namespaces[0], repository)
}

func queueIn(namespace, repository string) engine.Repository {
	key := queue.Key{Namespace: namespace, Repository: repository}
	return engine.Repository{Key: key, UID: "uid-of-" + repository, Limit: 10}
}

// holder is a run with everything that a slot remembers of one.
func holder(name string) queue.Holder {
	return queue.Holder{
		Name: name, UID: "uid-of-" + name, Attempt: 2,
		// To the second, like everything that Kubernetes calls a creation time.
		Event: queue.Event{ID: "0123456789abcdef", Created: time.Date(2026, 7, 1, 12, 0, 30, 0, time.UTC)},
	}
}

func (s *suite) claim(q engine.Repository, slot queue.Slot, h queue.Holder) queue.Slot {
	s.Helper()
	claimed, err := s.store(0).Claim(s.Context(), q, slot, h)
	if err != nil {
		s.Fatalf("claim slot %d of %s for %s: %v", slot.Index, q.Key, h.Name, err)
	}
	return claimed
}

func (s *suite) release(q engine.Repository, slot queue.Slot) queue.Slot {
	s.Helper()
	if err := s.store(0).Release(s.Context(), q, slot); err != nil {
		s.Fatalf("release slot %d of %s: %v", slot.Index, q.Key, err)
	}
	for _, now := range s.fresh(q) {
		if now.Index == slot.Index {
			return now
		}
	}
	s.Fatalf("slot %d is gone after its release", slot.Index)
	return queue.Slot{}
}

// slotsKeepTurns: the turns of a fair queue outlast the holder that they were written with.
func slotsKeepTurns(s *suite) {
	q := s.queue("fair")
	turns := queue.Turns{"0123456789abcdef": 7, "fedcba9876543210": 3}
	claimed := s.claim(q, queue.Slot{Index: 0, Turns: turns}, holder("build"))
	wantTurns := func(when string, is queue.Slot) {
		s.Helper()
		if diff := gocmp.Diff(turns, is.Turns); diff != "" {
			s.Errorf("turns %s (-want +got):\n%s", when, diff)
		}
	}
	wantTurns("of the claim", claimed)
	released := s.release(q, claimed)
	wantTurns("once it is released", released)
	turns = queue.Turns{"0123456789abcdef": 8}
	released.Turns = turns
	wantTurns("of the next claim", s.claim(q, released, holder("test")))
}

func (s *suite) remove(q engine.Repository, slot queue.Slot) {
	s.Helper()
	if err := s.store(0).Remove(s.Context(), q, slot); err != nil {
		s.Fatalf("remove slot %d of %s: %v", slot.Index, q.Key, err)
	}
}

// list lists by index.
func list(ctx context.Context, store engine.Store, key queue.Key, freshness queue.Freshness) ([]queue.Slot, error) {
	slots, err := store.List(ctx, key, freshness)
	slices.SortFunc(slots, func(a, b queue.Slot) int { return cmp.Compare(a.Index, b.Index) })
	return slots, err
}

func (s *suite) fresh(q engine.Repository) []queue.Slot {
	s.Helper()
	slots, err := list(s.Context(), s.store(0), q.Key, queue.Fresh)
	if err != nil {
		s.Fatalf("list slots of %s: %v", q.Key, err)
	}
	return slots
}

// wantSlots wants these slots and no others, by index, from a fresh listing at
// once and from the cached one of every store soon.
func (s *suite) wantSlots(q engine.Repository, want ...queue.Slot) {
	s.Helper()
	if diff := gocmp.Diff(want, s.fresh(q)); diff != "" {
		s.Fatalf("fresh slots of %s (-want +got):\n%s", q.Key, diff)
	}
	s.wantCached(q, want)
}

func (s *suite) wantCached(q engine.Repository, want []queue.Slot) {
	s.Helper()
	deadline := time.Now().Add(caughtUpWithin)
	for i, store := range s.Stores {
		for {
			got, err := list(s.Context(), store, q.Key, queue.Cached)
			if err != nil {
				s.Fatalf("list cached slots of %s: %v", q.Key, err)
			}
			diff := gocmp.Diff(want, got)
			if diff == "" {
				break
			}
			if time.Now().After(deadline) {
				s.Fatalf("after %s, cached slots of %s in store %d (-want +got):\n%s", caughtUpWithin, q.Key, i, diff)
			}
			time.Sleep(lookAgain)
		}
	}
}

func claimCreatesAbsentSlot(s *suite) {
	q, h := s.queue("shop"), holder("run-1")
	s.wantSlots(q)
	got := s.claim(q, queue.Slot{Index: 1}, h)
	if got.Version == "" {
		s.Error("the claimed slot has no version")
	}
	want := queue.Slot{Index: 1, Holder: &h, Transition: 1, Version: got.Version}
	if diff := gocmp.Diff(want, got); diff != "" {
		s.Errorf("claimed slot (-want +got):\n%s", diff)
	}
	s.wantSlots(q, got)
}

func claimHandsOver(s *suite) {
	q := s.queue("shop")
	slot := s.claim(q, queue.Slot{}, holder("run-1"))
	for i := 2; i < 5; i++ {
		// Nothing of the former holder stays.
		h := queue.Holder{
			Name: fmt.Sprintf("run-%d", i), UID: fmt.Sprintf("uid-%d", i), Attempt: 5 - i,
			Event: queue.Event{ID: fmt.Sprintf("event-%d", i), Created: time.Date(2026, 7, i, 0, 0, 0, 0, time.UTC)},
		}
		got := s.claim(q, slot, h)
		if got.Version == slot.Version {
			s.Errorf("version %s is unchanged by the hand-over to %s", got.Version, h.Name)
		}
		want := queue.Slot{Holder: &h, Transition: i, Version: got.Version}
		if diff := gocmp.Diff(want, got); diff != "" {
			s.Errorf("slot handed over (-want +got):\n%s", diff)
		}
		slot = got
		s.wantSlots(q, slot)
	}
}

func releaseKeepsSlot(s *suite) {
	q := s.queue("shop")
	claimed := s.claim(q, queue.Slot{}, holder("run-1"))
	other := s.claim(q, queue.Slot{Index: 1}, holder("run-2"))
	released := s.release(q, claimed)
	if released.Version == claimed.Version {
		s.Errorf("version %s is unchanged by the release", released.Version)
	}
	s.wantSlots(q, queue.Slot{Transition: 1, Version: released.Version}, other)

	again := s.claim(q, released, holder("run-3"))
	if want := 2; again.Transition != want {
		s.Errorf("transition is %d after claim, release and claim, want %d", again.Transition, want)
	}
	s.wantSlots(q, again, other)
}

func removeDeletesSlot(s *suite) {
	q := s.queue("shop")
	held := s.claim(q, queue.Slot{}, holder("run-1"))
	other := s.claim(q, queue.Slot{Index: 1}, holder("run-2"))
	s.remove(q, held)
	s.wantSlots(q, other)
	s.remove(q, s.release(q, other))
	s.wantSlots(q)
	s.wantSlots(q, s.claim(q, queue.Slot{}, holder("run-3")))
}

func oneOfConcurrentClaimsWins(s *suite) {
	const writers, rounds = 8, 5
	q := s.queue("shop")
	for name, before := range map[string]func(index int) queue.Slot{
		"absent": func(index int) queue.Slot { return queue.Slot{Index: index} },
		"held": func(index int) queue.Slot {
			return s.claim(q, queue.Slot{Index: index}, holder("before"))
		},
		"free": func(index int) queue.Slot {
			return s.release(q, s.claim(q, queue.Slot{Index: index}, holder("before")))
		},
	} {
		for range rounds {
			slot := before(len(s.fresh(q)))
			var claimed [writers]queue.Slot
			var errs [writers]error
			together(writers, func(i int) {
				claimed[i], errs[i] = s.store(i).Claim(s.Context(), q, slot, holder(fmt.Sprintf("run-%d", i)))
			})
			var won []queue.Slot
			for i, err := range errs {
				switch {
				case err == nil:
					won = append(won, claimed[i])
				case !errors.Is(err, engine.ErrStale):
					s.Errorf("%s slot: the claim of writer %d: %v, want ErrStale", name, i, err)
				}
			}
			if len(won) != 1 {
				s.Fatalf("%s slot: %d of %d concurrent claims won, want 1: %+v", name, len(won), writers, won)
			}
			if diff := gocmp.Diff(won[0], s.fresh(q)[slot.Index]); diff != "" {
				s.Errorf("%s slot (-winner +listed):\n%s", name, diff)
			}
		}
	}
	s.wantCached(q, s.fresh(q))
}

// together runs n functions at once, as far as that can be arranged.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

func staleWritesChangeNothing(s *suite) {
	for _, c := range []struct {
		name  string
		stale func(q engine.Repository) queue.Slot
	}{
		{"seen absent, exists", func(q engine.Repository) queue.Slot {
			s.claim(q, queue.Slot{}, holder("run-1"))
			return queue.Slot{}
		}},
		{"seen free, claimed", func(q engine.Repository) queue.Slot {
			free := s.release(q, s.claim(q, queue.Slot{}, holder("run-1")))
			s.claim(q, free, holder("run-2"))
			return free
		}},
		{"seen held, handed over", func(q engine.Repository) queue.Slot {
			held := s.claim(q, queue.Slot{}, holder("run-1"))
			s.claim(q, held, holder("run-2"))
			return held
		}},
		{"seen held, released", func(q engine.Repository) queue.Slot {
			held := s.claim(q, queue.Slot{}, holder("run-1"))
			s.release(q, held)
			return held
		}},
		{"seen held, claimed by the same again", func(q engine.Repository) queue.Slot {
			held := s.claim(q, queue.Slot{}, holder("run-1"))
			s.claim(q, s.release(q, held), holder("run-1"))
			return held
		}},
		{"seen held, removed", func(q engine.Repository) queue.Slot {
			held := s.claim(q, queue.Slot{}, holder("run-1"))
			s.remove(q, held)
			return held
		}},
		{"seen held, removed and created again", func(q engine.Repository) queue.Slot {
			held := s.claim(q, queue.Slot{}, holder("run-1"))
			s.remove(q, held)
			s.claim(q, queue.Slot{}, holder("run-1"))
			return held
		}},
	} {
		q := s.queue(strings.NewReplacer(" ", "-", ",", "").Replace(c.name))
		stale := c.stale(q)
		before := s.fresh(q)
		for i, store := range s.Stores {
			_, claim := store.Claim(s.Context(), q, stale, holder("late"))
			for what, err := range map[string]error{
				"claim": claim, "release": store.Release(s.Context(), q, stale), "remove": store.Remove(s.Context(), q, stale),
			} {
				if !errors.Is(err, engine.ErrStale) {
					s.Errorf("%s: %s by store %d: %v, want ErrStale", c.name, what, i, err)
				}
			}
		}
		s.wantSlots(q, before...)
	}
}

// A fresh listing is past every cache: what any store has written is there.
func freshListShowsOthersWrites(s *suite) {
	if n := len(s.Stores); s.store(0).Lasting() != (n > 1) {
		s.Errorf("it says that claims last: %t, and %d replicas see them", s.store(0).Lasting(), n)
	}
	q := s.queue("shop")
	slot := queue.Slot{}
	for i := range 20 {
		slot = s.claim(q, slot, holder(fmt.Sprintf("run-%d", i)))
		for j, store := range s.Stores {
			got, err := list(s.Context(), store, q.Key, queue.Fresh)
			if err != nil {
				s.Fatal(err)
			}
			if diff := gocmp.Diff([]queue.Slot{slot}, got); diff != "" {
				s.Fatalf("store %d, after the claim of %s (-written +listed):\n%s", j, slot.Holder.Name, diff)
			}
		}
	}
	s.wantCached(q, []queue.Slot{slot})
}

func queuesAreApart(s *suite) {
	var queues []engine.Repository
	// Names that a store which joins or cuts them would take for each other.
	for _, repository := range []string{"shop", "shop-1", "shop.slot-1", "shop.slot-1.slot-1", "sho", "0", "slot-0"} {
		for _, namespace := range s.Namespaces {
			queues = append(queues, queueIn(namespace, repository))
		}
	}
	want := make([][]queue.Slot, len(queues))
	for i, q := range queues {
		for index := range 3 {
			want[i] = append(want[i], s.claim(q, queue.Slot{Index: index}, holder(fmt.Sprintf("run-%d-%d", i, index))))
		}
	}
	for i, q := range queues {
		s.wantSlots(q, want[i]...)
	}
	s.remove(queues[0], want[0][1])
	want[0] = slices.Delete(want[0], 1, 2)
	for i, q := range queues {
		s.wantSlots(q, want[i]...)
	}
}

// The name of a Repository may be as long as Kubernetes lets it.
func longNames(s *suite) {
	const longest = 253
	dots := strings.Repeat("a.", longest/2)
	for _, names := range [][]string{
		{strings.Repeat("a", 63), strings.Repeat("a", 64)},
		{strings.Repeat("a", longest), strings.Repeat("a", longest-1), strings.Repeat("a", longest-1) + "b"},
		{dots + "a", dots + "b", dots[:longest-3] + "-a"},
	} {
		want := map[string][]queue.Slot{}
		for _, name := range names {
			for _, index := range []int{0, 9, 1_000_000} {
				slot := s.claim(s.queue(name), queue.Slot{Index: index}, holder(strings.Repeat("r", longest)))
				want[name] = append(want[name], slot)
			}
		}
		for _, name := range names {
			s.wantSlots(s.queue(name), want[name]...)
		}
	}
}
