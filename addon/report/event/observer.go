package event

import (
	"errors"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
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
}

// NewObserver returns an Observer. It has to come before looks among the observers of a replica:
// it compares each look with the one before.
func NewObserver(sink Sink, looks *latest.Looks) *Observer {
	return &Observer{sink: sink, looks: looks}
}

// Looked implements engine.Observer. It reports what is wrong with the queue, and that the limit
// has changed. A look that is not confirmed is recovery's: the replica that works on the queue
// reports what is wrong with it.
func (o *Observer) Looked(l engine.Look) {
	if !l.Confirmed() {
		return
	}
	q := l.Repository
	if was, known := o.looks.Get(q.Key); known && was.Confirmed() && was.Repository.Limit != q.Limit {
		o.sink.Record(LimitChanged(q.Key, q.UID, was.Repository.Limit, q.Limit))
	}
	for _, problem := range q.Problems {
		o.sink.Record(BadRepository(q.Key, q.UID, problem))
	}
	for _, r := range l.Snapshot.Runs {
		for _, problem := range r.Problems {
			o.sink.Record(BadAnnotation(q.Key, r, problem))
		}
	}
	for _, slot := range l.Snapshot.Slots {
		if slot.Damaged != "" {
			o.sink.Record(DamagedSlot(q.Key, q.UID, slot))
		}
	}
}

// Wrote implements engine.Observer.
func (o *Observer) Wrote(w engine.Write) {
	key := w.Repository.Key
	if w.Err != nil {
		if claim, ok := w.Action.(queue.Claim); ok && errors.Is(w.Err, engine.ErrBlocked) {
			o.sink.Record(SlotBlocked(key, w.Repository.UID, claim.Slot, w.Err))
		}
		return
	}
	switch a := w.Action.(type) {
	case queue.Claim:
		if a.Run.Phase == queue.Started {
			o.sink.Record(Adopted(key, a))
		} else {
			o.sink.Record(SlotAcquired(key, a.Run, a.Slot.Index))
		}
	case queue.Start:
		if a.Late != queue.InTime {
			o.sink.Record(NotWaitedFor(key, a.Run, a.Late))
		}
		o.sink.Record(Started(key, a, w.At.Sub(a.Run.Created)))
	case queue.Expire:
		was, _ := o.looks.Get(key)
		o.sink.Record(ClaimExpired(key, a, was.Refusals[a.Run.UID]))
	case queue.Cancel:
		o.sink.Record(Superseded(key, a))
	case queue.HandBack:
		o.sink.Record(HandedBack(key, a.Run))
	case queue.Release, queue.Remove: // an empty slot is no news to anyone
	}
}

// Missing implements engine.Observer.
func (o *Observer) Missing(key queue.Key, waiting []queue.Run) {
	for _, r := range waiting {
		o.sink.Record(RepositoryMissing(key, r))
	}
}

// TookOver implements engine.Observer.
func (o *Observer) TookOver(key queue.Key, step queue.Action, after time.Duration) {
	if was, known := o.looks.Get(key); known {
		o.sink.Record(Recovered(key, was.Repository.UID, step, after))
	}
}
