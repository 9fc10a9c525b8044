// Package recovery finds queues that no replica brings forward.
//
// Every replica runs the loop. In a queue that another replica leads it raises an alarm if the
// caches show a step that is due, the same step has been due for TakeoverAfter by this replica's
// own clock, and nothing has been seen of the leader's writes for as long: a leader that is busy
// writes elsewhere. Whoever reacts to an alarm decides anew; a false one costs refused writes.
//
// Guaranteed, for steps that stay visibly due:
//   - in a queue of a leader that writes nothing, the alarm comes within TakeoverAfter plus two
//     Intervals. In further queues of that leader it comes with the first round after this
//     replica's watches have shown what it has written in one of them, or in one of them per round.
//     Where that took longer than a third of TakeoverAfter, a leader has three times as long before
//     it counts as silent again, and ten times TakeoverAfter at most;
//   - whatever is seen of anybody's writes, it comes within sixty times TakeoverAfter plus two
//     Intervals;
//   - what this replica writes itself never counts as another one's life, and once it acts in place
//     of a leader, only what that leader writes does: of several replicas that act for a dead one,
//     none waits for another. A replica that acts for nobody waits for whoever does.
//
// Not guaranteed: that only one replica raises the alarm.
package recovery

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Config holds what a Loop works with; all of it is required. No function may wait for another call
// of the loop.
type Config struct {
	// Name is that of this replica, as its writes carry it.
	Name string
	// Keys lists the queues that exist as far as the caches know.
	Keys func() []queue.Key
	// Due lists the steps a queue is waiting for, judged from the caches, and says when the passing
	// of time alone changes them; zero is never.
	Due func(context.Context, queue.Key) ([]queue.Action, time.Time, error)
	// Forget drops what Due remembers of a queue that does not exist any more.
	Forget func(queue.Key)
	// Visible says whether this replica can see the slots of a queue: otherwise nothing is due.
	Visible func(queue.Key) bool
	// Rest is how much longer no replica acts on any queue, so that nothing counts as due.
	Rest func() time.Duration
	// Wake has the queue reconciled soon, by this replica.
	Wake func(queue.Key)
	// Leadership says who acts first on which queues.
	Leadership Leadership
	// Timing is asked at every round, so that it can change at run time.
	Timing func() Timing
	Clock  clock.Clock
	// Observer hears which queues exist, of every step that has been due for too long, and of every
	// queue that this replica begins to act on.
	Observer engine.Observer
}

// Timing is how patient the loop is.
type Timing struct {
	// Interval is the pause between rounds while something stirs.
	Interval time.Duration
	// TakeoverAfter is how long a step may be due, and its leader silent, before this replica takes
	// it.
	TakeoverAfter time.Duration
}

const (
	// patient is how much longer than TakeoverAfter a step may be due if its leader goes on
	// elsewhere: where hundreds of queues begin at once, a leader takes tens of seconds to get to
	// all of them, and a second replica that does the same only makes that worse.
	patient = 60
	// slack is how many times as long as a write of this replica took to show a leader may write
	// nothing.
	slack = 3
	// tellsAfter is how long a step of its own may be due before a leader tells of it, in multiples
	// of TakeoverAfter.
	tellsAfter = 10
	// actingFor is how long after its last alarm for a queue a replica keeps acting on it at once,
	// in multiples of TakeoverAfter: after the leader's death, the steps that follow must not each
	// wait for an alarm of their own.
	actingFor = 10

	// listPause separates two lists of all queues, once for every thousand of them: what lists cost
	// has a bound.
	listPause = time.Second
	// quietPause separates two lists while nothing changes, and two that the observer hears of
	// although no queue has gone.
	quietPause = time.Minute
	// longestSettling is how long a queue that changes all the time is not looked at.
	longestSettling = time.Second
	// wakePause separates two wakes for one step: a pass that fails is repeated without them.
	wakePause = time.Second
	// lookPause is when a queue is looked at again that could not be read, or that has to be looked
	// at again and again.
	lookPause = time.Second
)

// settling is how long a queue has to be left alone before it is looked at. A step that is taken
// within that time costs no look.
func (t Timing) settling() time.Duration { return min(t.TakeoverAfter/2, longestSettling/2) }

// late is how long a step may be due whatever its leader does elsewhere.
func (t Timing) late() time.Duration { return patient * t.TakeoverAfter }

// acting is how long a replica keeps acting on a queue, or replacing a leader, after the last
// reason for it.
func (t Timing) acting() time.Duration { return actingFor * t.TakeoverAfter }

// Loop is the background loop of one replica. It is safe for concurrent use, except that rounds
// follow one another.
type Loop struct {
	Config
	listed time.Time     // when all queues were listed last
	told   time.Time     // when the observer last heard of that
	woken  chan struct{} // tells Run of a change

	mu       sync.Mutex
	moved    bool              // something has changed since the last list
	lists    int               // of all queues, so far
	known    map[queue.Key]int // queue → the last list that had it
	stirring map[queue.Key]*stir
	acting   map[queue.Key]time.Time // queue → until when this replica acts on it
	lives    map[string]life         // by part
}

// stir is what happens in a queue. A queue in which nothing has changed since the last look,
// nothing is due, and nothing becomes due in time, has none.
type stir struct {
	// first and last are the changes since the last look; zero if there are none.
	first, last time.Time
	// next is when to look again although nothing changes; zero is never.
	next time.Time
	due  []dueStep
}

// dueStep is a step that has been due for some time.
type dueStep struct {
	queue.Action
	since time.Time // of the change that made it due
	woken time.Time // when the queue was last woken for it
	told  bool      // that it is overdue
}

// New returns a loop that has not been started.
func New(c Config) *Loop {
	return &Loop{
		Config: c, woken: make(chan struct{}, 1), known: map[queue.Key]int{}, stirring: map[queue.Key]*stir{},
		acting: map[queue.Key]time.Time{}, lives: map[string]life{},
	}
}

// Changed notes that a queue may wait for something else than before.
func (l *Loop) Changed(key queue.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(key, l.Clock.Now())
	l.move() // no queue comes or goes without a change
}

// Relist notes that other queues may exist than before, as far as this replica sees.
func (l *Loop) Relist() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move()
}

// move asks for another list of all queues.
func (l *Loop) move() {
	l.moved = true
	select {
	case l.woken <- struct{}{}:
	default: // it is known already
	}
}

func (l *Loop) change(key queue.Key, now time.Time) {
	s := l.stirring[key]
	if s == nil {
		s = &stir{}
		l.stirring[key] = s
	}
	if s.last.IsZero() {
		s.first = now
	}
	if now.After(s.last) {
		s.last = now
	}
}

// Run goes round until the context ends. Start it once the caches are filled. While nothing stirs
// in any queue, it waits for a change.
func (l *Loop) Run(ctx context.Context) {
	for {
		if l.still() {
			select {
			case <-ctx.Done():
				return
			case <-l.Clock.After(quietPause):
			case <-l.woken:
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-l.Clock.After(l.Timing().Interval):
			l.Round(ctx)
		}
	}
}

// still says that rounds have nothing to do but to list the queues once in a while. A change from
// here on wakes the loop.
func (l *Loop) still() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.woken: // by a change of before
	default:
	}
	return !l.listed.IsZero() && !l.moved && len(l.stirring) == 0
}

// Round looks at every queue in which something has changed or become due, and raises an alarm for
// every step that is overdue.
func (l *Loop) Round(ctx context.Context) {
	now, timing := l.Clock.Now(), l.Timing()
	l.list(now)
	if rest := l.Rest(); rest > 0 {
		l.restart(now.Add(rest))
		return
	}
	for _, key := range l.where(func(s *stir) bool { return s.wantsLook(now, timing) }) {
		l.look(ctx, key, now)
	}
	for _, key := range l.where(func(s *stir) bool { return len(s.due) > 0 }) {
		a := l.judge(key, now, timing)
		if a.changed {
			l.look(ctx, key, now) // perhaps the step has been taken
			a = l.judge(key, now, timing)
		}
		l.raise(ctx, key, a)
	}
}

// list finds the queues of which the loop has heard no change yet and those that have gone, and
// tells the observer which exist.
func (l *Loop) list(now time.Time) {
	if !l.wantsList(now) {
		return
	}
	keys := l.Keys()
	gone := l.compare(keys, now)
	if len(gone) > 0 || now.Sub(l.told) >= quietPause {
		l.told = now
		l.Observer.Listed(keys)
	}
	for _, key := range gone {
		l.Forget(key)
	}
}

// wantsList says whether it is time for a list. What changes from here on wants another one.
func (l *Loop) wantsList(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	pause := quietPause
	if l.moved {
		pause = listPause * time.Duration(1+len(l.known)/1000)
	}
	if !l.listed.IsZero() && now.Sub(l.listed) < pause {
		return false
	}
	l.listed, l.moved = now, false
	return true
}

// compare returns the queues that are gone: those that are not among the keys of a list that began
// now.
func (l *Loop) compare(keys []queue.Key, now time.Time) (gone []queue.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists++
	for _, key := range keys {
		if l.known[key] == 0 && l.stirring[key] == nil {
			l.change(key, now)
		}
		l.known[key] = l.lists
	}
	for key, s := range l.stirring {
		switch {
		case l.known[key] != 0:
		case s.last.After(now): // it may have come after the list began: the next list will show it
			l.known[key] = l.lists
		default:
			l.known[key] = l.lists - 1 // which no list has shown yet
		}
	}
	for key, list := range l.known {
		if list == l.lists {
			continue
		}
		gone = append(gone, key)
		delete(l.known, key)
		delete(l.stirring, key)
		delete(l.acting, key)
	}
	return gone
}

// restart has everything that is due count from a later time on.
func (l *Loop) restart(then time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.stirring {
		*s = stir{first: then, last: then}
	}
}

// where lists the queues for which it is true, in an order that every replica has for itself: two
// that take the same queues over begin with different ones.
func (l *Loop) where(is func(*stir) bool) []queue.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	type ranked struct {
		queue.Key
		rank uint64
	}
	var found []ranked
	for key, s := range l.stirring {
		if is(s) {
			h := fnv.New64a()
			_, _ = h.Write([]byte(l.Name + " " + key.String()))
			found = append(found, ranked{key, h.Sum64()})
		}
	}
	slices.SortFunc(found, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	keys := make([]queue.Key, len(found))
	for i, f := range found {
		keys[i] = f.Key
	}
	return keys
}

func (s *stir) wantsLook(now time.Time, t Timing) bool {
	settled := now.Sub(s.last) >= t.settling() || now.Sub(s.first) >= longestSettling
	return !s.last.IsZero() && settled || !s.next.IsZero() && !now.Before(s.next)
}

// look finds out what a queue waits for. A step that was not due before is due since the last
// change, or since the time that made it due.
func (l *Loop) look(ctx context.Context, key queue.Key, now time.Time) {
	since, seen := l.beginLook(key)
	if !seen {
		return
	}
	var actions []queue.Action
	var until time.Time
	if l.Visible(key) {
		var err error
		if actions, until, err = l.Due(ctx, key); err != nil {
			klog.FromContext(ctx).Error(err, "recovery cannot look at a queue", "queue", key.String())
			l.postpone(key, now.Add(lookPause))
			return
		}
	}
	if !until.IsZero() && !until.After(now) {
		until = now.Add(lookPause)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stirring[key]
	if s == nil {
		return // it has gone meanwhile
	}
	s.next, s.due = until, again(s.due, actions, since)
	if len(s.due) == 0 && s.next.IsZero() && s.last.IsZero() {
		delete(l.stirring, key)
	}
}

// beginLook returns when the queue last changed. What changes from here on wants another look.
func (l *Loop) beginLook(key queue.Key) (since time.Time, seen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stirring[key]
	if s == nil {
		return since, false
	}
	if l.known[key] == 0 {
		l.known[key] = l.lists // so that it is forgotten if no list shows it
	}
	if since = s.last; since.IsZero() {
		since = s.next
	}
	s.first, s.last, s.next = time.Time{}, time.Time{}, time.Time{}
	return since, true
}

func (l *Loop) postpone(key queue.Key, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.stirring[key]; s != nil {
		s.next = next
	}
}

// again returns the actions as what is due; those that were due before have been so for longer.
func again(was []dueStep, actions []queue.Action, since time.Time) []dueStep {
	before := make(map[string]dueStep, len(was))
	for _, step := range was {
		before[step.Step()] = step
	}
	is := make([]dueStep, len(actions))
	for i, a := range actions {
		step, known := before[a.Step()]
		if !known {
			step.since = since
		}
		step.Action = a
		is[i] = step
	}
	return is
}

// alarm is what follows from steps that are overdue.
type alarm struct {
	told []queue.Action // steps that the observer has not heard of
	wake bool
	// took is the step for which this replica begins to act on the queue, and after how long; nil
	// if it does not, or acts already.
	took  queue.Action
	after time.Duration
	late  bool
	// changed says that the queue has to be looked at first.
	changed bool
}

// judge says what follows from the steps of a queue that are overdue. A leader takes nothing over
// from itself: what it has not done in good time only wakes its queue, unless a change has done so.
func (l *Loop) judge(key queue.Key, now time.Time, t Timing) (a alarm) {
	leads, part, visible := l.Leadership.Leads(key), l.Leadership.Part(key), l.Visible(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stirring[key]
	switch {
	case s == nil:
		return a
	case !visible: // any more
		s.due = nil
		return a
	}
	patience, silent := t.late(), !leads && l.lives[part].silent(now, t)
	switch {
	case leads:
		patience = t.settling()
	case silent:
		patience = t.TakeoverAfter
	}
	overdue := func(step dueStep) bool { return now.Sub(step.since) >= patience }
	first := slices.IndexFunc(s.due, overdue)
	switch {
	case first < 0, leads && !s.last.IsZero():
		return a
	case !s.last.IsZero():
		return alarm{changed: true}
	case silent && !l.acts(key) && !l.mayTake(part, now, t):
		return a
	}
	for i := range s.due {
		step := &s.due[i]
		if !overdue(*step) {
			continue
		}
		if now.Sub(step.woken) >= wakePause {
			step.woken, a.wake = now, true
		}
		if !step.told && (!leads || now.Sub(step.since) >= tellsAfter*t.TakeoverAfter) {
			step.told = true
			a.told = append(a.told, step.Action)
		}
	}
	if !leads && l.takeOver(key, now, t) {
		a.took, a.after, a.late = s.due[first].Action, now.Sub(s.due[first].since), patience > t.TakeoverAfter
	}
	return a
}

// raise has an alarm heard.
func (l *Loop) raise(ctx context.Context, key queue.Key, a alarm) {
	for _, step := range a.told {
		l.Observer.Overdue(key, step)
	}
	if a.took != nil {
		klog.FromContext(ctx).Info("recovery takes over a queue", "queue", key.String(), "overdue", a.took.String(), "late", a.late)
		l.Observer.TookOver(key, a.took, a.after)
	}
	if a.wake {
		l.Wake(key)
	}
}

// takeOver has this replica act on the queue for a while. It says whether it did not already.
func (l *Loop) takeOver(key queue.Key, now time.Time, t Timing) bool {
	was, acted := l.acting[key]
	l.acting[key] = now.Add(t.acting())
	return !acted || !now.Before(was)
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
	return l.acts(key)
}

func (l *Loop) acts(key queue.Key) bool {
	until, ok := l.acting[key]
	if ok && !l.Clock.Now().Before(until) {
		delete(l.acting, key)
		return false
	}
	return ok
}
