package queue

import "time"

// Why is the reason why a run has not been started, or that it has.
type Why string

// Reasons to wait, or not.
const (
	// Running: it is started.
	Running Why = "running"
	// Starting: it has a slot, or is next to get one, and is about to be started.
	Starting Why = "starting"
	// SlotsTaken: all slots are taken, or the free ones go to runs before it.
	SlotsTaken Why = "slots taken"
	// LimitLowered: it has a slot, but more runs are started than the lowered limit allows.
	LimitLowered Why = "limit lowered"
	// WithoutOrder: PAC has not written its execution order yet.
	WithoutOrder Why = "no order"
	// Preparing: PAC is still preparing it.
	Preparing Why = "preparing"
	// BehindPreparing: PAC is still preparing a run before it in its event.
	BehindPreparing Why = "behind one in preparation"
	// BackOff: its start failed and is retried later.
	BackOff Why = "back-off"
	// Refused: its start has failed for the whole claim TTL.
	Refused Why = "refused"
	// Superseded: a newer run supersedes it; it is about to be cancelled.
	Superseded Why = "superseded"
	// HandedBack: the run is PAC's again, or will be once nothing runs.
	HandedBack Why = "handed back"
)

// Standing is where one run stands in its queue, and why.
type Standing struct {
	Run Run
	Why Why
	// Position among the runs that wait for a slot, from 1; 0 for a run that does not wait.
	Position int
	// Slot is the index of the slot that names it; NoSlot if none does, though it may be about to
	// get one (Starting).
	Slot int
	// Until is when time alone ends this wait; zero if it does not.
	Until time.Time
	// By is the run that supersedes it or that it waits behind, if any.
	By *Run
}

// Occupies says whether the run takes a unit of the limit, or is about to.
func (s Standing) Occupies() bool {
	return s.Why == Running || s.Why == Starting || s.Slot != NoSlot
}

// Standings explain a queue.
type Standings struct {
	Limit Limit
	// Runs that are not done, in queue order.
	Runs []Standing
	// Waiting counts the runs with a position.
	Waiting int
}

// Stand explains the decision that [Decide] makes on the same snapshot. A run of a Repository
// without a limit that PAC did not queue has no standing.
func Stand(s Snapshot, now time.Time, p Policy) Standings {
	d := decide(s, now, p)
	slots, started, expired := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, slot := range s.Slots {
		if slot.Holder != nil && d.names(slot) {
			slots[slot.Holder.UID] = slot.Index
		}
	}
	for _, a := range d.decision.Actions {
		switch a := a.(type) {
		case Claim:
			started[a.Run.UID] = true
		case Start:
			started[a.Run.UID] = true
		case Expire:
			expired[a.Run.UID] = true
		case Release, Remove, Cancel, HandBack:
			// Add nothing to what the snapshot and the decider already say about a wait.
		}
	}
	parked := map[int]bool{}
	for _, index := range d.decision.Parked {
		parked[index] = true
	}
	stands := Standings{Limit: s.Limit}
	preparing := map[string]*Run{} // by event
	for _, p := range d.line {
		run := p.Run
		slot, has := slots[run.UID]
		if !has {
			slot = NoSlot
		}
		is := Standing{Run: run, Slot: slot}
		wait, waits := d.firstWait(p)
		by, isSuperseded := d.superseded[run.UID]
		switch {
		case run.Phase == Done, s.Limit == Unlimited && run.Order == nil && !has:
			continue
		case run.Phase == Started:
			is.Why = Running
		case s.HandBack:
			is.Why = HandedBack
		case isSuperseded:
			is.Why, is.By = Superseded, &by
		case expired[run.UID]:
			is.Why = Refused
		case has && parked[slot]:
			is.Why = LimitLowered
		case has, started[run.UID]:
			is.Why = Starting
		case waits:
			is.Why, is.Until = wait.why, wait.until
			if d.inPreparation(p) {
				preparing[p.Event.ID] = &run
			}
		case preparing[p.Event.ID] != nil:
			is.Why, is.By = BehindPreparing, preparing[p.Event.ID]
		default:
			is.Why = SlotsTaken
		}
		if !has && run.Phase == Pending && !isSuperseded && !s.HandBack && !started[run.UID] {
			stands.Waiting++
			is.Position = stands.Waiting
		}
		stands.Runs = append(stands.Runs, is)
	}
	return stands
}

// firstWait returns the first condition that keeps the run waiting now, if any.
func (d *decider) firstWait(p Place) (wait, bool) {
	for _, w := range d.waits(p) {
		if w.open && d.now.Before(w.until) {
			return w, true
		}
	}
	return wait{}, false
}

// names says whether the slot rightly names its holder, as far as this decision
// found that out.
func (d *decider) names(s Slot) bool { return d.slots == nil || d.holding[s.Holder.UID] }
