// Package recovery finds queues that no replica brings forward.
//
// Every replica runs the loop, leader or not. The loop needs three signals before it raises an
// alarm: the caches show a step that is due; the same step has been due, by this replica's own
// clock, for longer than a live leader would need; and for as long no other replica has started a
// run in a queue of the same leader. A leader that is busy shows it by its starts, so overload does
// not look like death. The engine then decides anew; a false alarm costs refused writes.
//
// Guaranteed: a step that is visibly due and stays undone raises an alarm within TakeoverAfter plus
// a second if the leader does nothing, and within sixty times that whatever the leader does. Not
// guaranteed: that only one replica raises it.
package recovery

import (
	"context"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Config holds what a Loop works with; all of it is required.
type Config struct {
	// Keys lists the queues that exist as far as the caches know.
	Keys func() []queue.Key
	// Due lists the steps a queue is waiting for, judged from the caches.
	Due func(context.Context, queue.Key) ([]queue.Action, error)
	// Leads says whether this replica leads a queue. It takes nothing over from itself.
	Leads func(queue.Key) bool
	// Part names the part of the queues that have the same leader as this one.
	Part func(queue.Key) string
	// Wake has the queue reconciled soon, by this replica.
	Wake func(queue.Key)
	// Timing is asked at every round, so that it can change at run time.
	Timing func() Timing
	Clock  clock.Clock
	// Observer hears which queues exist, of every step that has been due for too long, and of every
	// queue that this replica begins to act on.
	Observer engine.Observer
}

// Timing is how patient the loop is.
type Timing struct {
	// Interval is the pause between rounds.
	Interval time.Duration
	// TakeoverAfter is how long a step may be due, and the leader do nothing, before this replica
	// takes the step.
	TakeoverAfter time.Duration
}

const (
	// actingFor is how long after its last alarm for a queue a replica keeps acting on it at once,
	// in multiples of TakeoverAfter: after the leader's death, the steps that follow must not each
	// wait for an alarm of their own.
	actingFor = 10
	// late is how long a step may be due whatever the leader does, in multiples of TakeoverAfter:
	// perhaps it brings all queues forward but this one.
	late = 60
	// every is how often all queues are looked at, and how often a queue is woken at most while a
	// step of it stays due. The rounds in between look at those in which something stirs.
	every = time.Second
)

// Loop is the background loop of one replica. It is safe for concurrent use.
type Loop struct {
	Config
	looked time.Time // when all queues were looked at last
	due    map[queue.Key]map[string]dueStep

	mu     sync.Mutex
	stirs  map[queue.Key]stir
	acting map[queue.Key]time.Time // queue → until when this replica acts on it
	parts  map[string]part
}

// dueStep is a step that has been due for some rounds.
type dueStep struct {
	since time.Time // when it was first seen due
	woke  time.Time // when the queue was last woken for it
	told  bool      // that it is overdue
}

// stir is when a queue changed that has not been looked at since.
type stir struct{ first, last time.Time }

// part is what is known of the leader of a part of the queues.
type part struct {
	// others and own are when another replica last started a run, and when this one did.
	others, own time.Time
	// dead is until when the leader counts as dead, because this replica has taken a queue over.
	dead time.Time
}

// New returns a loop that has not been started.
func New(c Config) *Loop {
	return &Loop{
		Config: c, due: map[queue.Key]map[string]dueStep{}, stirs: map[queue.Key]stir{},
		acting: map[queue.Key]time.Time{}, parts: map[string]part{},
	}
}

// Run goes round until the context ends. Start it once the caches are filled.
func (l *Loop) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.Clock.After(l.Timing().Interval):
			l.Round(ctx)
		}
	}
}

// Changed has a queue looked at once its changes have settled for an Interval, or a second later at
// the latest.
func (l *Loop) Changed(key queue.Key) {
	if l.Leads(key) {
		return // its passes look at it, and so does the next round over all queues
	}
	now := l.Clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	is, again := l.stirs[key]
	if is.last = now; !again {
		is.first = now
	}
	l.stirs[key] = is
}

// Progressed is told that a run of the queue was started, by this replica or by another one.
func (l *Loop) Progressed(key queue.Key, own bool) {
	now, name := l.Clock.Now(), l.Part(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	is := l.parts[name]
	if own {
		is.own = now
	} else {
		is.others = now
	}
	l.parts[name] = is
}

// Round looks at the queues in which something stirs or is due, and once a second at all of them.
func (l *Loop) Round(ctx context.Context) {
	now, timing := l.Clock.Now(), l.Timing()
	if l.looked.IsZero() || now.Sub(l.looked) >= every {
		l.looked = now
		keys := l.Keys()
		l.Observer.Listed(keys)
		changed, was := l.settle(now, 0), l.due
		l.due = make(map[queue.Key]map[string]dueStep, len(was))
		for _, key := range keys {
			l.look(ctx, key, was[key], changed[key], timing)
		}
		return
	}
	changed := l.settle(now, timing.Interval)
	for key := range l.due {
		if _, too := changed[key]; !too {
			changed[key] = now
		}
	}
	for key, since := range changed {
		l.look(ctx, key, l.due[key], since, timing)
	}
}

// settle returns the queues that have not changed for a while, and those whose first change is long
// ago, each with its last change. They count as looked at.
func (l *Loop) settle(now time.Time, since time.Duration) map[queue.Key]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := map[queue.Key]time.Time{}
	for key, is := range l.stirs {
		if now.Sub(is.last) >= since || now.Sub(is.first) >= every {
			changed[key] = is.last
			delete(l.stirs, key)
		}
	}
	return changed
}

// look looks at one queue, in which those steps were due before. What is due now besides became so
// with the queue's last change, if that is known.
func (l *Loop) look(ctx context.Context, key queue.Key, was map[string]dueStep, changed time.Time, timing Timing) {
	now := l.Clock.Now()
	if changed.IsZero() {
		changed = now
	}
	actions, err := l.Due(ctx, key)
	if err != nil {
		klog.FromContext(ctx).Error(err, "recovery cannot look at a queue", "queue", key.String())
	}
	if len(actions) == 0 {
		delete(l.due, key)
		return
	}
	leads := l.Leads(key)
	steps := make(map[string]dueStep, len(actions))
	var overdue queue.Action
	wake := false
	for _, a := range actions {
		step := a.Step()
		is, again := was[step]
		if !again {
			is.since = changed
		}
		if age := now.Sub(is.since); age >= timing.TakeoverAfter {
			isOverdue := l.isOverdue(key, age, leads, now, timing.TakeoverAfter)
			if isOverdue {
				overdue = a
			}
			if isOverdue && !is.told {
				is.told = true
				l.Observer.Overdue(key, a)
			}
			if (isOverdue || leads) && now.Sub(is.woke) >= every {
				is.woke, wake = now, true
			}
		}
		steps[step] = is
	}
	l.due[key] = steps
	if overdue != nil && !leads {
		l.takeOver(ctx, key, overdue, timing.TakeoverAfter)
	}
	if wake {
		l.Wake(key)
	}
}

// isOverdue says whether a step that has been due for longer than TakeoverAfter should have been
// taken.
func (l *Loop) isOverdue(key queue.Key, age time.Duration, leads bool, now time.Time, after time.Duration) bool {
	name := l.Part(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	is := l.parts[name]
	lives := is.others
	if leads {
		lives = is.own
	}
	return age >= late*after || now.Sub(lives) >= after || !leads && now.Before(is.dead)
}

func (l *Loop) takeOver(ctx context.Context, key queue.Key, step queue.Action, after time.Duration) {
	until, name := l.Clock.Now().Add(actingFor*after), l.Part(key)
	l.mu.Lock()
	_, already := l.acting[key]
	l.acting[key] = until
	is := l.parts[name]
	is.dead = until
	l.parts[name] = is
	l.mu.Unlock()
	if !already {
		klog.FromContext(ctx).Info("recovery takes over a queue", "queue", key.String(), "overdue", step.String())
		l.Observer.TookOver(key, step, after)
	}
}

// Yield ends this replica's acting on the queue. The caller yields when a write was refused because
// another replica had moved the queue: of several replicas that took it over, one goes on. Perhaps
// it is the leader, which counts as dead no longer.
func (l *Loop) Yield(key queue.Key) {
	name := l.Part(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.acting, key)
	is := l.parts[name]
	is.dead = time.Time{}
	l.parts[name] = is
}

// Acting says whether this replica has taken the queue over.
func (l *Loop) Acting(key queue.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.acting[key]
	if ok && !l.Clock.Now().Before(until) {
		delete(l.acting, key)
		return false
	}
	return ok
}
