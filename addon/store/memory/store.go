package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Store is the [engine.Store] in memory. It is safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	version int
	queues  map[queue.Key]map[int]queue.Slot
}

var _ engine.Store = (*Store)(nil)

// New returns a store without slots.
func New() *Store { return &Store{queues: map[queue.Key]map[int]queue.Slot{}} }

// Forget drops the slots of all queues for which the condition holds. A replica that begins to act
// on a queue starts from the cluster, not from what it remembers of an earlier time.
func (s *Store) Forget(of func(queue.Key) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.queues, func(key queue.Key, _ map[int]queue.Slot) bool { return of(key) })
}

// List implements engine.Store. Every list is fresh, because there is no cache.
func (s *Store) List(_ context.Context, key queue.Key, _ queue.Freshness) ([]queue.Slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := slices.Collect(maps.Values(s.queues[key]))
	for i := range slots {
		slots[i].Holder, slots[i].Turns = clone(slots[i].Holder), maps.Clone(slots[i].Turns)
	}
	return slots, nil
}

// Claim implements engine.Store.
func (s *Store) Claim(_ context.Context, q engine.Repository, slot queue.Slot, holder queue.Holder) (queue.Slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(q.Key, slot, &holder, slot.Transition+1)
}

// Release implements engine.Store.
func (s *Store) Release(_ context.Context, q engine.Repository, slot queue.Slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.write(q.Key, slot, nil, slot.Transition)
	return err
}

// Remove implements engine.Store.
func (s *Store) Remove(_ context.Context, q engine.Repository, slot queue.Slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot.Version == "" {
		return fmt.Errorf("%w: slot %d was not there", engine.ErrStale, slot.Index)
	}
	if err := s.check(q.Key, slot); err != nil {
		return err
	}
	slots := s.queues[q.Key]
	delete(slots, slot.Index)
	if len(slots) == 0 {
		delete(s.queues, q.Key)
	}
	return nil
}

// Lasting implements engine.Store.
func (*Store) Lasting() bool { return false }

// check refuses a write whose observation is not the current version.
func (s *Store) check(key queue.Key, seen queue.Slot) error {
	if is := s.queues[key][seen.Index]; is.Version != seen.Version {
		return fmt.Errorf("%w: slot %d is at version %q, not %q", engine.ErrStale, seen.Index, is.Version, seen.Version)
	}
	return nil
}

func (s *Store) write(key queue.Key, seen queue.Slot, holder *queue.Holder, transition int) (queue.Slot, error) {
	if err := s.check(key, seen); err != nil {
		return queue.Slot{}, err
	}
	slots := s.queues[key]
	if slots == nil {
		slots = map[int]queue.Slot{}
		s.queues[key] = slots
	}
	s.version++ // one counter for all slots, so that no version recurs
	written := queue.Slot{
		Index: seen.Index, Version: strconv.Itoa(s.version), Holder: clone(holder), Transition: transition, Turns: maps.Clone(seen.Turns),
	}
	slots[seen.Index] = written
	written.Holder = clone(holder)
	return written, nil
}

// clone keeps the store's holders apart from those that it returns.
func clone(h *queue.Holder) *queue.Holder {
	if h == nil {
		return nil
	}
	c := *h
	return &c
}
