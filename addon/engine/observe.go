package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// A connection that hangs must not keep a queue waiting; the next look shows what became of the
// request.
const (
	// requestTimeout bounds one write, and one look at the caches with the holders that they lack.
	requestTimeout = 15 * time.Second
	// freshTimeout bounds one look past the caches: a long list has many pages, and waits for those
	// of others in between.
	freshTimeout = time.Minute
)

// observe gathers all that a decision needs.
//
// Slots are read before runs. The look is not of one instant, and in this order a claimed run may
// be seen further along than its slot says, but never behind it: a started run is never taken for a
// waiting one.
func (p *pass) observe(ctx context.Context, freshness queue.Freshness) (queue.Snapshot, error) {
	timeout := requestTimeout
	if freshness == queue.Fresh {
		timeout = freshTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q := p.repository
	s := queue.Snapshot{Key: q.Key, Limit: q.Limit, Spec: q.Spec, HandBack: p.HandBack(), Freshness: freshness}
	var err error
	if s.Slots, err = p.store.List(ctx, q.Key, freshness); err != nil {
		return s, fmt.Errorf("list slots of %s: %w", q.Key, err)
	}
	if s.Runs, err = p.Runs.List(ctx, q.Key, freshness); err != nil {
		return s, fmt.Errorf("list runs of %s: %w", q.Key, err)
	}
	p.date(s)
	p.noteUnwritten(s.Runs)
	s.Slots = p.withBlocked(s)
	holders := s.Holders()
	if freshness != queue.Cached {
		err = p.readHolders(ctx, &s, holders)
	}
	p.findPods(s, holders)
	return s, err
}

// noteUnwritten says on which runs no stamp could be written. Usually there are none anywhere.
func (p *pass) noteUnwritten(runs []*queue.Run) {
	if p.unwritten.Len() == 0 {
		return
	}
	for i, r := range runs {
		if f, failing := p.unwritten.Get(r.UID); failing && f.(failures).count >= manyFailures {
			changed := *r
			changed.Unwritten = f.(failures).since
			runs[i] = &changed
		}
	}
}

// findPods finds what is left of the holders that are done, or that no list shows, where slots are
// kept for that. It comes last: a run that was seen to be done gets no more pods.
func (p *pass) findPods(s queue.Snapshot, holders map[string]*queue.Run) {
	if p.Pods == nil || cmp.Or(s.Spec.Release, p.Release) != queue.ReleaseWhenPodsGone {
		return
	}
	for i := range s.Slots {
		slot := &s.Slots[i]
		if slot.Holder == nil {
			continue
		}
		run, listed := holders[slot.Holder.UID]
		if listed && run.Phase != queue.Done {
			continue
		}
		if slot.Pods = p.Pods(s.Key, *slot.Holder); slot.Pods == nil || !slot.Pods.Due.IsZero() {
			continue
		}
		if listed {
			slot.Pods.Due = run.Ended
		} else {
			slot.Pods.Due, _ = p.ended(slot.Holder.UID)
		}
	}
}

// readHolders reads the holders that no list shows past the caches, those first that were not read
// for the longest time, and adds those that exist to the known ones. What it learns of one that is
// done or gone it keeps for the looks that follow. Slots for which it has no time are unread.
func (p *pass) readHolders(ctx context.Context, s *queue.Snapshot, known map[string]*queue.Run) error {
	p.again = time.Time{}
	learnt := false
	for n, i := range p.unlisted(s.Slots, known) {
		slot := &s.Slots[i]
		if n >= p.Bounds.Reads {
			slot.Unread = true
			p.again = p.now.Add(unseenPoll)
			if learnt {
				p.again = p.now
			}
			continue
		}
		if known[slot.Holder.UID] != nil {
			continue // two slots name it
		}
		run, exists, err := p.Runs.Get(ctx, s.Key, slot.Holder.Name)
		if err != nil {
			return fmt.Errorf("look for %s, holder of slot %d of %s: %w", slot.Holder.Name, slot.Index, s.Key, err)
		}
		p.markRead(s.Key, slot.Index)
		if exists = exists && run.UID == slot.Holder.UID; !exists {
			run = queue.Run{}
		}
		if !exists || run.Phase == queue.Done {
			p.over.Add(slot.Holder.UID, run.Ended)
			learnt = true
		}
		if exists {
			run.Unlisted = true
			known[run.UID] = &run
			s.Runs = append(s.Runs, &run)
		}
	}
	return nil
}

// ended says whether a run was seen to be done or gone, and when it ended, if that was seen.
func (p *pass) ended(uid string) (at time.Time, over bool) {
	if at, over := p.over.Get(uid); over {
		return at.(time.Time), true
	}
	return p.Runs.Over(uid)
}

// unlisted returns the indices of the slots whose holders are neither known nor over, in the order
// in which they are read.
func (p *pass) unlisted(slots []queue.Slot, known map[string]*queue.Run) []int {
	var unlisted []int
	for i, slot := range slots {
		if slot.Holder == nil || known[slot.Holder.UID] != nil {
			continue
		}
		if _, over := p.ended(slot.Holder.UID); !over {
			unlisted = append(unlisted, i)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	read := func(slot int) int {
		if seen := p.seen[p.repository.Key][slot]; seen != nil {
			return seen.read
		}
		return 0
	}
	slices.SortFunc(unlisted, func(a, b int) int {
		a, b = slots[a].Index, slots[b].Index
		return cmp.Or(cmp.Compare(read(a), read(b)), cmp.Compare(a, b))
	})
	return unlisted
}

func (e *Engine) markRead(key queue.Key, slot int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reads++
	if seen := e.seen[key][slot]; seen != nil {
		seen.read = e.reads
	}
}

// date fills in since when this engine, by its own clock, has seen each slot as it is now.
func (e *Engine) date(s queue.Snapshot) {
	now := e.Clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.seen[s.Key]
	is := make(map[int]*sighting, len(s.Slots))
	for i := range s.Slots {
		slot := &s.Slots[i]
		if slot.Holder == nil && slot.Damaged == "" {
			continue
		}
		now := &sighting{transition: slot.Transition, damaged: slot.Damaged, since: now}
		if slot.Holder != nil {
			now.uid = slot.Holder.UID
		}
		if old := was[slot.Index]; old != nil && old.uid == now.uid && old.transition == now.transition && old.damaged == now.damaged {
			now.since, now.read = old.since, old.read
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
		if seen := e.seen[key][index]; seen != nil {
			seen.since = now
		}
	}
}

// block notes that something else is in a slot's place.
func (e *Engine) block(key queue.Key, slot int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.blocked[key] == nil {
		e.blocked[key] = map[int]time.Time{}
	}
	e.blocked[key][slot] = e.Clock.Now()
}

// withBlocked returns the slots along with those that are blocked. After one claim TTL a blocked
// slot is tried again: it counts as one that does not exist.
func (e *Engine) withBlocked(s queue.Snapshot) []queue.Slot {
	ttl := e.Policy().ClaimTTL
	e.mu.Lock()
	defer e.mu.Unlock()
	blocked := e.blocked[s.Key]
	for _, slot := range s.Slots {
		delete(blocked, slot.Index)
	}
	slots := s.Slots
	for index, since := range blocked {
		if e.Clock.Since(since) >= ttl {
			delete(blocked, index)
			continue
		}
		slots = append(slots, queue.Slot{Index: index, Blocked: true})
	}
	if len(blocked) == 0 {
		delete(e.blocked, s.Key)
	}
	return slots
}

// unblocked is when to try the first blocked slot again; zero if there is none.
func (e *Engine) unblocked(key queue.Key) (next time.Time) {
	ttl := e.Policy().ClaimTTL
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, since := range e.blocked[key] {
		next = earliest(next, since.Add(ttl))
	}
	return next
}

func (e *Engine) forget(key queue.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.seen, key)
	delete(e.blocked, key)
}
