package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// round is one attempt to carry the actions of a decision out.
type round struct {
	*pass
	// starts are those under way.
	starts Group
	// over says that nothing more is to be begun.
	over atomic.Bool
}

// outcome is what became of one action: what was done, in words for the log, and how it ended.
type outcome struct {
	done []string
	err  error
}

// apply carries the actions out, as many as a pass may. Their order is that of the claims, each of
// which is answered before the next is made; what starts a run does not wait for other starts, nor
// the next claim for it. Every other action waits for all starts before it, and apply for all of
// them.
//
// It begins nothing more once an observation has proved stale, because what follows rests on the
// same look, or a claim has failed, because the next run in line would overtake. Any other failure
// concerns one run or slot and does not hold up the others. It returns what was done, in the order
// of the actions.
func (p *pass) apply(ctx context.Context, actions []queue.Action) ([]string, error) {
	if len(actions) > p.Bounds.Writes {
		actions = actions[:p.Bounds.Writes]
		p.again = p.now
	}
	r := &round{pass: p, starts: p.Group(p.Bounds.Starts)}
	outcomes := make([]outcome, len(actions))
	for i, a := range actions {
		if r.carryOut(ctx, a, &outcomes[i]); r.ends(ctx) {
			break
		}
	}
	r.starts.Wait()
	var done []string
	var failed []error
	for _, o := range outcomes {
		done, failed = append(done, o.done...), append(failed, o.err)
	}
	return done, errors.Join(failed...)
}

func (r *round) ends(ctx context.Context) bool { return r.over.Load() || ctx.Err() != nil }

func (r *round) carryOut(ctx context.Context, a queue.Action, o *outcome) {
	alone := func(write func(context.Context) error) {
		if r.starts.Wait(); !r.ends(ctx) {
			r.write(ctx, a, o, write)
		}
	}
	key := r.repository.Key
	switch a := a.(type) {
	case queue.Claim:
		r.claim(ctx, a, o)
	case queue.Start:
		r.start(ctx, a, o)
	case queue.Stamp:
		alone(func(ctx context.Context) error { return r.stamp(ctx, a) })
	case queue.Expire:
		alone(func(ctx context.Context) error { return r.Runs.Fence(ctx, key, a.Run, a.Attempt, r.now.Add(a.Backoff)) })
	case queue.Release:
		alone(func(ctx context.Context) error { return outrun(r.store.Release(ctx, r.repository, a.Slot)) })
	case queue.Remove:
		alone(func(ctx context.Context) error { return outrun(r.store.Remove(ctx, r.repository, a.Slot)) })
	case queue.Cancel:
		alone(func(ctx context.Context) error { return r.Runs.Cancel(ctx, key, a) })
	case queue.HandBack:
		alone(func(ctx context.Context) error { return r.Runs.HandBack(ctx, key, a.Run) })
	case queue.Forget:
		alone(func(ctx context.Context) error { return r.Runs.Forget(ctx, key, a.Run) })
	default:
		o.err = fmt.Errorf("unknown action %T", a)
	}
}

// write makes one request, tells the observer of it and notes how it ended.
func (r *round) write(ctx context.Context, a queue.Action, o *outcome, write func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := write(ctx)
	r.Observer.Wrote(Write{Repository: r.repository, Action: a, At: r.Clock.Now(), Err: err})
	if err == nil {
		o.done = append(o.done, a.String())
		return
	}
	o.err = fmt.Errorf("%s: %w", a, err)
	if errors.Is(err, ErrStale) {
		r.over.Store(true)
	}
}

// claim takes the slot and, if the run is waiting, has it started right away, with the token of the
// slot as written. If this replica does not get that far, the next pass of any replica does.
func (r *round) claim(ctx context.Context, a queue.Claim, o *outcome) {
	holder := queue.Holder{Name: a.Run.Name, UID: a.Run.UID, Attempt: a.Run.Attempt, Event: a.Event}
	var slot queue.Slot
	r.write(ctx, a, o, func(ctx context.Context) (err error) {
		slot, err = r.store.Claim(ctx, r.repository, a.Slot, holder)
		if errors.Is(err, ErrBlocked) {
			r.block(r.repository.Key, a.Slot.Index)
		}
		return outrun(err)
	})
	if o.err != nil {
		o.err = fmt.Errorf("claim failed: %w", o.err)
		r.over.Store(true)
		return
	}
	if a.Run.Phase == queue.Started {
		o.done = []string{fmt.Sprintf("adopt %s into slot %d", a.Run.Name, slot.Index)}
		return
	}
	failpoint("claimed")
	token := queue.Token{Slot: slot.Index, Transition: slot.Transition, Attempt: a.Run.Attempt}
	r.start(ctx, queue.Start{Run: a.Run, Token: token, Claimed: r.Clock.Now(), Late: a.Late}, o)
}

// start starts the run while other actions go on. If nobody else sees the claims, the starts show
// their order, and then it waits for the answer.
func (r *round) start(ctx context.Context, a queue.Start, o *outcome) {
	start := func() {
		r.write(ctx, a, o, func(ctx context.Context) error { return r.Runs.Start(ctx, r.repository.Key, a) })
	}
	if r.store.Lasting() {
		r.starts.Go(start)
	} else {
		start()
	}
}

// stamp writes when an event came. It notes since when that has failed, for decisions to give it up
// in time.
func (p *pass) stamp(ctx context.Context, a queue.Stamp) error {
	err := p.Runs.Stamp(ctx, p.repository.Key, a.Run, a.Arrival)
	if err == nil {
		p.unwritten.Remove(a.Run.UID)
		return nil
	}
	f := failures{since: p.Clock.Now()}
	if was, again := p.unwritten.Get(a.Run.UID); again {
		f = was.(failures)
	}
	f.count++
	p.unwritten.Add(a.Run.UID, f)
	return err
}

// outrun marks a stale write of a slot.
func outrun(err error) error {
	if errors.Is(err, ErrStale) {
		return fmt.Errorf("%w: %w", ErrOutrun, err)
	}
	return err
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
