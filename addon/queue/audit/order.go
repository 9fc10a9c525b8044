package audit

import (
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// checkOrder: no run that has been eligible for longer than the lag stands before r and waits,
// except those that are about to be cancelled. When an event began, and which runs its order lists,
// is forgotten with its first runs, and an order may arrive while a replica decides: a claim that
// was right by what there was to see is not blamed.
func (a *Auditor) checkOrder(r *record, at time.Time) {
	if a.spec.Order != queue.Events || a.unsure(r, at) {
		return
	}
	known, alive := a.known(), queue.Line(a.alive(), nil)
	everyPlace := queue.Line(known, nil)
	pointless := a.pointless(everyPlace)
	stood := []queue.Place{placeOf(r, everyPlace), placeOf(r, alive)}
	if at.Sub(r.placedAt) <= a.Lag {
		stood = append(stood, queue.Place{Run: &r.Run, Event: queue.Event{ID: r.Name, Created: r.Created}})
	}
	for _, p := range alive {
		o := a.runs[p.Run.UID]
		if _, ok := pointless[o.UID]; ok || !a.hasWaited(o, at) || a.unsure(o, at) || o.Priority != r.Priority {
			continue
		}
		notBehind := func(s queue.Place) bool {
			if s.Event.ID == p.Event.ID {
				s.Event, s.Came = p.Event, p.Came
			}
			return p.Compare(s) >= 0
		}
		if !slices.ContainsFunc(stood, notBehind) {
			a.violate("I3", at, "%s overtook %s", r.Name, o.Name)
			return
		}
		if a.Stamps && len(stood) == 2 && unsettled(stood[0], stood[1], placeOf(o, everyPlace), p) {
			a.violate("I3", at, "%s is claimed, and nothing says whether it came before %s", r.Name, o.Name)
			return
		}
	}
}

// unsettled says that two runs are of different events of one second, one of which has no stamp.
// Each is in its place among all runs and in that among those alive: what an observer sees is in
// between.
func unsettled(r, alive, o, aliveToo queue.Place) bool {
	return r.Event.ID != o.Event.ID && r.Event.Created.Equal(o.Event.Created) &&
		alive.Event.Created.Equal(r.Event.Created) && aliveToo.Event.Created.Equal(o.Event.Created) &&
		!(r.Event.Arrived.Known() && o.Event.Arrived.Known())
}

func placeOf(r *record, line []queue.Place) queue.Place {
	return line[slices.IndexFunc(line, func(p queue.Place) bool { return p.Run.UID == r.UID })]
}

// markEligible notes since when runs could have been started. A run that has its place only from
// another run's list loses it when that run is over; a run behind one of its event that PAC still
// prepares has to wait for it.
func (a *Auditor) markEligible(at time.Time) {
	preparing := map[string]bool{} // events
	for _, p := range queue.Line(a.alive(), nil) {
		o := a.runs[p.Run.UID]
		if o.Phase == queue.Pending && !o.claimed && o.Owed != "" && p.Ordered {
			preparing[p.Event.ID] = true
		}
		switch eligible := o.Phase == queue.Pending && o.Owed == "" && (p.Ordered || o.Order.Malformed()) && !preparing[p.Event.ID]; {
		case !eligible:
			o.eligibleAt = time.Time{}
		case o.eligibleAt.IsZero():
			o.eligibleAt = at
		}
	}
}

func sequenceID(r queue.Run) string {
	if s := r.Sequence(); s != nil {
		return s.ID
	}
	return ""
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
