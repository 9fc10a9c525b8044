package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// errClaim marks a claim that failed.
var errClaim = errors.New("claim failed")

// apply carries the actions out, one by one and in order, as many as a pass may. It stops at the
// first observation that proves stale, because what follows rests on the same look, and at a claim
// that failed, because the next run in line would overtake. Any other failure concerns one run or
// slot and does not hold up the others. It returns what was done, in words for the log.
func (p *pass) apply(ctx context.Context, actions []queue.Action) ([]string, error) {
	if len(actions) > p.Bounds.Writes {
		actions = actions[:p.Bounds.Writes]
		p.again = p.now
	}
	var done []string
	var failed []error
	for _, a := range actions {
		did, err := p.carryOut(ctx, a)
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

func (p *pass) carryOut(ctx context.Context, a queue.Action) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	switch a := a.(type) {
	case queue.Stamp:
		return p.stamp(ctx, a)
	case queue.Claim:
		return p.claim(ctx, a)
	case queue.Start:
		return p.start(ctx, a)
	case queue.Expire:
		return p.wrote(a, p.Runs.Fence(ctx, p.repository.Key, a.Run, a.Attempt, p.now.Add(a.Backoff)))
	case queue.Release:
		return p.wrote(a, outrun(p.store.Release(ctx, p.repository, a.Slot)))
	case queue.Remove:
		return p.wrote(a, outrun(p.store.Remove(ctx, p.repository, a.Slot)))
	case queue.Cancel:
		return p.wrote(a, p.Runs.Cancel(ctx, p.repository.Key, a.Run))
	case queue.HandBack:
		return p.wrote(a, p.Runs.HandBack(ctx, p.repository.Key, a.Run))
	}
	return nil, fmt.Errorf("unknown action %T", a)
}

// retire removes the slots of the queue that are still in a backend that is not in force. A claim
// that is lost with its slot is made again. A slot that has moved meanwhile is left to the pass
// that its event triggers. It reports true if it has left some to the next pass.
func (p *pass) retire(ctx context.Context, former []Store) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, store := range former {
		slots, err := store.List(ctx, p.repository.Key, queue.Cached)
		if err != nil {
			return false, fmt.Errorf("list former slots of %s: %w", p.repository.Key, err)
		}
		if len(slots) > p.Bounds.Writes {
			slots, more = slots[:p.Bounds.Writes], true
		}
		for _, slot := range slots {
			if err := store.Remove(ctx, p.repository, slot); err != nil && !errors.Is(err, ErrStale) {
				return false, fmt.Errorf("remove former slot %d: %w", slot.Index, err)
			}
		}
	}
	return more, nil
}

// claim takes the slot and, if the run is waiting, starts it right away. If this replica does not
// get that far, the next pass of any replica does.
func (p *pass) claim(ctx context.Context, a queue.Claim) ([]string, error) {
	holder := queue.Holder{Name: a.Run.Name, UID: a.Run.UID, Attempt: a.Run.Attempt, Event: a.Event}
	slot, err := p.store.Claim(ctx, p.repository, a.Slot, holder)
	if errors.Is(err, ErrBlocked) {
		p.block(p.repository.Key, a.Slot.Index)
	}
	done, err := p.wrote(a, outrun(err))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errClaim, err)
	}
	if a.Run.Phase == queue.Started {
		return []string{fmt.Sprintf("adopt %s into slot %d", a.Run.Name, slot.Index)}, nil
	}
	failpoint("claimed")
	token := queue.Token{Slot: slot.Index, Transition: slot.Transition, Attempt: a.Run.Attempt}
	started, err := p.start(ctx, queue.Start{Run: a.Run, Token: token, Claimed: p.Clock.Now(), Late: a.Late})
	return append(done, started...), err
}

// stamp writes when an event came. It notes since when that has failed, for decisions to give it up
// in time.
func (p *pass) stamp(ctx context.Context, a queue.Stamp) ([]string, error) {
	err := p.Runs.Stamp(ctx, p.repository.Key, a.Run, a.Arrival)
	if err == nil {
		p.unwritten.Remove(a.Run.UID)
		return p.wrote(a, nil)
	}
	f := failures{since: p.Clock.Now()}
	if was, again := p.unwritten.Get(a.Run.UID); again {
		f = was.(failures)
	}
	f.count++
	p.unwritten.Add(a.Run.UID, f)
	return p.wrote(a, err)
}

func (p *pass) start(ctx context.Context, a queue.Start) ([]string, error) {
	return p.wrote(a, p.Runs.Start(ctx, p.repository.Key, a))
}

// wrote tells the observer of a write. It returns what was done, in words for the log, or the error
// that the write ended with.
func (p *pass) wrote(a queue.Action, err error) ([]string, error) {
	p.Observer.Wrote(Write{Repository: p.repository, Action: a, At: p.Clock.Now(), Err: err})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	return []string{a.String()}, nil
}

// outrun marks a stale write of a slot.
func outrun(err error) error {
	if errors.Is(err, ErrStale) {
		return fmt.Errorf("%w: %w", ErrOutrun, err)
	}
	return err
}
