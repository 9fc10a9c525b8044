package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// ErrStale is returned by a conditional write whose observation is no longer true: another writer
// was faster, or this very request was, before the client repeated it. The caller looks again.
var ErrStale = errors.New("the cluster has moved on since it was observed")

// ErrOutrun is returned by Reconcile, along with ErrStale, when the stale object was a slot: only
// replicas write slots, so another replica is at work on this queue.
var ErrOutrun = errors.New("another replica moved the slot")

// ErrBlocked is returned by a claim when an object that is not the store's own is in the slot's
// place. Looking again does not help; an operator must remove it.
var ErrBlocked = errors.New("the slot's place is taken")

// Repository is what a PAC Repository, merged with the global one, says about its queue, or a
// RunQueue without a Repository about its own.
type Repository struct {
	Key queue.Key
	// UID of the Repository, or the RunQueue, which owns the slots.
	UID string
	// ByRunQueue says that the queue is one of a RunQueue without a Repository.
	ByRunQueue bool
	Limit      queue.Limit
	// Spec is what else people want of it. Also a [queue.Fresh] answer may have it from the caches:
	// it chooses among runs, and no limit rests on it.
	Spec queue.Spec
	// Problems are for people: settings that cannot be used, and what happens instead.
	Problems []string
}

// Repositories reads the limits. Get reports false for a queue that neither a Repository nor a
// RunQueue makes, or if the Repository is being deleted. Only a [queue.Fresh] answer has to go past
// the caches.
type Repositories interface {
	Get(ctx context.Context, key queue.Key, freshness queue.Freshness) (Repository, bool, error)
}

// Runs reads and writes the runs of a queue. Its writes carry the run's UID and
// version as preconditions, return ErrStale if either differs, and may have
// been carried out whenever they return another error.
type Runs interface {
	// List returns the runs that PAC has not finished with, but for those that have been over
	// for long. Only a [queue.Fresh] list has to go past the caches. The slice is the caller's,
	// the runs are shared, as those of a [queue.Snapshot] are.
	List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]*queue.Run, error)
	// Get reads one run of the queue past every cache, whatever PAC thinks of it.
	Get(ctx context.Context, key queue.Key, name string) (run queue.Run, exists bool, err error)
	// Over says whether a watch has shown the run of that UID to be done, and when it ended, if
	// that is known. That is final. False proves nothing.
	Over(uid string) (ended time.Time, over bool)
	// Stamp writes on the run when its event came.
	Stamp(ctx context.Context, key queue.Key, run queue.Run, arrival queue.Arrival) error
	Start(ctx context.Context, key queue.Key, a queue.Start) error
	Fence(ctx context.Context, key queue.Key, run queue.Run, attempt int, notBefore time.Time) error
	// Cancel ends the run. A pending one never starts, and says why.
	Cancel(ctx context.Context, key queue.Key, a queue.Cancel) error
	// HandBack puts the run's order where PAC looks for it.
	HandBack(ctx context.Context, key queue.Key, run queue.Run) error
	// Forget marks a run that is done as finished: no list or watch has it any more.
	Forget(ctx context.Context, key queue.Key, run queue.Run) error
}

// Store keeps the slots. Its writes carry the slot's version (or absence) as
// precondition, return ErrStale if it differs, and may have been carried out
// whenever they return another error.
type Store interface {
	// List returns the slots that exist. Only a [queue.Fresh] list has to go past
	// the caches.
	List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]queue.Slot, error)
	// Claim makes the slot name the holder, creating it if its version is empty,
	// and returns it as written, with the transition that goes into the token.
	Claim(ctx context.Context, r Repository, slot queue.Slot, holder queue.Holder) (queue.Slot, error)
	// Release empties the slot and keeps it.
	Release(ctx context.Context, r Repository, slot queue.Slot) error
	// Remove deletes the slot.
	Remove(ctx context.Context, r Repository, slot queue.Slot) error
	// Lasting says that a claim outlasts the replica that made it, and that everybody sees in which
	// order claims were made. Otherwise only starts show that order, and what a replica that dies
	// has claimed and not started is claimed anew, so runs have to start one after the other.
	Lasting() bool
}

// Config holds what an Engine works with; all of it is required but Pods, Release and Group.
type Config struct {
	Repositories Repositories
	Runs         Runs
	// Stores is asked at every pass, so that the backend can change at run time.
	// The first one keeps the slots. The others are those not in force: what they
	// still have from before is removed.
	Stores func() []Store
	Clock  clock.PassiveClock
	// Policy and HandBack are asked at every pass, so that they can change at run
	// time.
	Policy   func() queue.Policy
	HandBack func() bool
	Observer Observer
	Bounds   Bounds
	// Pods finds the pods that are left of a holder; nil if pods are not seen, and slots are free
	// once their holders are done.
	Pods func(queue.Key, queue.Holder) *queue.Pods
	// Release is when a slot is free in a queue whose spec does not say it.
	Release queue.ReleaseWhen
	// Group returns a group for the starts of one pass, of which so many may run at a time; nil has
	// them run in goroutines.
	Group func(most int) Group
}

// Bounds keep a pass short, so that a queue that is full of work does not keep a worker from the
// others: the rest is left to the next pass, which is due at once but behind the queues that wait.
type Bounds struct {
	// Writes is how many actions a pass carries out at most.
	Writes int
	// Reads is how many holders of slots it reads live at most.
	Reads int
	// Starts is how many runs it starts at a time at most.
	Starts int
}

// mostOver is how many holders are remembered as done or gone, and mostUnwritten how many runs on
// which no stamp could be written.
const mostOver, mostUnwritten = 4096, 4096

// mostMissing is how many runs an observer hears of at most that wait for their Repository.
const mostMissing = 100

// Engine works on queues. It is safe for concurrent use; two passes over one
// queue at a time are safe but wasteful.
type Engine struct {
	Config
	mu   sync.Mutex
	seen map[queue.Key]map[int]*sighting
	// Outlooks are those of the queues that have not changed since.
	outlooks map[queue.Key]*outlook
	// Blocked has when the slots in whose place something else is were last claimed.
	blocked map[queue.Key]map[int]time.Time
	// Reads counts the holders that were read live.
	reads int
	// unwritten has the failures to write stamps on runs, by UID.
	unwritten *lru.Cache
	// Over has the UIDs of holders that a live read has shown to be done or gone. Both are final.
	over *lru.Cache
}

// failures are those of one write in a row.
type failures struct {
	since time.Time
	count int
}

// manyFailures are more than the network makes of a write that could succeed.
const manyFailures = 5

// sighting is when this engine first saw a slot in its present state.
type sighting struct {
	uid        string
	transition int
	damaged    string
	since      time.Time
	// Read is when its holder was last read live, in the engine's count of such reads.
	read int
}

// New returns an engine.
func New(c Config) *Engine {
	if c.Group == nil {
		c.Group = newGoroutines
	}
	return &Engine{
		Config: c, seen: map[queue.Key]map[int]*sighting{}, outlooks: map[queue.Key]*outlook{},
		blocked: map[queue.Key]map[int]time.Time{}, over: lru.New(mostOver), unwritten: lru.New(mostUnwritten),
	}
}

// pass is one look at one queue and what follows from it. The store stays the same throughout: what
// one backend shows must not be written to another.
type pass struct {
	*Engine
	repository Repository
	store      Store
	now        time.Time
	// Again is when the queue is due again because this pass has left something undone.
	again time.Time
	// notable are the runs of the last look that [Look.Notable] returns.
	notable []*queue.Run
}

// Reconcile takes one look at the queue and does what follows from it. It returns when to look
// again if nothing changes before; zero means never. An error does not prove that nothing was
// written.
func (e *Engine) Reconcile(ctx context.Context, key queue.Key) (time.Time, error) {
	defer e.Changed(key) // by the writes of this pass, whether the caches show them or not
	q, exists, err := e.Repositories.Get(ctx, key, queue.Cached)
	if err != nil {
		return time.Time{}, fmt.Errorf("read Repository %s: %w", key, err)
	}
	if !exists {
		return e.orphaned(ctx, key)
	}
	stores := e.Stores()
	p := &pass{Engine: e, repository: q, store: stores[0], now: e.Clock.Now()}
	if more, err := p.retire(ctx, stores[1:]); err != nil || more {
		return p.now, err
	}

	// Observe.
	snapshot, err := p.observe(ctx, queue.Confirmed)
	if err != nil {
		return time.Time{}, err
	}

	// Decide.
	decision := p.decide(snapshot)
	if decision.NeedsFresh(snapshot) {
		if p.repository, exists, err = e.Repositories.Get(ctx, key, queue.Fresh); err != nil {
			return time.Time{}, fmt.Errorf("read Repository %s: %w", key, err)
		}
		if !exists {
			return e.orphaned(ctx, key)
		}
		if snapshot, err = p.observe(ctx, queue.Fresh); err != nil {
			return time.Time{}, err
		}
		decision = p.decide(snapshot)
	}

	e.park(key, decision.Parked, p.now)

	// Apply.
	done, err := p.apply(ctx, decision.Actions)

	if len(done) > 0 {
		s := decision.Summary
		klog.FromContext(ctx).Info("queue moved", "queue", key.String(), "limit", int(p.repository.Limit),
			"done", done, "started", s.Started, "claimed", s.Claimed, "waiting", s.Waiting)
	}
	next := decision.Next
	for _, t := range []time.Time{p.unseen(snapshot), p.unreported(), p.again, e.unblocked(key)} {
		next = earliest(next, t)
	}
	return next, err
}

// decide makes the decision and tells the observer.
func (p *pass) decide(s queue.Snapshot) queue.Decision {
	began := p.Clock.Now()
	policy := p.Policy()
	decision := queue.Decide(s, p.now, policy)
	look := Look{Repository: p.repository, Snapshot: s, Policy: policy, At: p.now, Took: p.Clock.Since(began)}
	look.notable = look.Notable()
	p.notable = look.notable
	p.Observer.Looked(look)
	return decision
}

// unseenPoll is how often the engine reads a run that holds a slot and that no informer shows: PAC
// marks a run as finished as soon as it is cancelled, while Tekton is still ending it, and no event
// tells when that is over.
const unseenPoll = time.Second

// podsPoll is how often the engine looks for pods that keep a slot. The end of a pod wakes its
// queue if the pod names its Repository, which Tekton sees to.
const podsPoll = 10 * time.Second

// unseen is when to look again because of such a run, or such pods; zero if there are none.
func (p *pass) unseen(s queue.Snapshot) time.Time {
	for _, r := range p.notable {
		if r.Unlisted && r.Phase != queue.Done {
			return p.now.Add(unseenPoll)
		}
	}
	for _, slot := range s.Slots {
		if slot.Pods != nil {
			return p.now.Add(podsPoll)
		}
	}
	return time.Time{}
}

// unreported is when to look again because PAC may not have reported the end of a run by then: the
// observer then tells an operator. It is zero if there is no such run.
func (p *pass) unreported() (next time.Time) {
	for _, r := range p.notable {
		if due := r.ReportDue(); due.After(p.now) {
			next = earliest(next, due)
		}
	}
	return next
}

// earliest is the earlier of two times of which zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// outlook is what a queue waits for as long as nothing changes.
type outlook struct {
	actions []queue.Action
	// until is when the passing of time alone changes it; zero if it never does.
	until time.Time
}

// Changed forgets what the queue waits for. The caller calls it when the caches show something new
// of the queue, or when a setting has changed, before it wakes the queue.
func (e *Engine) Changed(key queue.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.outlooks, key)
}

// Overdue returns the actions that the queue is waiting for, judged from the caches alone, and when
// the passing of time alone changes them; zero is never. It writes nothing. Without actions there
// is nothing to do. It decides only what has changed since it last did, or what time has changed.
func (e *Engine) Overdue(ctx context.Context, key queue.Key) ([]queue.Action, time.Time, error) {
	now := e.Clock.Now()
	// What changes from here on removes this outlook. Until it is known, it answers no other call.
	is := &outlook{until: now}
	e.mu.Lock()
	was := e.outlooks[key]
	if was != nil && (was.until.IsZero() || now.Before(was.until)) {
		e.mu.Unlock()
		return was.actions, was.until, nil
	}
	e.outlooks[key] = is
	e.mu.Unlock()
	actions, until, err := e.overdue(ctx, key)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.outlooks[key] != is {
		return actions, until, err
	}
	if err != nil {
		delete(e.outlooks, key)
		return nil, now, err
	}
	is.actions, is.until = actions, until
	return actions, until, nil
}

func (e *Engine) overdue(ctx context.Context, key queue.Key) (actions []queue.Action, until time.Time, err error) {
	q, exists, err := e.Repositories.Get(ctx, key, queue.Cached)
	now := e.Clock.Now()
	if err != nil {
		return nil, now, err
	}
	if !exists {
		e.forget(key)
		e.Observer.Missing(key, nil)
		return nil, time.Time{}, nil // until the caches show one
	}
	p := &pass{Engine: e, repository: q, store: e.Stores()[0], now: now}
	s, err := p.observe(ctx, queue.Cached)
	if err != nil {
		return nil, now, err
	}
	decision := p.decide(s)
	e.park(key, decision.Parked, p.now)
	if len(decision.Parked) > 0 {
		return decision.Actions, now, nil // their clock is restarted at every look
	}
	return decision.Actions, earliest(decision.Next, e.unblocked(key)), nil
}

// orphaned looks at a queue whose Repository does not exist. Such a queue has no limit and PAC no
// credentials, so nothing is started; its slots are collected with their owner. If the Repository
// comes back, the runs go on; a hand-back returns them to PAC like all others. The observer hears
// of runs that have waited for as long as they would for their order: the caches may just not show
// the Repository yet.
func (e *Engine) orphaned(ctx context.Context, key queue.Key) (next time.Time, err error) {
	e.forget(key)
	var waiting []queue.Run
	defer func() { e.Observer.Missing(key, waiting) }()
	runs, err := e.Runs.List(ctx, key, queue.Cached)
	if err != nil {
		return time.Time{}, fmt.Errorf("list runs of %s: %w", key, err)
	}
	now := e.Clock.Now()
	if s := (queue.Snapshot{Key: key, Runs: runs, HandBack: e.HandBack()}); s.HandBack {
		p := &pass{Engine: e, repository: Repository{Key: key}, now: now}
		_, err := p.apply(ctx, queue.Decide(s, now, e.Policy()).Actions)
		return p.again, err
	}
	var over []queue.Action
	for _, r := range runs {
		if r.Forgettable() {
			over = append(over, queue.Forget{Run: *r})
		}
	}
	if len(over) > 0 {
		p := &pass{Engine: e, repository: Repository{Key: key}, now: now}
		if _, err := p.apply(ctx, over); err != nil {
			return now, err
		}
		next = p.again
	}
	for _, r := range runs {
		if r.Order == nil || r.Phase != queue.Pending {
			continue
		}
		if due := r.Created.Add(e.Policy().OrderGrace); now.Before(due) {
			next = earliest(next, due)
		} else if len(waiting) < mostMissing {
			waiting = append(waiting, *r)
		}
	}
	return next, nil
}
