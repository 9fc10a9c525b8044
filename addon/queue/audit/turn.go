package audit

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// turn is when a group was served last, and as the how manieth.
type turn struct {
	at     time.Time
	number int
}

// checkPause: nothing is claimed or started in a queue that has been paused for longer than the
// lag.
func (a *Auditor) checkPause(r *record, what string, at time.Time) {
	if a.spec.Paused && at.Sub(a.shaped) > a.Lag {
		a.violate("paused", at, "%s is %s", r.Name, what)
	}
}

// checkTurn is checkOrder for a queue whose order is not that of events.
func (a *Auditor) checkTurn(r *record, at time.Time) {
	defer a.serve(r, at)
	if at.Sub(a.shaped) <= a.Lag {
		return
	}
	line := queue.Line(a.known(), nil)
	pointless := queue.SupersededBy(line)
	mine := placeOf(r, line)
	for _, p := range line {
		o := a.runs[p.Run.UID]
		if _, ok := pointless[o.UID]; ok || o == r || !a.hasWaited(o, at) || o.Priority < r.Priority {
			continue
		}
		if o.Priority > r.Priority {
			a.violate("I3", at, "%s, of priority %d, overtook %s, of priority %d", r.Name, r.Priority, o.Name, o.Priority)
			return
		}
		switch a.spec.Order {
		case queue.Events:
			if p.Compare(mine) < 0 {
				a.violate("I3", at, "%s overtook %s, of the same priority", r.Name, o.Name)
				return
			}
		case queue.NewestFirst:
			if p.Event.ID != mine.Event.ID && p.Compare(mine) > 0 {
				a.violate("I3", at, "%s overtook %s, which is newer", r.Name, o.Name)
				return
			}
		case queue.Fair:
			// Who serves a group does not have to know of what was served a moment ago.
			was, again := a.served[a.group(r)]
			if its, known := a.served[a.group(o)]; again && a.group(r) != a.group(o) && (!known || its.number < was.number) &&
				at.Sub(was.at) > a.Lag {
				a.violate("I3", at, "%s overtook %s, whose group has waited for longer", r.Name, o.Name)
				return
			}
		}
	}
}

func (a *Auditor) group(r *record) string { return a.spec.FairBy.Group(r.Origin) }

func (a *Auditor) serve(r *record, at time.Time) {
	if a.spec.Order != queue.Fair {
		return
	}
	if a.served == nil {
		a.served = map[string]turn{}
	}
	last := 0
	for _, t := range a.served {
		last = max(last, t.number)
	}
	a.served[a.group(r)] = turn{at, last + 1}
}

// hasWaited says that the run could have had a slot for longer than the lag.
func (a *Auditor) hasWaited(r *record, at time.Time) bool {
	return r.Phase == queue.Pending && !r.claimed && r.NotBefore.IsZero() &&
		!r.eligibleAt.IsZero() && at.Sub(latest(r.eligibleAt, r.placedAt)) > a.Lag
}

func (a *Auditor) prioritized() bool {
	for _, r := range a.runs {
		if r.Priority != 0 {
			return true
		}
	}
	return false
}
