// Package recovery finds queues that no replica brings forward.
//
// Every replica runs the loop, leader or not. The loop needs two signals before it raises an alarm:
// the caches show a step that is due, and the same step has been due, by this replica's own clock,
// for longer than a live leader would need. The engine then decides anew; a false alarm costs
// refused writes.
//
// Guaranteed: a step that is visibly due and stays undone raises an alarm within TakeoverAfter plus
// one Interval. Not guaranteed: that only one replica raises it.
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
	// TakeoverAfter is how long a step may be due before this replica takes it.
	TakeoverAfter time.Duration
}

// actingFor is how long after its last alarm for a queue a replica keeps acting on it at once, in
// multiples of TakeoverAfter: after the leader's death, the steps that follow must not each wait
// for an alarm of their own.
const actingFor = 10

// Loop is the background loop of one replica. It is safe for concurrent use.
type Loop struct {
	Config
	mu     sync.Mutex
	due    map[queue.Key]map[string]dueStep
	acting map[queue.Key]time.Time // queue → until when this replica acts on it
}

// dueStep is a step that has been due for some rounds.
type dueStep struct {
	since time.Time // when it was first seen due
	told  bool      // that it is overdue
}

// New returns a loop that has not been started.
func New(c Config) *Loop {
	return &Loop{Config: c, due: map[queue.Key]map[string]dueStep{}, acting: map[queue.Key]time.Time{}}
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

// Round looks at every queue once.
func (l *Loop) Round(ctx context.Context) {
	now, timing := l.Clock.Now(), l.Timing()
	due := map[queue.Key]map[string]dueStep{}
	keys := l.Keys()
	l.Observer.Listed(keys)
	for _, key := range keys {
		actions, err := l.Due(ctx, key)
		if err != nil {
			klog.FromContext(ctx).Error(err, "recovery cannot look at a queue", "queue", key.String())
			continue
		}
		if len(actions) == 0 {
			continue
		}
		steps := make(map[string]dueStep, len(actions))
		var overdue queue.Action
		for _, a := range actions {
			step := a.Step()
			is, again := l.due[key][step]
			if !again {
				is.since = now
			}
			if now.Sub(is.since) >= timing.TakeoverAfter {
				overdue = a
				if !is.told {
					is.told = true
					l.Observer.Overdue(key, a)
				}
			}
			steps[step] = is
		}
		due[key] = steps
		if overdue != nil {
			l.takeOver(ctx, key, overdue, timing.TakeoverAfter)
		}
	}
	l.due = due
}

func (l *Loop) takeOver(ctx context.Context, key queue.Key, step queue.Action, after time.Duration) {
	l.mu.Lock()
	_, already := l.acting[key]
	l.acting[key] = l.Clock.Now().Add(actingFor * after)
	l.mu.Unlock()
	if !already {
		klog.FromContext(ctx).Info("recovery takes over a queue", "queue", key.String(), "overdue", step.String())
		l.Observer.TookOver(key, step, after)
	}
	l.Wake(key)
}

// Yield ends this replica's acting on the queue. The caller yields when a write was refused because
// another replica had moved the queue: of several replicas that took it over, one goes on.
func (l *Loop) Yield(key queue.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.acting, key)
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
