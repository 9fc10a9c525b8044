package queue

import "time"

// Cause is why a queue cancels a run.
type Cause string

const (
	// Replaced is what PAC's cancel-in-progress does.
	Replaced Cause = "superseded"
	// NotNewest is a run that [Spec.KeepNewest] has no more use for.
	NotNewest Cause = "not the newest"
	// TooMany is one beyond [Spec.MostWaiting].
	TooMany Cause = "too many"
	// TooOld is one beyond [Spec.MaxAge].
	TooOld Cause = "too old"
)

// waits says that the run waits for a slot.
func waits(p *Place) bool { return p.is&(isPending|isHolder) == isPending && !p.Run.Ending }

// waitsFrom says that the run waits, and is known to be of some definition.
func waitsFrom(p *Place) bool { return waits(p) && p.Run.Origin.Definition != "" }

// replace cancels the runs that wait although a newer one of the same origin waits, too. The rule
// is that of [SupersededBy], but neither what runs nor what has a slot is part of it.
func (d *decider) replace() {
	if !d.spec.KeepNewest {
		return
	}
	d.replaced = supersededBy(d.line, waitsFrom, waitsFrom)
	for i := range d.line {
		p := &d.line[i]
		if by, is := d.replaced[p.Run.UID]; is && !d.wasCancelled(p.Run) {
			d.do(Cancel{Run: *p.Run, By: *by, Cause: NotNewest, Spec: d.spec})
		}
	}
}

// Newer finds for each run of a known definition, by UID, the newest run that came later, of the
// same definition and branch, or pull request, whatever has become of the two.
func Newer(line []Place) map[string]*Run {
	known := func(p *Place) bool { return p.Run.Origin.Definition != "" }
	return supersededBy(line, known, known)
}

func (d *decider) isReplaced(r *Run) bool {
	if len(d.replaced) == 0 {
		return false
	}
	_, is := d.replaced[r.UID]
	return is
}

// wasCancelled says that this decision cancels the run already.
func (d *decider) wasCancelled(r *Run) bool {
	_, is := d.superseded[r.UID]
	return is
}

// bound cancels the runs that wait for too long, and of too many the newest. It comes after the
// claims: a run that gets a slot waits no more. While the queue is paused, it cancels nothing: what
// waits for the end of a pause is not lost.
func (d *decider) bound() {
	if d.spec.Paused || d.spec.MostWaiting == 0 && d.spec.MaxAge == 0 {
		return
	}
	gets := map[string]bool{}
	for _, a := range d.decision.Actions {
		if claim, is := a.(Claim); is {
			gets[claim.Run.UID] = true
		}
	}
	waiting := 0
	for rank := range d.line {
		p := &d.line[rank]
		if !waits(p) || gets[p.Run.UID] || d.isSuperseded(p.Run) {
			continue
		}
		waiting++
		switch until := d.mayWaitUntil(p.Run); {
		case !until.IsZero() && !d.now.Before(until):
			d.drop(p, TooOld)
			waiting--
		// Behind the settled places, nobody can tell yet which run is the newest.
		case d.spec.MostWaiting > 0 && waiting > d.spec.MostWaiting && rank < d.settled && d.placed(p):
			d.drop(p, TooMany)
		case !until.IsZero():
			d.wake(until)
		}
	}
}

// mayWaitUntil is when the run has waited for too long; zero if it never has.
func (d *decider) mayWaitUntil(r *Run) (until time.Time) {
	if d.spec.MaxAge > 0 {
		until = r.Created.Add(d.spec.MaxAge)
	}
	return until
}

func (d *decider) drop(p *Place, why Cause) {
	if d.dropped == nil {
		d.dropped = map[string]Cause{}
	}
	d.dropped[p.Run.UID] = why
	d.decision.Summary.Waiting--
	d.do(Cancel{Run: *p.Run, Cause: why, Spec: d.spec})
}
