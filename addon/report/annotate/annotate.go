// Package annotate tells people on the runs themselves where they stand: their
// position, what they wait for and when their turn may come.
//
// Guaranteed: per queue there is at most one round of writes per interval, and a
// round writes only to runs whose text changed, once each, of which only those in
// the first positions have a text that changes as the queue moves. What the rest
// have says no more than that they are further back. Every write waits for its
// token; what it says is decided after that, by a look that was the latest less
// than a second ago, and a run that no longer waits is left alone. Namespaces take
// turns, and so do the queues of each, with a few writes in a turn. Nothing waits
// for these writes, and a run that has changed since it was seen is not written to.
//
// Not guaranteed: that a text is true when it is read. Times in it are absolute for
// that reason, and the plugin tells the truth of the moment.
package annotate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/turns"
)

// Refresh bounds what is written.
type Refresh struct {
	// Interval is the least time between two rounds over a queue.
	Interval time.Duration
	// Positions is how many, from the front, are told exactly. None is written to
	// if it is zero; a round under way then ends at once.
	Positions int
}

// Board is where texts are shown. Show returns engine.ErrStale for a run that is no longer as it
// was seen. A run whose texts Shown does not know is left alone.
type Board interface {
	Shown(key queue.Key, run queue.Run) (texts map[string]string, known bool)
	Show(ctx context.Context, key queue.Key, run queue.Run, texts map[string]string) error
}

// Config holds what an Annotator works with; all of it is required.
type Config struct {
	Board Board
	// Looks are the latest looks. They have to come before the Annotator among the observers of a
	// replica: a change that it hears of is in them.
	Looks  *latest.Looks
	Events event.Sink
	Clock  clock.Clock
	// Pace is how fast texts are written.
	Pace    *pace.Pace
	Policy  func() queue.Policy
	Refresh func() Refresh
	// Acts says whether this replica works on the queue. Others write nothing.
	Acts func(queue.Key) bool
}

// Annotator keeps the texts of all queues up to date. It observes a replica, and is safe for
// concurrent use.
type Annotator struct {
	engine.Unobserved
	Config
	recent report.Recent

	mu     sync.Mutex
	queues map[queue.Key]*sheet

	// The rest is that of Run alone.

	// rounds are those under way. Their queues stand in the line.
	rounds map[queue.Key]*round
	line   turns.Queues
	// asked is when it was last asked which rounds are due.
	asked time.Time
	// plan is the last one that was made; nil once it is of no more use.
	plan *plan
	// token says that one was taken and nothing was left to be written with it.
	token bool
}

// sheet is what was written about one queue of late. There is none of a queue in which nothing has
// changed since a round that was long enough ago.
type sheet struct {
	changed bool      // since the last round
	round   time.Time // the last one
}

var _ engine.Observer = (*Annotator)(nil)

// New returns an Annotator.
func New(c Config) *Annotator {
	return &Annotator{Config: c, queues: map[queue.Key]*sheet{}, rounds: map[queue.Key]*round{}}
}

// Looked implements engine.Observer. What the caches alone show is not written.
func (a *Annotator) Looked(l engine.Look) {
	if !l.Confirmed() {
		return
	}
	a.recent.Note(l.Snapshot.Key, l.Notable())
	a.change(l.Snapshot.Key)
}

// Wrote implements engine.Observer. A start or a claim that is refused is worth telling.
func (a *Annotator) Wrote(w engine.Write) {
	if w.Err == nil || errors.Is(w.Err, engine.ErrStale) {
		return
	}
	switch w.Action.(type) {
	case queue.Start, queue.Claim:
		a.change(w.Repository.Key)
	case queue.Stamp, queue.Expire, queue.Release, queue.Remove, queue.Cancel, queue.HandBack, queue.Forget: // no news of a run that waits
	}
}

// change has the next round look at the queue.
func (a *Annotator) change(key queue.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.queues[key] == nil {
		a.queues[key] = &sheet{}
	}
	a.queues[key].changed = true
}

// Missing implements engine.Observer.
func (a *Annotator) Missing(key queue.Key, _ []queue.Run) {
	a.recent.Forget(key)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.queues, key)
}

// Listed implements engine.Observer.
func (a *Annotator) Listed(keys []queue.Key) {
	exists := queue.KeySet(keys)
	a.recent.Keep(func(key queue.Key) bool { return exists[key] })
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.queues, func(key queue.Key, _ *sheet) bool { return !exists[key] })
}

const (
	// look is how often queues are looked at for one whose round is due, and how long a plan is
	// good for: what goes into one costs more than a write once thousands of runs wait.
	look = time.Second
	// perTurn is how many texts of a queue are written before it is another's turn.
	perTurn = 5
)

// Run writes until the context ends.
func (a *Annotator) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.Clock.After(look):
			a.Round(ctx)
		}
	}
}

// Round writes what is due of all queues, and what becomes due meanwhile.
func (a *Annotator) Round(ctx context.Context) {
	a.begin()
	for ctx.Err() == nil {
		if a.Clock.Since(a.asked) >= look {
			a.begin()
		}
		key, ok := a.line.Next()
		if !ok {
			return
		}
		if !a.turn(ctx, key) {
			delete(a.rounds, key)
			a.line.Leave(key)
			a.plan = nil
		}
	}
}

// begin begins the rounds that are due: those of the queues that have changed and whose last round
// began long enough ago.
func (a *Annotator) begin() {
	refresh := a.Refresh()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Now()
	a.asked = now
	for key, s := range a.queues {
		switch {
		case !a.Acts(key):
			delete(a.queues, key) // another replica's now; its news will bring it back
		case a.rounds[key] != nil || now.Sub(s.round) < refresh.Interval:
		case !s.changed:
			delete(a.queues, key)
		case refresh.Positions > 0:
			s.changed, s.round = false, now
			a.rounds[key] = &round{told: map[string]bool{}}
			a.line.Join(key)
		}
	}
}

// again has the next round of a queue try what this one could not write.
func (a *Annotator) again(key queue.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.queues[key]; s != nil {
		s.changed = true
	}
}

// turn writes a few texts of a queue, and says whether its round goes on. What is written is
// decided once there is a token for it. A run that has changed since is left to the next round. One
// whose change is refused keeps no other from being told; after any other error, or too many
// refusals, the rest is left to the next round, too.
func (a *Annotator) turn(ctx context.Context, key queue.Key) (goesOn bool) {
	for range perTurn {
		if _, is := a.next(key); !is {
			return false
		}
		if !a.token && a.Pace.Take(ctx) != nil {
			return true
		}
		a.token = true
		n, is := a.next(key)
		if !is {
			return false
		}
		a.token = false
		if err := a.show(ctx, key, n); err != nil {
			klog.FromContext(ctx).V(1).Info("annotations not written", "queue", key.String(), "reason", err.Error())
			a.again(key)
			return false
		}
	}
	return true
}

// show writes one text. It returns an error if that ends the round.
func (a *Annotator) show(ctx context.Context, key queue.Key, n notice) error {
	r := a.rounds[key]
	r.told[n.run.UID] = true
	switch err := a.Board.Show(ctx, key, n.run, n.text); {
	case errors.Is(err, engine.ErrStale):
	case err != nil:
		a.again(key)
		r.refused++
		if !isRefusal(err) || r.refused > a.Refresh().Positions {
			return fmt.Errorf("%s: %w", n.run.Name, err)
		}
	case n.first:
		a.Events.Record(event.Queued(key, n.run, n.text[pac.Reason]))
	}
	return nil
}

// lasts says whether where the run stands is worth writing down: nothing is that is
// over in a moment, nor on runs that PAC has back or that are started.
func lasts(is queue.Standing, refusal string) bool {
	switch {
	case is.Run.Phase != queue.Pending, is.Why == queue.Superseded, is.Why == queue.Outdated, is.Why == queue.Dropped:
		return false
	case is.Why == queue.Due, is.Why == queue.Refused:
		return refusal != ""
	case is.Why == queue.HandedBack:
		return is.Run.Held()
	default:
		return true
	}
}

// isRefusal says that the API server, or an admission policy, does not want this very
// change.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// texts are the annotations of one run, those that it must not have empty.
func texts(is queue.Standing, all queue.Standings, refusal string, positions int) map[string]string {
	text := map[string]string{pac.Status: string(is.State()), pac.Position: "", pac.QueueLength: "", pac.EstimatedStart: ""}
	switch {
	case is.Position == 0:
		text[pac.Reason] = pac.Fit(pac.Reason, report.Why(is, all, refusal, report.Written))
	case is.Position > positions:
		text[pac.Position] = fmt.Sprintf("more than %d", positions)
		text[pac.Reason] = fmt.Sprintf("waiting for a slot, behind more than %d others", positions)
	default:
		text[pac.Position], text[pac.QueueLength] = strconv.Itoa(is.Position), strconv.Itoa(all.Waiting)
		text[pac.Reason] = pac.Fit(pac.Reason, report.Why(is, all, refusal, report.Written))
	}
	return text
}

func same(want, is map[string]string) bool {
	for name, text := range want {
		if is[name] != text {
			return false
		}
	}
	return true
}
