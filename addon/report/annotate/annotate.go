// Package annotate tells people on the runs themselves where they stand: their
// position, what they wait for and when their turn may come.
//
// Guaranteed: no text is written that the budget has no room for, and queues take turns; per queue
// there is at most one round of writes per interval, and a round writes only to runs whose text
// changed, of which only those in the first positions have a text that changes as the queue moves.
// What the rest have says no more than that they are further back. Nothing waits for these writes,
// and a run that has changed since it was seen is not written to.
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
)

// Refresh bounds what is written.
type Refresh struct {
	// Interval is the least time between two rounds over a queue.
	Interval time.Duration
	// Positions is how many, from the front, are told exactly. None is written to
	// if it is zero.
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
	Looks   *latest.Looks
	Events  event.Sink
	Clock   clock.Clock
	Policy  func() queue.Policy
	Refresh func() Refresh
	// Acts says whether this replica works on the queue. Others write nothing.
	Acts   func(queue.Key) bool
	Budget event.Budget
}

// Annotator keeps the texts of all queues up to date. It observes a replica, and is safe for
// concurrent use.
type Annotator struct {
	engine.Unobserved
	Config
	recent report.Recent

	mu     sync.Mutex
	queues map[queue.Key]*sheet
}

// sheet is what was written about one queue.
type sheet struct {
	changed bool      // since the last round
	unended bool      // the last round has left something to the queue's next turn
	began   time.Time // when the last round did
	round   *round    // the last one; Run's own
}

// round is what became of one round so far. A run has one text in it, and one that refuses its
// text keeps no other from its own.
type round struct {
	tried   map[string]bool // by run UID
	refused int
}

var _ engine.Observer = (*Annotator)(nil)

// New returns an Annotator.
func New(c Config) *Annotator { return &Annotator{Config: c, queues: map[queue.Key]*sheet{}} }

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
	case queue.Stamp, queue.Expire, queue.Release, queue.Remove, queue.Cancel, queue.HandBack: // no news of a run that waits
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

// look is how often queues are looked at for one whose round is due.
const look = time.Second

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

// Round writes what is due of all queues, which take turns.
func (a *Annotator) Round(ctx context.Context) {
	for due := a.due(a.Refresh()); len(due) > 0; due = a.due(a.Refresh()) {
		for key, round := range due {
			if ctx.Err() != nil {
				return
			}
			a.turn(ctx, key, round)
		}
	}
}

// perTurn is how many texts of a queue are written before it is the next queue's turn.
const perTurn = 10

// turn writes some of what is due of one queue.
func (a *Annotator) turn(ctx context.Context, key queue.Key, r *round) {
	unended, err := a.write(ctx, key, r)
	if err != nil {
		klog.FromContext(ctx).V(1).Info("annotations not written", "queue", key.String(), "reason", err.Error())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.queues[key]; s != nil {
		s.changed, s.unended = s.changed || err != nil, unended
	}
}

// due are the rounds of the queues that have changed and whose last round is long enough ago, which
// count from now, and those that have not ended.
func (a *Annotator) due(refresh Refresh) map[queue.Key]*round {
	a.mu.Lock()
	defer a.mu.Unlock()
	due := map[queue.Key]*round{}
	now := a.Clock.Now()
	for key, s := range a.queues {
		switch {
		case !a.Acts(key):
			delete(a.queues, key) // another replica's now; its news will bring it back
		case refresh.Positions > 0 && s.unended:
			s.unended = false
			due[key] = s.round
		case refresh.Positions > 0 && s.changed && now.Sub(s.began) >= refresh.Interval:
			s.changed, s.began, s.round = false, now, &round{tried: map[string]bool{}}
			due[key] = s.round
		}
	}
	return due
}

// write brings the texts of one queue up to date, as far as one turn goes, and says whether that
// leaves something to the next turn. What is written is decided once there is room for it, by the
// latest look. A run that has changed since is left to the next round; so is the rest after an
// error that is no refusal, or after too many refusals.
func (a *Annotator) write(ctx context.Context, key queue.Key, r *round) (unended bool, err error) {
	var now page
	var refused []error
	room := false
	for written := 0; ; {
		known, ok := a.Looks.Get(key)
		positions := a.Refresh().Positions
		switch {
		case !ok || !known.Confirmed(): // the next confirmed look brings it back
			return false, errors.Join(refused...)
		case positions == 0:
			return true, errors.Join(refused...)
		case !now.At.Equal(known.At) || now.positions != positions:
			now = a.page(known, positions)
		}
		is, text, ok := a.next(&now, r)
		switch {
		case !ok:
			return false, errors.Join(refused...)
		case written == perTurn:
			return true, errors.Join(refused...)
		case !room:
			if err := a.Budget.Wait(ctx); err != nil {
				return false, err
			}
			room = true
			continue
		}
		room = false
		written++
		r.tried[is.Run.UID] = true
		first := text[pac.QueuedAt] == ""
		if first {
			text[pac.QueuedAt] = a.Clock.Now().UTC().Format(time.RFC3339)
		}
		switch err := a.Board.Show(ctx, key, *is.Run, text); {
		case errors.Is(err, engine.ErrStale):
		case err != nil:
			refused = append(refused, fmt.Errorf("%s: %w", is.Run.Name, err))
			r.refused++
			if !isRefusal(err) || r.refused > positions {
				return false, errors.Join(refused...)
			}
		case first:
			a.Events.Record(event.Queued(key, *is.Run, text[pac.Reason]))
		}
	}
}

// page is what one look has to tell about a queue.
type page struct {
	latest.Known
	queue.Standings
	positions int
	typical   time.Duration // what a run took
	of        int           // of how many that is known
	turns     map[string]time.Time
	at        int // the first run that is not yet known to have its text
}

func (a *Annotator) page(known latest.Known, positions int) page {
	now := a.Clock.Now()
	p := page{Known: known, Standings: queue.Stand(known.Snapshot, now, a.Policy()), positions: positions}
	p.typical, p.of = a.recent.Typical(known.Snapshot.Key)
	if p.of > 0 {
		p.turns = report.Turns(p.Standings, p.typical, now)
	}
	return p
}

// next is the first run whose text is not what it should be, of those that the round has not tried,
// with its text. Since when it waits is empty if it has not been told.
func (a *Annotator) next(p *page, r *round) (is queue.Standing, text map[string]string, ok bool) {
	for ; p.at < len(p.Standings.Runs); p.at++ {
		is := p.Standings.Runs[p.at]
		refusal := p.Refusals[is.Run.UID]
		if r.tried[is.Run.UID] || !lasts(is, refusal) {
			continue
		}
		shown, kept := a.Board.Shown(p.Snapshot.Key, *is.Run)
		if !kept {
			continue
		}
		text := texts(is, p.Standings, refusal, p.positions)
		if turn, ok := p.turns[is.Run.UID]; ok && 0 < is.Position && is.Position <= p.positions {
			text[pac.EstimatedStart] = fmt.Sprintf("%s (the last %d took %s, by the median)",
				turn.UTC().Truncate(time.Minute).Format("2006-01-02T15:04Z"), p.of, report.Round(p.typical))
		}
		if text[pac.QueuedAt] = shown[pac.QueuedAt]; text[pac.QueuedAt] == "" || !same(text, shown) {
			return is, text, true
		}
	}
	return queue.Standing{}, nil, false
}

// lasts says whether where the run stands is worth writing down: nothing is that is
// over in a moment, nor on runs that PAC has back or that are started.
func lasts(is queue.Standing, refusal string) bool {
	switch {
	case is.Run.Phase != queue.Pending, is.Why == queue.Superseded:
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
