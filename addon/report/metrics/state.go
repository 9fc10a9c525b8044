package metrics

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// state is how a queue stands, as far as this replica has seen.
type state struct {
	waiting, used, limit, excess int
	// started are the unfinished runs that are known to be started, by UID.
	started map[string]bool
	// over are the holders of slots that are known to be done or gone, by UID. The
	// caches, which have only unfinished runs, cannot tell.
	over map[string]bool
	// stalled is since when there has been something to start and room for it and
	// nothing was started; zero if it is not so.
	stalled time.Time
	// chances are since when each free slot that a run is ready for has been so, the
	// oldest first.
	chances []time.Time
}

// look is the state that follows from a look at the queue.
func (was state) look(l engine.Look) state {
	s, now := l.Snapshot, l.At
	is := state{limit: int(s.Limit), started: map[string]bool{}, over: map[string]bool{}}
	holders, held := s.Holders(), map[string]bool{}
	claimed, occupied := map[string]bool{}, 0
	for _, slot := range s.Slots {
		switch {
		case slot.Damaged != "", slot.Blocked, slot.Unread:
			is.used++
			occupied++
			continue
		case slot.Holder == nil:
			continue
		}
		is.used++
		uid := slot.Holder.UID
		held[uid] = true
		run, known := holders[uid]
		switch {
		case known && run.Phase == queue.Done, !known && (s.Freshness >= queue.Confirmed || was.over[uid]):
			is.over[uid] = true
		case !known:
			occupied++ // PAC is done with it, Tekton perhaps not
		case run.Phase == queue.Pending && run.Attempt <= slot.Holder.Attempt:
			claimed[uid] = true
		}
	}

	hidden := len(was.started) // what this replica started need not show yet
	for _, r := range l.Notable() {
		if r.Phase == queue.Started && was.started[r.UID] {
			hidden--
		}
	}

	pending, ready, lowered, anew := 0, 0, 0, false
	for _, r := range s.Runs {
		uid := r.UID
		switch {
		case r.Phase == queue.Started, r.Phase == queue.Pending && hidden > 0 && was.started[uid]:
			is.started[uid] = true
			anew = anew || !was.started[uid]
			occupied++
			if !held[uid] {
				is.used++
			}
			if r.Claim != nil && (r.Claim.Slot == queue.NoSlot || r.Claim.Slot >= is.limit) {
				lowered++
			}
		case r.Phase == queue.Pending:
			if !r.Lacks() {
				pending++ // the others are not the queue's to start
			}
			if len(claimed) == 0 || !claimed[uid] {
				is.waiting++
			}
			if r.Order != nil && r.Owed == "" && !now.Before(r.NotBefore) {
				ready++
			}
		}
	}
	is.excess = max(0, len(is.started)-lowered-is.limit)

	room := is.limit - occupied
	if s.HandBack {
		room = 0
	}
	if room > 0 && pending > 0 {
		if is.stalled = was.stalled; is.stalled.IsZero() || anew {
			is.stalled = now
		}
	}
	is.chances = was.chances
	for n := max(0, min(room, ready)); len(is.chances) != n; {
		if len(is.chances) < n {
			is.chances = append(is.chances, now)
		} else {
			is.chances = is.chances[1:]
		}
	}
	return is
}

// start notes that this replica has started a run, and says since when it could
// have; zero if that is not known.
func (s *state) start(uid string, now time.Time) (since time.Time) {
	s.started[uid] = true
	if !s.stalled.IsZero() {
		s.stalled = now
	}
	if len(s.chances) > 0 {
		since, s.chances = s.chances[0], s.chances[1:]
	}
	return since
}

// stalledFor is how long the queue has been stalled.
func (s state) stalledFor(now time.Time) time.Duration {
	if s.stalled.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.stalled))
}
