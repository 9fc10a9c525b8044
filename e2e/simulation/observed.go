package simulation

import (
	"cmp"
	"context"
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

// limits remembers for the judge what limit a pass goes by.
type limits struct {
	engine.Repositories
	*replica
}

func (l limits) Get(ctx context.Context, key queue.Key, freshness queue.Freshness) (engine.Repository, bool, error) {
	q, exists, err := l.Repositories.Get(ctx, key, freshness)
	if s := l.cluster.running; s != nil && exists {
		s.pass.limit = q.Limit
	}
	q.Spec = l.cluster.mutant.shapes(l.replica, q.Spec)
	return q, exists, err
}

// sightings remembers for the judge which runs a pass could know of.
type sightings struct {
	engine.Runs
	*replica
}

func (s sightings) List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]*queue.Run, error) {
	if running := s.cluster.running; running != nil && freshness < queue.Fresh {
		running.pass.sawRuns = s.sawRuns()
	}
	return s.Runs.List(ctx, key, freshness)
}

// Stamp tells the judge when a replica may give a stamp up.
func (s sightings) Stamp(ctx context.Context, key queue.Key, run queue.Run, arrival queue.Arrival) error {
	err := s.Runs.Stamp(ctx, key, run, arrival)
	if err == nil {
		return nil
	}
	if s.unwritten[run.UID]++; s.unwritten[run.UID] >= triesOfAStamp {
		s.cluster.judges[key].audit.Stamps = false
	}
	return err
}

// Start tells the judge that a run with a slot in memory was not started, as far as its replica
// knows: whoever comes next does not overtake it.
func (s sightings) Start(ctx context.Context, key queue.Key, a queue.Start) error {
	err := s.Runs.Start(ctx, key, a)
	if err != nil && s.product.Settings().Backend == store.Memory && a.Token.Slot != queue.NoSlot {
		s.cluster.judges[key].tried(a, s.cluster.running.pass.limit)
	}
	return err
}

// triesOfAStamp is how often the product tries to write one before it may go without.
const triesOfAStamp = 5

// byIndex lists slots in one order, which no store promises.
type byIndex struct{ engine.Store }

func (s byIndex) List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]queue.Slot, error) {
	slots, err := s.Store.List(ctx, key, freshness)
	slices.SortFunc(slots, func(a, b queue.Slot) int { return cmp.Compare(a.Index, b.Index) })
	return slots, err
}

// claims tells the judge of claims that no Lease shows.
type claims struct {
	engine.Store
	*replica
}

func (s claims) Claim(ctx context.Context, q engine.Repository, slot queue.Slot, h queue.Holder) (queue.Slot, error) {
	made, err := s.Store.Claim(ctx, q, slot, h)
	if err == nil {
		s.cluster.trace("    %s: slot %d is for %s, in memory", s.name, made.Index, h.Name)
		s.cluster.judges[q.Key].claim(made, s.cluster.running.pass.limit)
	}
	return made, err
}
