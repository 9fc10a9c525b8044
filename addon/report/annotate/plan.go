package annotate

import (
	"fmt"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
)

// round is one over a queue.
type round struct {
	// told are the UIDs of the runs that were written to, or that refused it.
	told    map[string]bool
	refused int
}

// notice is one text to be written.
type notice struct {
	run   queue.Run
	text  map[string]string
	first bool
}

// plan is what the runs of a queue should say, by one look at it.
type plan struct {
	key       queue.Key
	made      time.Time
	positions int
	known     latest.Known
	all       queue.Standings
	// typical is how long the last runs took, and of is how many those are.
	typical time.Duration
	of      int
	turns   map[string]time.Time
	// at is the first run of which it is not known that it says the right thing already.
	at int
}

// next is the first text of a queue that this round has to write; false if there is none any more.
// It is safe to ask again: nothing is taken.
func (a *Annotator) next(key queue.Key) (notice, bool) {
	positions := a.Refresh().Positions
	known, ok := a.Looks.Get(key)
	switch {
	case positions == 0:
		a.again(key) // once it is turned on again
		return notice{}, false
	case !ok, !known.Confirmed(), !a.Acts(key):
		return notice{}, false // the next confirmed look brings it back
	}
	p, r := a.planFor(known, positions), a.rounds[key]
	for ; p.at < len(p.all.Runs); p.at++ {
		is := p.all.Runs[p.at]
		if r.told[is.Run.UID] {
			continue
		}
		if n, wrong := a.compare(p, is); wrong {
			if n.run, ok = stillSo(p.known.Snapshot, known.Snapshot, is.Run.UID); ok {
				return n, true
			}
		}
	}
	return notice{}, false
}

// planFor returns the plan for a queue, which is made anew if it is not from the last second.
func (a *Annotator) planFor(known latest.Known, positions int) *plan {
	now, key := a.Clock.Now(), known.Snapshot.Key
	if p := a.plan; p != nil && p.key == key && p.positions == positions && now.Sub(p.made) < look {
		return p
	}
	p := &plan{key: key, made: now, positions: positions, known: known, all: queue.Stand(known.Snapshot, now, a.Policy())}
	if p.typical, p.of = a.recent.Typical(key); p.of > 0 {
		p.turns = report.Turns(p.all, p.typical, now)
	}
	a.plan = p
	return p
}

// compare is what a run should say; false if it does already, or need not say anything.
func (a *Annotator) compare(p *plan, is queue.Standing) (notice, bool) {
	refusal := p.known.Refusals[is.Run.UID]
	if !lasts(is, refusal) {
		return notice{}, false
	}
	shown, kept := a.Board.Shown(p.key, *is.Run)
	if !kept {
		return notice{}, false
	}
	text := texts(is, p.all, refusal, p.positions)
	if turn, ok := p.turns[is.Run.UID]; ok && 0 < is.Position && is.Position <= p.positions {
		text[pac.EstimatedStart] = fmt.Sprintf("%s (the last %d took %s, by the median)",
			turn.UTC().Truncate(time.Minute).Format("2006-01-02T15:04Z"), p.of, report.Round(p.typical))
	}
	text[pac.QueuedAt] = shown[pac.QueuedAt]
	first := text[pac.QueuedAt] == ""
	if first {
		text[pac.QueuedAt] = a.Clock.Now().UTC().Format(time.RFC3339)
	}
	return notice{text: text, first: first}, !same(text, shown)
}

// stillSo returns the run as it was last seen, if it waits as it did: with the slot that it had, or
// still without.
func stillSo(was, is queue.Snapshot, uid string) (queue.Run, bool) {
	at := slices.IndexFunc(is.Runs, func(r *queue.Run) bool { return r.UID == uid })
	if at < 0 {
		return queue.Run{}, false
	}
	return *is.Runs[at], is.Runs[at].Phase == queue.Pending && slotOf(was, uid) == slotOf(is, uid)
}

// slotOf is the slot that names the run.
func slotOf(s queue.Snapshot, uid string) int {
	for _, slot := range s.Slots {
		if slot.Holder != nil && slot.Holder.UID == uid {
			return slot.Index
		}
	}
	return queue.NoSlot
}
