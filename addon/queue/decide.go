package queue

import (
	"cmp"
	"slices"
	"time"
)

// Lateness says which wait for PAC ended because its grace period was over.
type Lateness string

const (
	// InTime is the normal case.
	InTime Lateness = ""
	// NoOrder: the execution order never came; the run is queued by its creation time.
	NoOrder Lateness = "execution order"
	// NotReady: what PAC owed the run (Run.Owed) never came.
	NotReady Lateness = "readiness"
)

// Decision is what to do with a queue now, and when to look again.
type Decision struct {
	// Actions in the order of their execution. A Claim that failed, or may have, ends the round:
	// the actions after it rest on its success.
	Actions []Action
	// Next is when the passing of time alone changes the decision; zero if it never does.
	Next time.Time
	// Parked are the slots whose claims must not be started now, because the limit was lowered.
	// That time does not count towards their TTL: the observer restarts HeldSince every time it
	// sees a parked claim.
	Parked []int
	// Summary counts, for logs.
	Summary Summary
}

// Summary is the state of a queue in numbers.
type Summary struct {
	Started, Claimed, Waiting, Damaged int
}

// NeedsFresh says that the decision has to be made again on a fresh snapshot, because one of its
// actions rests on what no version in a request can prove.
func (d Decision) NeedsFresh(s Snapshot) bool {
	return s.Freshness < Fresh && slices.ContainsFunc(d.Actions, Action.needsFresh)
}

// Decide is the protocol: it returns the actions that bring this queue forward now.
func Decide(s Snapshot, now time.Time, p Policy) Decision {
	l := lineUps.Get().(*lineUp)
	defer lineUps.Put(l)
	return decide(s, now, p, l).decision
}

// decide makes a decision with a line-up that is in use until the decider is done with.
func decide(s Snapshot, now time.Time, p Policy, l *lineUp) *decider {
	d := &decider{now: now, policy: p, spec: s.Spec, lineUp: l, line: l.line(s.Runs, s.Slots)}
	switch {
	case s.HandBack:
		d.handBack(s.Slots)
		return d
	case s.Limit == Unlimited:
		d.lift(s.Slots)
		d.forget(s.Slots)
		return d
	}
	d.limit = int(s.Limit)
	if l.supersedes {
		d.superseded = SupersededBy(d.line)
	}
	d.shaped = d.spec.Order != Events || l.prioritized
	d.remember(s.Slots)
	d.sort(s.Slots)
	d.cancel()
	d.replace()
	d.startClaimed()
	d.adopt()
	d.settle()
	d.claim()
	d.bound()
	d.stamp()
	d.tidy()
	d.forget(s.Slots)
	return d
}

// decider is one decision in the making.
type decider struct {
	now     time.Time
	policy  Policy
	spec    Spec
	limit   int // 0 for none
	lineUp  *lineUp
	line    []Place
	slots   map[int]Slot
	spare   []Slot // may be given away: free, or the holder is done, gone or fenced
	absent  int    // every slot below it exists, or has just been given away
	claims  []claimed
	holding map[string]bool // UIDs of runs that a slot rightly names
	idle    map[string]bool // UIDs of started runs that take no unit of the limit
	kept    []Slot          // of runs that are done and have pods left
	started int             // not done, with a slot or without
	// superseded maps the UIDs of runs that must end to the runs that supersede them.
	superseded map[string]*Run
	// replaced maps those that wait to the newer runs that wait in their place.
	replaced map[string]*Run
	// dropped are those that must not wait any longer.
	dropped map[string]Cause
	// shaped says that the order of those that wait is not that of the line.
	shaped bool
	served served
	// next are the ranks of those that wait, in the order of their turns.
	next []int
	// settled is how many places of the line, from the front, are where they will stay: behind
	// them, stamps are owed.
	settled  int
	owed     []Stamp
	decision Decision
}

type claimed struct {
	rank int // in the line
	run  *Run
	slot Slot
}

// sort classifies slots as spare, damaged, claimed or held, and counts the started runs.
func (d *decider) sort(slots []Slot) {
	d.slots = make(map[int]Slot, len(slots))
	keeps := map[string]Slot{} // by run UID
	for _, s := range byIndex(slots) {
		d.slots[s.Index] = s
		if s.Holder == nil {
			continue
		}
		if other, ok := keeps[s.Holder.UID]; !ok || s.Holder.Attempt > other.Holder.Attempt {
			keeps[s.Holder.UID] = s
		}
	}
	d.holding, d.idle = map[string]bool{}, map[string]bool{}
	ranks := make(map[string]int, len(keeps)) // of the holders
	for rank := range d.line {
		started := d.line[rank].is&isStarted != 0
		if !started && len(ranks) == len(keeps) {
			continue // all holders have been found
		}
		run := d.line[rank].Run
		s, held := keeps[run.UID]
		if held {
			ranks[run.UID] = rank
		}
		switch {
		case !started:
		case d.isIdle(run, s.HeldSince, held):
			d.idle[run.UID] = true
		default:
			d.started++
		}
	}
	for _, s := range byIndex(slots) {
		if s.Blocked {
			if s.Index < d.limit {
				d.decision.Summary.Damaged++
			}
			continue
		}
		if s.Damaged != "" {
			if d.stillDamaged(s) {
				d.decision.Summary.Damaged++
			} else {
				d.spare = append(d.spare, s)
			}
			continue
		}
		if s.Holder == nil {
			d.spare = append(d.spare, s)
			continue
		}
		rank, known := ranks[s.Holder.UID]
		if !known && s.Unread {
			d.started++
			continue
		}
		if s.Pods != nil && keeps[s.Holder.UID].Index == s.Index && (!known || d.line[rank].Run.Phase == Done) {
			d.keep(s)
			continue
		}
		if !known {
			d.spare = append(d.spare, s)
			continue
		}
		switch run := d.line[rank].Run; {
		case run.Phase == Done, d.idle[run.UID],
			// Two slots name one run if a replica claimed it without seeing the first claim. All
			// observers keep the same slot, however far along they see the run: if they kept
			// different ones, both would be given away.
			keeps[run.UID].Index != s.Index,
			run.Phase == Pending && run.Attempt > s.Holder.Attempt:
			d.spare = append(d.spare, s)
		case run.Phase == Pending:
			d.hold(run.UID, rank)
			d.claims = append(d.claims, claimed{rank, run, s})
		default:
			d.hold(run.UID, rank)
		}
	}
}

// hold notes that a slot rightly names the run.
func (d *decider) hold(uid string, rank int) {
	d.holding[uid] = true
	d.line[rank].is |= isHolder
}

// keep leaves a slot to a run that is done while pods of it are left. An operator must hear of pods
// that should have gone long ago.
func (d *decider) keep(s Slot) {
	d.started++
	d.kept = append(d.kept, s)
	if told := d.policy.PodsOverdue(*s.Pods); !told.IsZero() && d.now.Before(told) {
		d.wake(told)
	}
}

// PodsOverdue is when pods should have gone for so long that they will not go by themselves; zero
// if it is not known when they should.
func (p Policy) PodsOverdue(pods Pods) time.Time {
	if pods.Due.IsZero() {
		return time.Time{}
	}
	return pods.Due.Add(p.ReadyGrace)
}

// isIdle says that a started run takes no unit of the limit: the controller that its spec.managedBy
// names, which is not Tekton's own, has not begun with it for longer than a run may take to be
// ready. Perhaps there is no such controller, and then nothing ends the run, not even its
// cancellation. If it begins after all, it is adopted like any other run that was started without a
// slot. A run that is labelled for Kueue keeps its slot while it waits for Kueue, here or in
// another cluster.
func (d *decider) isIdle(r *Run, heldSince time.Time, held bool) bool {
	if r.Manager == "" || r.Kueue.Queue != "" || !r.Began.IsZero() {
		return false
	}
	if !held {
		heldSince = r.Created
	}
	ends := heldSince.Add(d.policy.ReadyGrace)
	if d.now.Before(ends) {
		d.wake(ends)
		return false
	}
	return true
}

// stillDamaged fails closed, but not for ever: after one claim TTL, any claim that the slot held
// before it was damaged is over, or visible as a started run. The slot is then rewritten.
func (d *decider) stillDamaged(s Slot) bool {
	repair := s.HeldSince.Add(d.policy.ClaimTTL)
	if d.now.Before(repair) {
		d.wake(repair)
		return true
	}
	return false
}

// startClaimed rolls the claims of all replicas forward, as far as the limit reaches: it may have
// been lowered since.
func (d *decider) startClaimed() {
	slices.SortFunc(d.claims, func(a, b claimed) int { return cmp.Compare(a.rank, b.rank) })
	room := d.limit - d.started - d.decision.Summary.Damaged
	if d.spec.Paused {
		room = 0
	}
	for _, c := range d.claims {
		d.decision.Summary.Claimed++
		expiry := c.slot.HeldSince.Add(d.policy.ClaimTTL)
		switch {
		case d.isSuperseded(c.run):
			room--
		case c.run.Attempt < c.slot.Holder.Attempt:
			// The attempt was lowered by hand: the token can never match.
			d.expire(c)
		case room <= 0:
			// Keeps its slot and waits until the runs above the limit have drained, or until the
			// queue goes on.
			d.decision.Parked = append(d.decision.Parked, c.slot.Index)
		case !d.now.Before(expiry):
			room--
			d.expire(c)
		default:
			room--
			d.wake(expiry)
			if c.run.Lacks() {
				continue // the slot or the run was edited by hand
			}
			d.do(Start{
				Run: *c.run, Token: Token{Slot: c.slot.Index, Transition: c.slot.Transition, Attempt: c.run.Attempt},
				Claimed: c.slot.HeldSince,
			})
		}
	}
}

func (d *decider) expire(c claimed) {
	attempt := max(c.run.Attempt, c.slot.Holder.Attempt) + 1
	d.do(Expire{Run: *c.run, Slot: c.slot, Attempt: attempt, Backoff: d.policy.Backoff(attempt)})
}

// adopt gives slots to runs that were started without one, above the limit if need be: once PAC
// calls a run finished that Tekton is still ending, only its slot shows it.
func (d *decider) adopt() {
	for rank := range d.line {
		p := &d.line[rank]
		if p.is&(isStarted|isHolder) != isStarted || d.idle[p.Run.UID] {
			continue
		}
		s, ok := d.takeSlot()
		if !ok {
			s = d.takeExtraSlot()
		}
		d.do(Claim{Run: *p.Run, Event: p.Event, Slot: s})
	}
}

// claim gives the remaining room to the first eligible runs, in the order in which their turns
// come. In another order than that of the line, a run whose place is not settled may be the first
// of all, so nothing is claimed until all places are.
func (d *decider) claim() {
	room := d.limit - d.started - len(d.claims) - d.decision.Summary.Damaged
	if d.spec.Paused || d.shaped && d.settled < len(d.line) {
		room = 0
	}
	for rank := range d.line {
		if d.line[rank].is&isStarted != 0 {
			d.decision.Summary.Started++
		}
	}
	preparing := map[string]bool{} // events
	d.next = d.turns()
	for _, rank := range d.next {
		p := &d.line[rank]
		if d.isSuperseded(p.Run) {
			continue
		}
		late, ok := d.eligible(p)
		if !ok && d.inPreparation(p) {
			preparing[p.Event.ID] = true
		}
		if !ok || room <= 0 || rank >= d.settled || preparing[p.Event.ID] {
			d.decision.Summary.Waiting++
			continue
		}
		s, ok := d.takeSlot()
		if !ok {
			d.decision.Summary.Waiting++
			room = 0
			continue
		}
		room--
		d.decision.Summary.Claimed++
		s.Turns = d.serve(rank)
		d.do(Claim{Run: *p.Run, Event: p.Event, Slot: s, Late: late})
	}
}

// inPreparation says that PAC is still preparing a run that has its place in an order. That takes
// moments and is bounded by a grace period, so the runs behind it in the same event wait: PAC
// prepares the runs of an event in any order. Other events do not wait: a failure of PAC in one
// event must not delay the others.
func (d *decider) inPreparation(p *Place) bool {
	return p.Ordered && p.Run.Owed != "" && !d.now.Before(p.Run.NotBefore) && !d.policy.Overdue(p.Run, d.now)
}

// tidy removes or releases the spare slots that no run took.
func (d *decider) tidy() {
	for _, s := range d.spare {
		switch {
		case s.Index >= d.limit:
			d.do(Remove{Slot: s})
		case s.Holder != nil, s.Damaged != "":
			d.do(Release{Slot: s})
		}
	}
}

// forget marks runs as finished that PAC does not. One that a slot still names is the evidence that
// the slot is free.
func (d *decider) forget(slots []Slot) {
	for rank := range d.line {
		r := d.line[rank].Run
		named := func(s Slot) bool { return s.Holder != nil && s.Holder.UID == r.UID }
		if r.Forgettable() && !slices.ContainsFunc(slots, named) {
			d.do(Forget{Run: *r})
		}
	}
}

// eligible says whether a waiting run may have a slot now; if time changes that, it wakes the queue
// then.
func (d *decider) eligible(p *Place) (Lateness, bool) {
	if !d.mayWait(p) {
		return InTime, true
	}
	late := InTime
	for _, wait := range d.waits(p) {
		if !wait.open {
			continue
		}
		if wait.endless {
			return InTime, false
		}
		if d.now.Before(wait.until) {
			d.wake(wait.until)
			return InTime, false
		}
		late = cmp.Or(late, wait.late)
	}
	return late, true
}

// wait is a condition that keeps a run from a slot, until a time at which it no longer does.
type wait struct {
	why   Why
	open  bool
	until time.Time
	late  Lateness
	// endless says that time does not end the wait.
	endless bool
}

// awaitsOrder says that PAC may still write an order. Without a limit PAC writes none, and a run
// that is labelled for Kueue waits for Kueue alone.
func (d *decider) awaitsOrder(p *Place) bool {
	return !p.Ordered && p.Run.Order == nil && (d.limit > 0 || p.Run.Kueue.Queue == "")
}

// mayWait is false of a run that waits for nothing but a slot, which most of them do.
func (d *decider) mayWait(p *Place) bool {
	return p.is&isPlain == 0 && (!p.Run.NotBefore.IsZero() || p.Run.Owed != "" || d.awaitsOrder(p))
}

func (d *decider) waits(p *Place) [3]wait {
	preparing := wait{why: Preparing, open: p.Run.Owed != "", until: p.Run.Created.Add(d.policy.ReadyGrace), late: NotReady}
	if p.Run.Lacks() && d.policy.Overdue(p.Run, d.now) {
		preparing = wait{why: Unprepared, open: true, endless: true}
	}
	return [...]wait{
		// A back-off far longer than any that Expire sets was written by hand, and is ignored; the
		// clocks of replicas differ by less than that.
		{why: BackOff, open: p.Run.NotBefore.Sub(d.now) <= 2*d.policy.BackoffMax, until: p.Run.NotBefore},
		{why: WithoutOrder, open: d.awaitsOrder(p), until: p.Run.Created.Add(d.policy.OrderGrace), late: NoOrder},
		preparing,
	}
}

// Overdue says that PAC has owed the run something for longer than it may take. A run that needs it
// is passed over from then on, and keeps its place; any other is started without.
func (p Policy) Overdue(r *Run, now time.Time) bool {
	return r.Owed != "" && !now.Before(r.Created.Add(p.ReadyGrace))
}

func (d *decider) do(a Action) { d.decision.Actions = append(d.decision.Actions, a) }

func (d *decider) wake(t time.Time) {
	if d.decision.Next.IsZero() || t.Before(d.decision.Next) {
		d.decision.Next = t
	}
}

func byIndex(slots []Slot) []Slot {
	return slices.SortedFunc(slices.Values(slots), func(a, b Slot) int { return cmp.Compare(a.Index, b.Index) })
}
