package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/status"
)

// errClaim marks a claim that failed.
var errClaim = errors.New("claim failed")

// apply carries the actions out, one by one and in order. It stops at the first
// observation that proves stale, because what follows rests on the same look,
// and at a claim that failed, because whoever comes next would overtake. Any
// other failure concerns one run or slot and does not hold up the others. It
// returns what was done, in words for the log.
func (e *Engine) apply(ctx context.Context, q Queue, actions []queue.Action, now time.Time) ([]string, error) {
	var done []string
	var failed []error
	for _, a := range actions {
		did, err := e.carryOut(ctx, q, a, now)
		done = append(done, did...)
		if errors.Is(err, ErrStale) || errors.Is(err, errClaim) || ctx.Err() != nil {
			return done, errors.Join(append(failed, err)...)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return done, errors.Join(failed...)
}

func (e *Engine) carryOut(ctx context.Context, q Queue, a queue.Action, now time.Time) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	switch a := a.(type) {
	case queue.Claim:
		return e.claim(ctx, q, a)
	case queue.Start:
		return e.start(ctx, q, a.Run, a.Token, a.Late)
	case queue.Expire:
		if err := e.Runs.Fence(ctx, q.Key, a.Run, a.Attempt, now.Add(a.Backoff)); err != nil {
			return nil, fmt.Errorf("expire the claim of %s on slot %d: %w", a.Run.Name, a.Slot.Index, err)
		}
		e.Recorder.Record(status.ClaimExpired(q.Key, a))
		return []string{fmt.Sprintf("expire %s, attempt %d, slot %d", a.Run.Name, a.Attempt, a.Slot.Index)}, nil
	case queue.Release:
		if err := e.Store.Release(ctx, q, a.Slot); err != nil {
			return nil, fmt.Errorf("release slot %d: %w", a.Slot.Index, outrun(err))
		}
		return []string{fmt.Sprintf("release slot %d", a.Slot.Index)}, nil
	case queue.Remove:
		if err := e.Store.Remove(ctx, q, a.Slot); err != nil {
			return nil, fmt.Errorf("remove slot %d: %w", a.Slot.Index, outrun(err))
		}
		return []string{fmt.Sprintf("remove slot %d", a.Slot.Index)}, nil
	default:
		return nil, fmt.Errorf("unknown action %T", a)
	}
}

// claim takes the slot and, if the run is waiting, starts it right away. Whoever
// comes next does so should this replica not get that far.
func (e *Engine) claim(ctx context.Context, q Queue, a queue.Claim) ([]string, error) {
	slot, err := e.Store.Claim(ctx, q, a.Slot, queue.Holder{Name: a.Run.Name, UID: a.Run.UID, Attempt: a.Run.Attempt, Event: a.Event})
	if errors.Is(err, ErrBlocked) {
		e.Recorder.Record(status.SlotBlocked(q.Key, q.UID, a.Slot, err))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: slot %d for %s: %w", errClaim, a.Slot.Index, a.Run.Name, outrun(err))
	}
	if a.Run.Phase == queue.Started {
		e.Recorder.Record(status.Adopted(q.Key, a))
		return []string{fmt.Sprintf("adopt %s into slot %d", a.Run.Name, slot.Index)}, nil
	}
	failpoint("claimed")
	did, err := e.start(ctx, q, a.Run, queue.Token{Slot: slot.Index, Transition: slot.Transition, Attempt: a.Run.Attempt}, a.Late)
	return append([]string{fmt.Sprintf("claim slot %d for %s", slot.Index, a.Run.Name)}, did...), err
}

func (e *Engine) start(ctx context.Context, q Queue, run queue.Run, token queue.Token, late queue.Lateness) ([]string, error) {
	if err := e.Runs.Start(ctx, q.Key, run, token); err != nil {
		return nil, fmt.Errorf("start %s: %w", run.Name, err)
	}
	if late != queue.InTime {
		e.Recorder.Record(status.NotWaitedFor(q.Key, run, late))
	}
	return []string{"start " + run.Name}, nil
}

// outrun marks a refused write of a slot: only replicas write slots.
func outrun(err error) error {
	if errors.Is(err, ErrStale) {
		return fmt.Errorf("%w: %w", ErrOutrun, err)
	}
	return err
}
