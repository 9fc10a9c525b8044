package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// requestTimeout bounds one look past the caches and one write. A connection that hangs must not
// keep a queue waiting; the next look shows what became of the request.
const requestTimeout = 15 * time.Second

// observe gathers all that a decision needs.
//
// Slots are read before runs. The look is not of one instant, and in this order a claimed run may
// be seen further along than its slot says, but never behind it: a started run is never taken for a
// waiting one.
func (p *pass) observe(ctx context.Context, freshness queue.Freshness) (queue.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	q := p.repository
	s := queue.Snapshot{Key: q.Key, Limit: q.Limit, CancelInProgress: q.CancelInProgress, HandBack: p.HandBack(), Freshness: freshness}
	var err error
	if s.Slots, err = p.store.List(ctx, q.Key, freshness); err != nil {
		return s, fmt.Errorf("list slots of %s: %w", q.Key, err)
	}
	if s.Runs, err = p.Runs.List(ctx, q.Key, freshness); err != nil {
		return s, fmt.Errorf("list runs of %s: %w", q.Key, err)
	}
	p.date(s)
	if freshness == queue.Cached {
		return s, nil
	}
	known := make(map[string]bool, len(s.Runs))
	for _, r := range s.Runs {
		known[r.UID] = true
	}
	for _, slot := range s.Slots {
		if slot.Holder == nil || known[slot.Holder.UID] {
			continue
		}
		run, exists, err := p.Runs.Get(ctx, q.Key, slot.Holder.Name)
		if err != nil {
			return s, fmt.Errorf("look for %s, holder of slot %d of %s: %w", slot.Holder.Name, slot.Index, q.Key, err)
		}
		if exists && run.UID == slot.Holder.UID {
			known[run.UID] = true
			run.Unlisted = true
			s.Runs = append(s.Runs, run)
		}
	}
	return s, nil
}

// date fills in since when this engine, by its own clock, has seen each slot as it is now.
func (e *Engine) date(s queue.Snapshot) {
	now := e.Clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.seen[s.Key]
	is := make(map[int]sighting, len(s.Slots))
	for i := range s.Slots {
		slot := &s.Slots[i]
		if slot.Holder == nil && slot.Damaged == "" {
			continue
		}
		now := sighting{transition: slot.Transition, damaged: slot.Damaged, since: now}
		if slot.Holder != nil {
			now.uid = slot.Holder.UID
		}
		if old, ok := was[slot.Index]; ok && old.uid == now.uid && old.transition == now.transition && old.damaged == now.damaged {
			now.since = old.since
		}
		is[slot.Index] = now
		slot.HeldSince = now.since
	}
	if len(is) == 0 {
		delete(e.seen, s.Key)
		return
	}
	e.seen[s.Key] = is
}

// park restarts the clock of parked claims.
func (e *Engine) park(key queue.Key, slots []int, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, index := range slots {
		if seen, ok := e.seen[key][index]; ok {
			seen.since = now
			e.seen[key][index] = seen
		}
	}
}

func (e *Engine) forget(key queue.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.seen, key)
}
