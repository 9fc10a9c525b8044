package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

const (
	// Changeover is how long a replica does nothing after the backend or the owner of the queues
	// has changed. By the end of it every replica that can reach the API server has heard of the
	// change too, and what it still had under way before shows in the runs: two backends do not
	// see each other's claims, and neither does PAC.
	Changeover = 2 * time.Second

	// After a refused write the informer usually brings the news within milliseconds; staleRetry
	// is for the case that it does not.
	staleRetry = 200 * time.Millisecond
	// After an error the pause doubles with every failure of the queue. Recovery would look again
	// after seconds anyway.
	errorRetryMin, errorRetryMax = 100 * time.Millisecond, 5 * time.Second
)

// Settings are what a replica works by. They can change while it works.
type Settings struct {
	Backend store.Backend
	// HandBack gives every queued run back to Pipelines-as-Code.
	HandBack bool
	Recovery recovery.Timing
}

// Engine works on queues; *[engine.Engine] is one.
type Engine interface {
	Changed(key queue.Key)
	Reconcile(ctx context.Context, key queue.Key) (next time.Time, err error)
	Overdue(ctx context.Context, key queue.Key) (due []queue.Action, until time.Time, err error)
}

// Config holds what a Replica works with; all of it is required.
type Config struct {
	// Name is that of this replica, as its writes carry it.
	Name   string
	Engine Engine
	// Settings are those in force at the start.
	Settings Settings
	// Keys lists the queues that exist as far as the caches know.
	Keys func() []queue.Key
	// Leadership says which queues this replica leads, and who leads the others.
	recovery.Leadership
	// Forget drops the slots in memory of those queues for which it is true.
	Forget func(func(queue.Key) bool)
	// Wake has [Replica.Work] called soon. It must not wait.
	Wake func(queue.Key)
	// WakeLater has it called in a moment.
	WakeLater func(queue.Key)
	// WakeAll has it called for many queues, most of which have nothing to do: one after the
	// other, so that those that have something to do need not wait for the rest.
	WakeAll func([]queue.Key)
	// Workers is how many calls of Work there are at a time.
	Workers  int
	Clock    clock.Clock
	Observer engine.Observer
}

// Replica is one replica. It is safe for concurrent use; two calls of Work for one queue at a time
// are safe but wasteful.
type Replica struct {
	Config
	recovery *recovery.Loop

	mu       sync.Mutex
	settings Settings
	rests    time.Time          // until when nothing is done
	failures map[queue.Key]int  // in a row
	long     map[queue.Key]bool // the last pass left something to do at once
	shares   shares
}

// New returns a replica that does nothing yet.
func New(c Config) *Replica {
	r := &Replica{Config: c, settings: c.Settings, failures: map[queue.Key]int{}, long: map[queue.Key]bool{}, shares: newShares(c.Workers)}
	r.recovery = recovery.New(recovery.Config{
		Name: c.Name, Keys: r.visible, Due: c.Engine.Overdue, Forget: c.Engine.Changed, Wake: c.Wake, Clock: c.Clock, Observer: c.Observer,
		Leadership: c.Leadership, Visible: r.sees, Rest: r.rest,
		Timing: func() recovery.Timing { return r.Settings().Recovery },
	})
	return r
}

// Settings returns those in force.
func (r *Replica) Settings() Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings
}

// Configure puts settings in force. If the slots move, nothing is done for a while. All queues are
// looked at again, since every deadline may have moved.
func (r *Replica) Configure(next Settings) {
	r.mu.Lock()
	was := r.settings
	if was.Backend != next.Backend || was.HandBack != next.HandBack {
		r.rests = r.Clock.Now().Add(Changeover)
	}
	r.settings = next
	r.mu.Unlock()
	r.AllChanged(r.Keys())
}

// Changed has a queue looked at anew. It is called when the caches show something new of it. What
// can wait for a moment, because it makes no room, is looked at with what follows from it.
func (r *Replica) Changed(key queue.Key, canWait bool) {
	r.note(key)
	if canWait {
		r.WakeLater(key)
	} else {
		r.Wake(key)
	}
}

// AllChanged has many queues looked at anew, because of news that may concern any of them.
func (r *Replica) AllChanged(keys []queue.Key) {
	for _, key := range keys {
		r.note(key)
	}
	r.WakeAll(keys)
}

func (r *Replica) note(key queue.Key) {
	r.Engine.Changed(key)
	r.recovery.Changed(key)
}

// Progress notes that the caches show what some replica has written to a queue. The writer is empty
// if the write does not tell.
func (r *Replica) Progress(key queue.Key, writer string) { r.recovery.Progress(key, writer) }

// Stores lists the store that is in force before the other one, as the engine wants them.
func (r *Replica) Stores(lease, memory engine.Store) []engine.Store {
	if r.Settings().Backend == store.Memory {
		return []engine.Store{memory, lease}
	}
	return []engine.Store{lease, memory}
}

// Promoted is called when this replica begins to lead the queues for which it is true. What it
// remembers of their slots is of an earlier term: others may have moved them since. It looks at all
// of them at once, since the leader before may have died.
func (r *Replica) Promoted(leads func(queue.Key) bool) {
	r.Forget(leads)
	for _, key := range r.Keys() {
		if leads(key) {
			r.Changed(key, false)
		}
	}
}

// Demoted is called when this replica leads some queues no longer.
func (r *Replica) Demoted() { r.recovery.Relist() }

// Acts says whether this replica works on the queue: as its leader, or in place of one that does
// not. No other replica sees slots in memory, so with them only the leader acts.
func (r *Replica) Acts(key queue.Key) bool {
	return r.Leads(key) || r.Settings().Backend != store.Memory && r.recovery.Acting(key)
}

// Outcome is what became of a queue.
type Outcome struct {
	// Acted says that the queue is this replica's to work on.
	Acted bool
	// Again is when to call Work again if nothing wakes the queue before; zero is never.
	Again time.Duration
}

// Work brings the queue forward if this replica acts on it and a worker is free for it. If its
// namespace, or the queues with much to do, have all the workers that they may have, Work wakes the
// queue once another pass ends. The error is for the log: when to look again is in the outcome,
// whatever happened.
func (r *Replica) Work(ctx context.Context, key queue.Key) (Outcome, error) {
	if !r.Acts(key) {
		r.succeeded(key)
		r.noteLong(key, time.Time{})
		return Outcome{}, nil
	}
	if rest := r.rest(); rest > 0 {
		return Outcome{Acted: true, Again: rest}, nil
	}
	pass, begun := r.enter(key)
	if !begun {
		return Outcome{Acted: true}, nil
	}
	defer r.leave(pass)
	next, err := r.Engine.Reconcile(ctx, key)
	r.recovery.Changed(key) // by what the engine has learnt, whether the caches show it or not
	r.noteLong(key, next)
	if errors.Is(err, engine.ErrOutrun) {
		// The queue is theirs: the leader's, or that of the replica that was faster in taking it
		// over.
		r.recovery.Yield(key)
	}
	var retry time.Duration
	switch {
	case errors.Is(err, engine.ErrStale):
		r.succeeded(key)
		retry, err = staleRetry, nil
	case err != nil:
		retry = r.failed(key)
	default:
		r.succeeded(key)
	}
	return Outcome{Acted: true, Again: earliest(retry, r.until(next))}, err
}

func (r *Replica) enter(key queue.Key) (pass turn, begun bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pass = turn{key, r.long[key]}
	return pass, r.shares.enter(pass)
}

// noteLong remembers whether a pass left something to do at once.
func (r *Replica) noteLong(key queue.Key, next time.Time) {
	long := !next.IsZero() && !next.After(r.Clock.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	if long {
		r.long[key] = true
	} else {
		delete(r.long, key)
	}
}

func (r *Replica) leave(pass turn) {
	r.mu.Lock()
	next := r.shares.leave(pass)
	r.mu.Unlock()
	for _, key := range next {
		r.Wake(key)
	}
}

// until is how long it is until then; zero if that is never.
func (r *Replica) until(then time.Time) time.Duration {
	if then.IsZero() {
		return 0
	}
	return max(then.Sub(r.Clock.Now()), time.Nanosecond)
}

// earliest is the shorter of two pauses of which zero is for ever.
func earliest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// rest is how long nothing is done yet, because the slots are moving.
func (r *Replica) rest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.rests.Sub(r.Clock.Now()))
}

// failed notes that a pass failed, and returns the pause before the next one.
func (r *Replica) failed(key queue.Key) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	pause := errorRetryMin << min(r.failures[key], 10)
	r.failures[key]++
	return min(pause, errorRetryMax)
}

func (r *Replica) succeeded(key queue.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failures, key)
}

// Run looks for overdue queues until the context ends. Start it once the caches are filled.
func (r *Replica) Run(ctx context.Context) { r.recovery.Run(ctx) }

// Round looks for overdue queues once.
func (r *Replica) Round(ctx context.Context) { r.recovery.Round(ctx) }

// visible lists the queues that this replica can see.
func (r *Replica) visible() []queue.Key {
	keys := r.Keys()
	if r.Settings().Backend != store.Memory {
		return keys
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key queue.Key) bool { return !r.Leads(key) })
}

// sees says whether this replica can see a queue: with slots in memory, only those that it leads.
func (r *Replica) sees(key queue.Key) bool {
	return r.Settings().Backend != store.Memory || r.Leads(key)
}
