package queue

import "time"

// Standing is where one run stands in its queue, and why.
type Standing struct {
	Run *Run
	Why Why
	// Position among the runs that wait for a slot, from 1; 0 for a run that does not wait.
	Position int
	// Slot is the index of the slot that names the run; NoSlot if none does, though the run
	// may be about to get one (Due).
	Slot int
	// Until is when time alone ends this wait; zero if it does not.
	Until time.Time
	// By is the run that supersedes it or that it waits behind, if any.
	By *Run
	// Cause is why a dropped run is cancelled.
	Cause Cause
	// Before is how many runs of a higher priority go first.
	Before int
}

// State is how far the run is.
func (s Standing) State() State {
	if s.Run.WaitsForKueue() {
		return StateClaimed
	}
	return StateOf(s.Run.Phase, s.Slot)
}

// Occupies says whether the run takes a unit of the limit, or is about to.
func (s Standing) Occupies() bool {
	return s.Run.Phase == Started && s.Why != NotBegun || s.Why == Due || s.Slot != NoSlot
}

// Standings explain a queue.
type Standings struct {
	Limit Limit
	// Unusable counts the slots that the queue has to do without: what is in their place is
	// damaged, or something else.
	Unusable int
	// Kept are the slots of runs that are done and have pods left.
	Kept []Slot
	// Runs that are not done, in queue order.
	Runs []Standing
	// Waiting counts the runs with a position.
	Waiting int
	// Spec is that of the queue.
	Spec Spec
}

// Count is how many runs are in a state.
func (s Standings) Count(state State) int {
	n := 0
	for _, is := range s.Runs {
		if is.State() == state {
			n++
		}
	}
	return n
}

// Stand explains the decision that [Decide] makes on the same snapshot. A run of a Repository
// without a limit that PAC did not queue has no standing.
func Stand(s Snapshot, now time.Time, p Policy) Standings {
	l := lineUps.Get().(*lineUp)
	defer lineUps.Put(l)
	d := decide(s, now, p, l)
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
		case Stamp, Release, Remove, Cancel, HandBack, Forget:
			// Add nothing to what the snapshot and the decider already say about a wait.
		}
	}
	parked := map[int]bool{}
	for _, index := range d.decision.Parked {
		parked[index] = true
	}
	stands := Standings{Limit: s.Limit, Spec: s.Spec, Unusable: d.decision.Summary.Damaged, Kept: d.kept}
	preparing := map[string]*Run{} // by event
	higher := d.higher()
	for _, rank := range d.standingOrder() {
		p := &d.line[rank]
		run := p.Run
		slot, has := slots[run.UID]
		if !has {
			slot = NoSlot
		}
		is := Standing{Run: run, Slot: slot}
		wait, waits := d.firstWait(p)
		by, isSuperseded := d.superseded[run.UID]
		replacing, isReplaced := d.replaced[run.UID]
		cause, isDropped := d.dropped[run.UID]
		switch {
		case run.Phase == Done, s.Limit == Unlimited && run.Order == nil && run.Kueue.Queue == "" && !has:
			continue
		case run.WaitsForKueue() && isSuperseded && !run.Ending:
			is.Why, is.By = Superseded, by
		case run.WaitsForKueue():
			is.Why = AtKueue
		case run.Phase == Started:
			if d.idle[run.UID] {
				is.Why = NotBegun
			}
		case s.HandBack:
			is.Why = HandedBack
		case isSuperseded:
			is.Why, is.By = Superseded, by
		case isReplaced:
			is.Why, is.By = Outdated, replacing
		case isDropped:
			is.Why, is.Cause = Dropped, cause
		case expired[run.UID]:
			is.Why = Refused
		case s.Spec.Paused:
			is.Why = Paused
		case has && parked[slot]:
			is.Why = LimitLowered
		case has && !run.Lacks(), started[run.UID]:
			is.Why = Due
		case waits:
			is.Why, is.Until = wait.why, wait.until
			if d.inPreparation(p) {
				preparing[p.Event.ID] = run
			}
		case preparing[p.Event.ID] != nil:
			is.Why, is.By = BehindPreparing, preparing[p.Event.ID]
		case higher[run.Priority] > 0:
			is.Why, is.Before = BehindPriority, higher[run.Priority]
		default:
			is.Why = SlotsTaken
		}
		leaves := isSuperseded || isReplaced || isDropped
		if !has && run.Phase == Pending && !leaves && !s.HandBack && !started[run.UID] {
			stands.Waiting++
			is.Position = stands.Waiting
		}
		stands.Runs = append(stands.Runs, is)
	}
	return stands
}

// standingOrder lists the ranks of all runs: that of the line, but for those that wait, which come
// last and in the order of their turns.
func (d *decider) standingOrder() []int {
	ranks := make([]int, 0, len(d.line))
	for rank := range d.line {
		if !d.shaped || d.line[rank].is&(isPending|isHolder) != isPending {
			ranks = append(ranks, rank)
		}
	}
	if d.shaped {
		ranks = append(ranks, d.next...)
	}
	return ranks
}

// higher is how many runs that wait go first because of their priority, by the priority of the one
// that they go before.
func (d *decider) higher() map[Priority]int {
	if !d.lineUp.prioritized {
		return nil
	}
	before := map[Priority]int{}
	for i, rank := range d.next {
		priority := d.line[rank].Run.Priority
		if i == 0 || priority != d.line[d.next[i-1]].Run.Priority {
			before[priority] = i
		}
	}
	return before
}

// firstWait returns the first condition that keeps the run waiting now, if any.
func (d *decider) firstWait(p *Place) (wait, bool) {
	if !d.mayWait(p) {
		return wait{}, false
	}
	for _, w := range d.waits(p) {
		if w.open && (w.endless || d.now.Before(w.until)) {
			return w, true
		}
	}
	return wait{}, false
}

// names says whether the slot rightly names its holder, as far as this decision
// found that out.
func (d *decider) names(s Slot) bool { return d.slots == nil || d.holding[s.Holder.UID] }
