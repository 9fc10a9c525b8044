package event

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
)

// Sink takes events. It may drop repetitions, and it must not wait for anything.
type Sink interface{ Record(Event) }

// Observer records an event for what a replica sees and does.
type Observer struct {
	engine.Unobserved
	sink Sink
	// looks are as they were before the look that the observer is told of.
	looks *latest.Looks

	mu sync.Mutex
	// refused is what was last told of a slot that the API server refuses, by queue.
	refused map[queue.Key]refusal
}

// refusal is one that was told.
type refusal struct {
	run, words string
	at         time.Time
}

// refusalsEvery is how often a queue's refused slots are told of at most, if the words change: a
// quota counts in them, and a webhook may give each request a number.
const refusalsEvery = time.Minute

// NewObserver returns an Observer. It has to come before looks among the observers of a replica:
// it compares each look with the one before.
func NewObserver(sink Sink, looks *latest.Looks) *Observer {
	return &Observer{sink: sink, looks: looks, refused: map[queue.Key]refusal{}}
}

// maxReported bounds how many runs of a queue get events about their annotations at a time. A
// tenant can have more such runs than the recorder remembers, and the recorder would then write all
// their events again at every look.
const maxReported = 100

// Looked implements engine.Observer. It reports what is wrong with the queue, and that the limit
// has changed. A look that is not confirmed is recovery's: the replica that works on the queue
// reports what is wrong with it.
func (o *Observer) Looked(l engine.Look) {
	if !l.Confirmed() {
		return
	}
	q := l.Repository
	if was, known := o.looks.Get(q.Key); known && was.Confirmed() && was.Repository.Limit != q.Limit {
		o.onQueue(q, LimitChanged(q.Key, q.UID, was.Repository.Limit, q.Limit))
	}
	for _, problem := range q.Problems {
		o.sink.Record(BadRepository(q.Key, q.UID, problem))
	}
	reported := 0
	for _, r := range l.Notable() {
		if len(r.Problems) == 0 || r.Phase == queue.Done {
			continue
		}
		if reported++; reported > maxReported {
			break
		}
		for _, problem := range r.Problems {
			o.sink.Record(BadAnnotation(q.Key, *r, problem))
		}
	}
	o.stuck(l)
	o.unreported(l)
	for _, slot := range l.Snapshot.Slots {
		if slot.Pods == nil {
			continue
		}
		if told := l.Policy.PodsOverdue(*slot.Pods); !told.IsZero() && !l.At.Before(told) {
			o.onQueue(q, PodsLeft(q.Key, q.UID, slot))
		}
	}
	for _, slot := range l.Snapshot.Slots {
		if slot.Damaged != "" {
			o.onQueue(q, DamagedSlot(q.Key, q.UID, slot))
		}
	}
}

// onQueue records an event on the Repository that a queue is of, or on its RunQueue.
func (o *Observer) onQueue(q engine.Repository, e Event) {
	if q.ByRunQueue {
		e.Kind = RunQueue
	}
	o.sink.Record(e)
}

// stuck tells of runs that do not go on by themselves. The decision has them out of the others'
// way.
func (o *Observer) stuck(l engine.Look) {
	mayBe := func(r *queue.Run) bool {
		return r.Phase == queue.Pending && r.Lacks() && l.Policy.Overdue(r, l.At) ||
			r.Phase == queue.Started && r.Manager != "" && r.Began.IsZero()
	}
	if !slices.ContainsFunc(l.Notable(), mayBe) {
		return
	}
	reported := 0
	for _, is := range queue.Stand(l.Snapshot, l.At, l.Policy).Runs {
		if reported == maxReported {
			return
		}
		tell, stands := map[queue.Why]func(queue.Key, queue.Run) Event{
			queue.Unprepared: Unprepared, queue.NotBegun: NotBegun,
		}[is.Why]
		if stands {
			o.sink.Record(tell(l.Repository.Key, *is.Run))
			reported++
		}
	}
}

// unreported tells of runs whose end PAC has not reported. Those that have been over for longer are
// not in the look any more.
func (o *Observer) unreported(l engine.Look) {
	reported := 0
	for _, r := range l.Notable() {
		if due := r.ReportDue(); due.IsZero() || l.At.Before(due) {
			continue
		}
		if reported++; reported > maxReported {
			return
		}
		o.sink.Record(Unreported(l.Repository.Key, *r))
	}
}

// Wrote implements engine.Observer.
func (o *Observer) Wrote(w engine.Write) {
	key := w.Repository.Key
	if w.Err != nil {
		if claim, ok := w.Action.(queue.Claim); ok {
			o.claimFailed(w, claim)
		}
		return
	}
	switch a := w.Action.(type) {
	case queue.Claim:
		o.mu.Lock()
		delete(o.refused, key)
		o.mu.Unlock()
		if a.Run.Phase == queue.Started {
			o.sink.Record(Adopted(key, a))
		} else {
			o.sink.Record(SlotAcquired(key, a.Run, a.Slot.Index))
		}
	case queue.Start:
		if a.Late != queue.InTime {
			o.sink.Record(NotWaitedFor(key, a.Run, a.Late))
		}
		if a.Run.Kueue.Admits {
			o.sink.Record(Passed(key, a))
		} else {
			o.sink.Record(Started(key, a, w.At.Sub(a.Run.Created)))
		}
	case queue.Expire:
		was, _ := o.looks.Get(key)
		o.sink.Record(ClaimExpired(key, a, was.Refusals[a.Run.UID]))
	case queue.Cancel:
		o.sink.Record(Cancelled(key, a))
	case queue.HandBack:
		o.sink.Record(HandedBack(key, a.Run))
	case queue.Stamp, queue.Release, queue.Remove, queue.Forget: // an empty slot is no news to anyone
	}
}

// claimFailed reports a claim that no replica can make. The queue tries again and again.
func (o *Observer) claimFailed(w engine.Write, claim queue.Claim) {
	key := w.Repository.Key
	if errors.Is(w.Err, engine.ErrBlocked) {
		o.onQueue(w.Repository, SlotBlocked(key, w.Repository.UID, claim.Slot, w.Err))
		return
	}
	words, refused := report.Refusal(w.Err)
	if !refused {
		return
	}
	is := refusal{run: claim.Run.UID, words: words, at: w.At}
	o.mu.Lock()
	was, told := o.refused[key]
	again := told && (was.run == is.run && was.words == is.words || is.at.Sub(was.at) < refusalsEvery)
	if !again {
		o.refused[key] = is
	}
	o.mu.Unlock()
	if !again {
		o.sink.Record(SlotRefused(key, claim, words))
	}
}

// Listed implements engine.Observer.
func (o *Observer) Listed(keys []queue.Key) {
	exists := queue.KeySet(keys)
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.refused, func(key queue.Key, _ refusal) bool { return !exists[key] })
}

// Missing implements engine.Observer.
func (o *Observer) Missing(key queue.Key, waiting []queue.Run) {
	for _, r := range waiting {
		o.sink.Record(QueueMissing(key, r))
	}
}

// TookOver implements engine.Observer.
func (o *Observer) TookOver(key queue.Key, step queue.Action, after time.Duration) {
	if was, known := o.looks.Get(key); known {
		o.onQueue(was.Repository, Recovered(key, was.Repository.UID, step, after))
	}
}
