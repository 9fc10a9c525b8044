package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Audit checks the invariants of one queue over its recorded history, whoever
// ran the queue. Feed it every change of runs, slots and limit in the order of
// their resourceVersions. It is not safe for concurrent use.
//
// What a replica could know when it decided is not part of the history, so an
// overtaking counts only if the overtaken run had been eligible for Lag before,
// and a claim made under a higher limit may still be started.
type Audit struct {
	// Lag is how far behind the cluster a decision may be without blame.
	Lag time.Duration
	// CancelInProgress is what PAC is set to.
	CancelInProgress CancelInProgress

	limit   Limit
	limited time.Time           // since when
	runs    map[string]*audited // by UID; kept after deletion, for the order
	slots   map[int]Slot
	freed   []time.Time // since when each slot's worth that nothing uses is free
	report  Report
}

// maxPauses bounds how many unused slots are remembered, however absurd a limit.
const maxPauses = 10_000

type audited struct {
	Run
	deleted    bool
	starts     int
	claimLimit Limit // in force when a slot last came to name the run
	claimed    bool
	eligibleAt time.Time // when nothing but a slot was missing; zero as long as something is
	placedAt   time.Time // when it came to stand where it stands: its order changes that
}

// Violation is a broken invariant.
type Violation struct {
	// Invariant is I1 (limit), I2 (progress), I3 (order) or I4 (nothing lost).
	Invariant string
	At        time.Time
	What      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s %s: %s", v.At.Format("15:04:05.000"), v.Invariant, v.What)
}

// RunStart is one start of a run.
type RunStart struct {
	Run string
	At  time.Time
	// Pause is how long a free slot and this run, eligible, had both been there.
	Pause time.Duration
}

// Report is what an audit found.
type Report struct {
	Runs        int
	Done        int
	MostStarted int
	Starts      []RunStart
	Violations  []Violation
}

// NewAudit begins an audit with an empty history.
func NewAudit(lag time.Duration) *Audit {
	return &Audit{Lag: lag, runs: map[string]*audited{}, slots: map[int]Slot{}}
}

// SetLimit records a change of the limit.
func (a *Audit) SetLimit(l Limit, at time.Time) {
	a.limit, a.limited = l, at
	a.countFree(at)
}

// Run records the state of a run at the time it was observed.
func (a *Audit) Run(r Run, at time.Time) {
	known := a.runs[r.UID]
	if known == nil {
		known = &audited{Run: r}
		known.Phase = Pending
		a.runs[r.UID] = known
	}
	was := known.Phase
	if known.placedAt.IsZero() || known.Unordered != r.Unordered || orderID(known.Order) != orderID(r.Order) {
		known.placedAt = at
	}
	known.Run = r
	switch {
	case was == Done && r.Phase != Done:
		a.violate("I4", at, "%s was done and is %s again", r.Name, r.Phase)
	case was == Started && r.Phase == Pending:
		a.violate("I4", at, "%s was started and is pending again", r.Name)
	case was == Pending && r.Phase == Started:
		a.start(known, at)
	}
	a.countFree(at)
	a.markEligible(at)
}

// Gone records that a run was deleted.
func (a *Audit) Gone(uid string, at time.Time) {
	known := a.runs[uid]
	if known == nil || known.deleted {
		return
	}
	known.deleted, known.Phase = true, Done
	a.countFree(at)
	a.markEligible(at)
}

// Slot records the state of a slot.
func (a *Audit) Slot(s Slot, at time.Time) {
	was := a.slots[s.Index].Holder
	a.slots[s.Index] = s
	if s.Holder == nil || (was != nil && was.UID == s.Holder.UID) {
		return
	}
	if r := a.runs[s.Holder.UID]; r != nil && r.Phase == Pending {
		if !r.claimed {
			a.checkOrder(r, at)
		}
		r.claimed, r.claimLimit = true, a.limit
	}
}

// SlotGone records that a slot was deleted.
func (a *Audit) SlotGone(index int) { delete(a.slots, index) }

// Finish checks what must hold once everything has had its time: no run is left
// behind, no slot remembers a run that is over, no run holds two. It returns the
// whole report.
func (a *Audit) Finish(at time.Time) Report {
	var waiting []string
	for _, p := range line(a.known(), nil) {
		if p.run.Phase == Pending && (a.limit != Unlimited || p.run.Held) {
			waiting = append(waiting, p.run.Name)
		}
	}
	switch names := strings.Join(waiting, ", "); {
	case names == "":
	case a.limit == Unlimited:
		a.violate("I4", at, "left pending without a limit: %s", names)
	case a.started() < int(a.limit):
		a.violate("I4", at, "left pending with %d of %d started: %s", a.started(), a.limit, names)
	}
	slotOf := map[string]int{}
	for _, i := range slices.Sorted(maps.Keys(a.slots)) {
		h := a.slots[i].Holder
		if h == nil {
			continue
		}
		if r := a.runs[h.UID]; r == nil || r.Phase == Done {
			a.violate("I4", at, "slot %d still names %s, which is over", i, h.Name)
		}
		if first, again := slotOf[h.UID]; again {
			a.violate("I4", at, "%s holds slot %d and slot %d", h.Name, first, i)
		}
		slotOf[h.UID] = i
	}
	return a.Report()
}

// Report is what was found so far.
func (a *Audit) Report() Report {
	r := a.report
	r.Runs = len(a.runs)
	for _, run := range a.runs {
		if run.Phase == Done {
			r.Done++
		}
	}
	return r
}

// start checks one start: the limit, the order if no slot named the run before,
// and that there is just one.
func (a *Audit) start(r *audited, at time.Time) {
	if r.starts++; r.starts > 1 {
		a.violate("I4", at, "%s was started %d times", r.Name, r.starts)
	}
	started := a.started()
	a.report.MostStarted = max(a.report.MostStarted, started)
	if limit := max(a.limit, r.claimLimit); a.limit != Unlimited && started > int(limit) {
		a.violate("I1", at, "%s makes %d started runs, the limit is %d", r.Name, started, limit)
	}
	if !r.claimed && a.limit != Unlimited {
		a.checkOrder(r, at)
	}
	a.report.Starts = append(a.report.Starts, RunStart{Run: r.Name, At: at, Pause: a.pause(r, at)})
}

// pause takes up a slot's worth and says how long it and the run had waited for
// each other.
func (a *Audit) pause(r *audited, at time.Time) time.Duration {
	free := a.limited
	if a.limit != Unlimited {
		if len(a.freed) == 0 {
			return 0
		}
		free, a.freed = a.freed[0], a.freed[1:]
	}
	if r.eligibleAt.IsZero() {
		return 0
	}
	return at.Sub(latest(free, r.eligibleAt))
}

// countFree notes when capacity came free; what is free longest stays noted.
func (a *Audit) countFree(at time.Time) {
	free := max(0, min(int(a.limit)-a.started(), maxPauses))
	for len(a.freed) < free {
		a.freed = append(a.freed, at)
	}
	a.freed = a.freed[:free]
}

func (a *Audit) started() int {
	n := 0
	for _, r := range a.runs {
		if r.Phase == Started {
			n++
		}
	}
	return n
}

// checkOrder: nobody who has been eligible for a while stands before r and
// waits, but for those that are to be cancelled. When an event began, and whom its
// order lists, is forgotten with its first runs, and an order may arrive while
// somebody decides; nobody is blamed who was right by what there was to see.
func (a *Audit) checkOrder(r *audited, at time.Time) {
	known, alive := a.known(), line(a.alive(), nil)
	pointless := superseded(known, a.CancelInProgress)
	stood := []place{placeOf(r, line(known, nil)), placeOf(r, alive)}
	if at.Sub(r.placedAt) <= a.Lag {
		stood = append(stood, place{run: r.Run, event: Event{ID: r.Name, Created: r.Created}})
	}
	for _, p := range alive {
		o := a.runs[p.run.UID]
		if _, ok := pointless[o.UID]; ok || o.Phase != Pending || o.claimed || !o.NotBefore.IsZero() ||
			o.eligibleAt.IsZero() || at.Sub(latest(o.eligibleAt, o.placedAt)) <= a.Lag {
			continue
		}
		notBehind := func(s place) bool {
			if s.event.ID == p.event.ID {
				s.event.Created = p.event.Created
			}
			return p.compare(s) >= 0
		}
		if !slices.ContainsFunc(stood, notBehind) {
			a.violate("I3", at, "%s overtook %s", r.Name, o.Name)
			return
		}
	}
}

func placeOf(r *audited, line []place) place {
	return line[slices.IndexFunc(line, func(p place) bool { return p.run.UID == r.UID })]
}

// markEligible notes since when runs could have been started. Who has its place
// only from another run's list loses it when that run is over; who stands behind
// a run of its event that PAC still prepares has to wait for it.
func (a *Audit) markEligible(at time.Time) {
	preparing := map[string]bool{} // events
	for _, p := range line(a.alive(), nil) {
		o := a.runs[p.run.UID]
		if o.Phase == Pending && !o.claimed && o.Owed != "" && p.ordered {
			preparing[p.event.ID] = true
		}
		switch eligible := o.Phase == Pending && o.Owed == "" && (p.ordered || o.Unordered) && !preparing[p.event.ID]; {
		case !eligible:
			o.eligibleAt = time.Time{}
		case o.eligibleAt.IsZero():
			o.eligibleAt = at
		}
	}
}

// alive is what is not over.
func (a *Audit) alive() []Run {
	return slices.DeleteFunc(a.known(), func(r Run) bool { return r.Phase == Done })
}

func (a *Audit) known() []Run {
	runs := make([]Run, 0, len(a.runs))
	for _, r := range a.runs {
		runs = append(runs, r.Run)
	}
	return runs
}

func (a *Audit) violate(invariant string, at time.Time, format string, args ...any) {
	a.report.Violations = append(a.report.Violations, Violation{invariant, at, fmt.Sprintf(format, args...)})
}

func orderID(o *Order) string {
	if o == nil {
		return ""
	}
	return o.ID
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
