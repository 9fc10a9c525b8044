package engine

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Look is one look at a queue and how long the decision on it took. Nothing in it
// changes after an observer was given it.
type Look struct {
	Repository Repository
	Snapshot   queue.Snapshot
	Policy     queue.Policy
	// At is the time that the decision went by, of this replica's clock.
	At   time.Time
	Took time.Duration
	// notable is what Notable returns, if somebody has asked already.
	notable []*queue.Run
}

// Notable returns the runs of which there is more to say than that they wait: those that are
// started or done, that PAC owes something, that only a live read shows or that have problems. They
// are few even in a long queue, and an observer that needs no others has little to do.
func (l Look) Notable() []*queue.Run {
	if l.notable != nil {
		return l.notable
	}
	notable := []*queue.Run{}
	for _, r := range l.Snapshot.Runs {
		if r.Phase != queue.Pending || r.Owed != "" || r.Unlisted || len(r.Problems) > 0 {
			notable = append(notable, r)
		}
	}
	return notable
}

// Write is one action and its outcome.
type Write struct {
	Repository Repository
	Action     queue.Action
	// At is when the answer came, or the wait for it ended.
	At time.Time
	// Err is nil if the action was carried out, and ErrStale or ErrBlocked if it was
	// not. After any other error it may have been.
	Err error
}

// Confirmed says that the look went past the caches where they prove nothing. One that did not is
// recovery's: it leads to no write.
func (l Look) Confirmed() bool { return l.Snapshot.Freshness != queue.Cached }

// Observer is told what a replica sees and does: by the engine's passes, and by
// recovery. Events, annotations, metrics and the debug view are observers. It is
// called from several goroutines, and it must not wait for anything. It is told of a run's claim
// before its start; of the starts of one pass it is told as they are answered.
type Observer interface {
	// Looked: a look at a queue led to a decision, which is about to be carried out.
	Looked(Look)
	// Wrote: one write was made, refused as stale, or its outcome is unknown.
	Wrote(Write)
	// Missing: the queue's Repository does not exist. The given runs have waited for it
	// for longer than a run waits for its order; of many, they are the first hundred that the
	// caches show.
	Missing(key queue.Key, waiting []queue.Run)
	// Listed: these queues exist, and the replica looks at each of them. It hears no
	// more of any other. It is told when some have gone, and once in a while.
	Listed([]queue.Key)
	// Overdue: a step has been due for too long. It is told once for every step.
	Overdue(queue.Key, queue.Action)
	// TookOver: the replica begins to act on a queue that is not its own, because the
	// step has been due for so long.
	TookOver(key queue.Key, step queue.Action, after time.Duration)
}

// Unobserved ignores everything. An observer of a part embeds it.
type Unobserved struct{}

// Looked implements Observer.
func (Unobserved) Looked(Look) {}

// Wrote implements Observer.
func (Unobserved) Wrote(Write) {}

// Missing implements Observer.
func (Unobserved) Missing(queue.Key, []queue.Run) {}

// Listed implements Observer.
func (Unobserved) Listed([]queue.Key) {}

// Overdue implements Observer.
func (Unobserved) Overdue(queue.Key, queue.Action) {}

// TookOver implements Observer.
func (Unobserved) TookOver(queue.Key, queue.Action, time.Duration) {}

// Observers passes everything on to each, in order.
type Observers []Observer

// Looked implements Observer.
func (all Observers) Looked(l Look) {
	for _, o := range all {
		o.Looked(l)
	}
}

// Wrote implements Observer.
func (all Observers) Wrote(w Write) {
	for _, o := range all {
		o.Wrote(w)
	}
}

// Missing implements Observer.
func (all Observers) Missing(key queue.Key, waiting []queue.Run) {
	for _, o := range all {
		o.Missing(key, waiting)
	}
}

// Listed implements Observer.
func (all Observers) Listed(keys []queue.Key) {
	for _, o := range all {
		o.Listed(keys)
	}
}

// Overdue implements Observer.
func (all Observers) Overdue(key queue.Key, a queue.Action) {
	for _, o := range all {
		o.Overdue(key, a)
	}
}

// TookOver implements Observer.
func (all Observers) TookOver(key queue.Key, step queue.Action, after time.Duration) {
	for _, o := range all {
		o.TookOver(key, step, after)
	}
}
