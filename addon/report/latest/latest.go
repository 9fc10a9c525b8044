// Package latest keeps the latest look at every queue, for whatever reports on queues.
//
// Guaranteed: a queue that is gone is forgotten with the next list of recovery on every replica;
// the number of queues is bounded; an engine never waits for more than the lock.
//
// Not guaranteed: that the look is recent. It says when it was taken.
package latest

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

const (
	// maxQueues bounds how many queues are kept: far more than one cluster has. Beyond it, the
	// queue whose look is the oldest makes room.
	maxQueues = 20_000
	// maxRefusal bounds one refusal, in bytes: an admission webhook may answer at length.
	maxRefusal = 1024
)

// Known is what a replica knows of a queue.
type Known struct {
	engine.Look
	// Refusals are the answers to the last starts that failed, and to the last claims that were
	// refused, of the runs that are still pending, by run UID.
	Refusals map[string]string
}

// Looks is an observer that keeps the latest look at every queue. It is safe for concurrent use.
type Looks struct {
	engine.Unobserved
	acts func(queue.Key) bool

	mu     sync.Mutex
	queues map[queue.Key]Known
}

// New returns Looks without any. acts says whether the replica works on a queue.
func New(acts func(queue.Key) bool) *Looks {
	return &Looks{acts: acts, queues: map[queue.Key]Known{}}
}

// Looked implements engine.Observer. Recovery looks at the caches alone, at the queues that the
// replica works on too; there, the engine's own look is worth more.
func (l *Looks) Looked(look engine.Look) {
	key := look.Snapshot.Key
	acts := l.acts(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	was, known := l.queues[key]
	if acts && was.Confirmed() && !look.Confirmed() {
		return
	}
	if !known {
		l.makeRoom()
	}
	l.queues[key] = Known{Look: look, Refusals: stillPending(was.Refusals, look.Snapshot.Runs)}
}

// makeRoom forgets the oldest look if there is no room for one more.
func (l *Looks) makeRoom() {
	if len(l.queues) < maxQueues {
		return
	}
	var oldest queue.Key
	var than *Known
	for key, known := range l.queues {
		if than == nil || known.At.Before(than.At) {
			oldest, than = key, &known
		}
	}
	delete(l.queues, oldest)
}

// stillPending are the refusals of those runs that are pending.
func stillPending(refusals map[string]string, runs []*queue.Run) map[string]string {
	if len(refusals) == 0 {
		return nil
	}
	still := map[string]string{}
	for _, r := range runs {
		if refusal, refused := refusals[r.UID]; refused && r.Phase == queue.Pending {
			still[r.UID] = refusal
		}
	}
	return still
}

// Wrote implements engine.Observer: it keeps why a start failed, or why a claim was refused until a
// claim succeeds.
func (l *Looks) Wrote(w engine.Write) {
	var uid, refusal string
	switch a := w.Action.(type) {
	case queue.Start:
		if w.Err == nil || errors.Is(w.Err, engine.ErrStale) {
			return
		}
		uid, refusal = a.Run.UID, w.Err.Error()
	case queue.Claim:
		words, refused := report.Refusal(w.Err)
		if w.Err != nil && !refused {
			return
		}
		uid, refusal = a.Run.UID, words
	case queue.Stamp, queue.Expire, queue.Release, queue.Remove, queue.Cancel, queue.HandBack, queue.Forget:
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.queues[w.Repository.Key]
	if !ok || known.Refusals[uid] == refusal {
		return
	}
	known.Refusals = maps.Clone(known.Refusals)
	if known.Refusals == nil {
		known.Refusals = map[string]string{}
	}
	if refusal == "" {
		delete(known.Refusals, uid)
	} else {
		known.Refusals[uid] = queue.Clip(refusal, maxRefusal)
	}
	l.queues[w.Repository.Key] = known
}

// Missing implements engine.Observer.
func (l *Looks) Missing(key queue.Key, _ []queue.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.queues, key)
}

// Listed implements engine.Observer.
func (l *Looks) Listed(keys []queue.Key) {
	exists := queue.KeySet(keys)
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.queues, func(key queue.Key, _ Known) bool { return !exists[key] })
}

// Get returns what is known of a queue. The caller must not change it.
func (l *Looks) Get(key queue.Key) (Known, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.queues[key]
	return known, ok
}

// All returns what is known of all queues, sorted by namespace and Repository. The caller must not
// change it.
func (l *Looks) All() []Known {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.queues))
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b Known) int { return a.Snapshot.Key.Compare(b.Snapshot.Key) })
	return all
}
