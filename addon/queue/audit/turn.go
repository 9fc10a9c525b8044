package audit

import (
	"maps"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// turn is when a group was served last, and the number of that serving.
type turn struct {
	at     time.Time
	number int
	// unsure says that it was served by a replica that may not have known the queue's spec yet, and
	// so may not have written that down.
	unsure bool
}

// checkPlace checks that the queue was not paused and that no other run was to go first.
func (a *Auditor) checkPlace(r *record, what string, at time.Time) {
	if a.AnyOrder {
		a.served = nil
		return
	}
	a.checkPause(r, what, at)
	a.checkTurn(r, at)
	a.checkOrder(r, at)
}

// checkPause: nothing is claimed or started in a queue that has been paused for longer than the
// lag.
func (a *Auditor) checkPause(r *record, what string, at time.Time) {
	if a.spec.Paused && !a.AnyOrder && at.Sub(a.shaped) > a.Lag {
		a.violate("I3", at, "%s is %s in a paused queue", r.Name, what)
	}
}

// checkTurn: no run of a higher priority waits, or one that is to go first by an order that is not
// that of events.
func (a *Auditor) checkTurn(r *record, at time.Time) {
	defer a.serve(r, at)
	if a.spec.Order == queue.Events && !a.prioritized() || a.unsure(r, at) {
		return
	}
	line, alive := queue.Line(a.known(), nil), queue.Line(a.alive(), nil)
	pointless := a.pointless(line)
	mine, mineAlive := placeOf(r, line), placeOf(r, alive)
	for _, p := range alive {
		o := a.runs[p.Run.UID]
		if _, ok := pointless[o.UID]; ok || o == r || !a.hasWaited(o, at) || a.unsure(o, at) || o.Priority.Compare(r.Priority) < 0 {
			continue
		}
		if o.Priority.Compare(r.Priority) > 0 {
			a.violate("I3", at, "%s, of priority %s, overtook %s, of priority %s", r.Name, r.Priority, o.Name, o.Priority)
			return
		}
		switch a.spec.Order {
		case queue.Events: // checkOrder's
		case queue.NewestFirst:
			if its := placeOf(o, line); p.Event.ID != mineAlive.Event.ID && its.Compare(mine) > 0 && p.Compare(mineAlive) > 0 {
				a.violate("I3", at, "%s overtook %s, which is newer", r.Name, o.Name)
				return
			}
		case queue.Fair:
			// Who serves a group does not have to know of what was served a moment ago.
			was, again := a.served[a.group(r)]
			its, known := a.served[a.group(o)]
			if again && !was.unsure && !its.unsure && a.group(r) != a.group(o) && (!known || its.number < was.number) &&
				at.Sub(was.at) > a.Lag {
				a.violate("I3", at, "%s overtook %s, whose group has waited for longer", r.Name, o.Name)
				return
			}
		}
	}
}

// pointless has the runs, by UID, that are about to be cancelled for newer ones.
func (a *Auditor) pointless(line []queue.Place) map[string]*queue.Run {
	superseded := queue.SupersededBy(line)
	if !a.spec.KeepNewest {
		return superseded
	}
	outdated := queue.Newer(line)
	if outdated == nil {
		return superseded
	}
	maps.Copy(outdated, superseded)
	return outdated
}

// unsure says that a replica may not know yet what the queue's spec, or the run's priority, is.
func (a *Auditor) unsure(r *record, at time.Time) bool {
	return !a.shaped.IsZero() && at.Sub(a.shaped) <= a.Lag || r.urgentAt.After(r.seenAt) && at.Sub(r.urgentAt) <= a.Lag
}

func (a *Auditor) group(r *record) string { return a.spec.FairBy.Group(r.Origin) }

func (a *Auditor) serve(r *record, at time.Time) {
	if a.spec.Order != queue.Fair || a.Forgets || a.AnyOrder {
		return
	}
	if a.served == nil {
		a.served = map[string]turn{}
	}
	last := 0
	for _, t := range a.served {
		last = max(last, t.number)
	}
	a.served[a.group(r)] = turn{at, last + 1, a.unsure(r, at)}
}

// hasWaited says that the run could have had a slot for longer than the lag.
func (a *Auditor) hasWaited(r *record, at time.Time) bool {
	return r.Phase == queue.Pending && !r.claimed && r.NotBefore.IsZero() &&
		!r.eligibleAt.IsZero() && at.Sub(latest(r.eligibleAt, r.placedAt)) > a.Lag
}

func (a *Auditor) prioritized() bool {
	for _, r := range a.runs {
		if r.Priority != (queue.Priority{}) {
			return true
		}
	}
	return false
}
