// Package audit checks the invariants of the protocol over the recorded history of one queue,
// whichever program ran it: the add-on, PAC alone, or a simulated replica.
//
// What a replica could know when it decided is not part of the history. An overtaking therefore
// counts only if the overtaken run had been eligible for [Auditor.Lag] before, and a run claimed
// under a higher limit may still start.
package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Auditor checks the invariants of one queue. Feed it every change of runs, slots and limit in the
// order of their resourceVersions. It is not safe for concurrent use.
type Auditor struct {
	// Lag is how far behind the cluster a decision may be without blame.
	Lag time.Duration
	// Stamps says that before a run is claimed, it has to be written down which of the events of
	// its second came first. Programs that know no stamps, or could not write one, are not held to
	// that.
	Stamps bool
	// Forgets says that nothing outlasts which groups were served last under [queue.Fair], as with
	// slots in memory.
	Forgets bool
	// AnyOrder says that no order counts for what is recorded now, nor a pause: others did it, or
	// nobody could have known better.
	AnyOrder bool

	limit   queue.Limit
	limited time.Time // when the limit was set
	spec    queue.Spec
	shaped  time.Time          // when the spec was set
	served  map[string]turn    // by group, under [queue.Fair]
	runs    map[string]*record // by UID; kept after deletion, for the order
	slots   map[int]queue.Slot
	gone    map[int]bool // slots that have not come back
	freed   []time.Time  // since when each unused unit of the limit is free, oldest first
	report  Report
}

// record is a run and what the audit remembers of it.
type record struct {
	queue.Run
	deleted    bool
	starts     int
	claimLimit queue.Limit // in force when a slot last came to name the run
	claimed    bool
	eligibleAt time.Time // when the run came to lack only a slot; zero while it lacks more
	placedAt   time.Time // when it took its place in the line: a change of its order moves it
	urgentAt   time.Time // when it got its priority
	seenAt     time.Time // when it was first seen
}

// Violation is a broken invariant.
type Violation struct {
	// Invariant is I1 (limit), I3 (order) or I4 (nothing lost).
	Invariant string
	At        time.Time
	What      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s %s: %s", v.At.Format("15:04:05.000"), v.Invariant, v.What)
}

// Start is one start of a run.
type Start struct {
	Run string
	At  time.Time
	// Pause is how long this run was eligible while a slot was free.
	Pause time.Duration
}

// Report is what an audit found.
type Report struct {
	Runs        int
	Done        int
	MostStarted int
	Starts      []Start
	// Claims are the runs that got a slot while they waited, in that order, each once. This is the
	// order of the queue: those that get their slots at about the same time start in any order.
	// Slots in memory show none.
	Claims     []string
	Violations []Violation
}

// New returns an auditor that has seen nothing yet.
func New(lag time.Duration) *Auditor {
	return &Auditor{Lag: lag, runs: map[string]*record{}, slots: map[int]queue.Slot{}, gone: map[int]bool{}}
}

// SetLimit records a change of the limit.
func (a *Auditor) SetLimit(l queue.Limit, at time.Time) {
	a.limit, a.limited = l, at
	a.countFree(at)
}

// SetSpec records a change of the spec. What was right by the one before is not blamed for
// [Auditor.Lag].
func (a *Auditor) SetSpec(s queue.Spec, at time.Time) {
	if s.Order != a.spec.Order || s.FairBy != a.spec.FairBy {
		a.served = nil
	}
	a.spec, a.shaped = s, at
}

// Run records the state of a run at the time it was observed.
func (a *Auditor) Run(r queue.Run, at time.Time) {
	r.Seen = queue.Arrival{}
	known := a.runs[r.UID]
	if known == nil {
		known = &record{Run: r}
		known.Phase = queue.Pending
		a.runs[r.UID] = known
	}
	was := known.Phase
	if known.placedAt.IsZero() || known.Order.Malformed() != r.Order.Malformed() || sequenceID(known.Run) != sequenceID(r) {
		known.placedAt = at
	}
	if known.seenAt.IsZero() {
		known.seenAt, known.urgentAt = at, at
	}
	if r.Phase != queue.Pending {
		r.Priority = known.Priority // it counted until then, and says nothing afterwards
	}
	if known.Priority != r.Priority {
		known.urgentAt = at
	}
	if had := known.Sequence(); had != nil && sequenceID(r) == had.ID && r.Sequence().Len() < had.Len() {
		r.Order = known.Order // a run that is done is read without its list, by which others had their places
	}
	known.Run = r
	switch {
	case was == queue.Done && r.Phase != queue.Done:
		a.violate("I4", at, "%s was done and is %s again", r.Name, r.Phase)
	case was == queue.Started && r.Phase == queue.Pending:
		a.violate("I4", at, "%s was started and is pending again", r.Name)
	case was == queue.Pending && r.Phase == queue.Started:
		a.start(known, at)
	}
	a.countFree(at)
	a.markEligible(at)
}

// Gone records that a run was deleted.
func (a *Auditor) Gone(uid string, at time.Time) {
	known := a.runs[uid]
	if known == nil || known.deleted {
		return
	}
	known.deleted, known.Phase = true, queue.Done
	a.countFree(at)
	a.markEligible(at)
}

// Slot records the state of a slot.
func (a *Auditor) Slot(s queue.Slot, at time.Time) {
	was, back := a.slots[s.Index].Holder, a.gone[s.Index]
	a.slots[s.Index] = s
	delete(a.gone, s.Index)
	r := a.claims(s, was)
	switch {
	case r != nil && !r.claimed:
		a.checkPlace(r, "claimed", at)
		a.report.Claims = append(a.report.Claims, r.Name)
	case back:
		// It may be as it was, and remember turns that were counted before those of now.
		a.served = nil
	case r != nil:
		a.serve(r, at) // another claim serves its group once more
	}
	if r != nil {
		r.claimed, r.claimLimit = true, a.limit
	}
}

// claims returns the run that waits and now has the slot, whose last holder is given; nil if there
// is none.
func (a *Auditor) claims(s queue.Slot, was *queue.Holder) *record {
	if s.Holder == nil || (was != nil && was.UID == s.Holder.UID) {
		return nil
	}
	if r := a.runs[s.Holder.UID]; r != nil && r.Phase == queue.Pending {
		return r
	}
	return nil
}

// SlotGone records that a slot was deleted, or made unrecognizable. Which groups were served last
// may go with it.
func (a *Auditor) SlotGone(index int) {
	delete(a.slots, index)
	a.gone[index] = true
	a.served = nil
}

// Finish checks what must hold once everything has had its time: no run is left behind, no slot
// names a run that is over, no run holds two slots. It returns the whole report.
func (a *Auditor) Finish(at time.Time) Report {
	var waiting []string
	for _, p := range queue.Line(a.known(), nil) {
		if p.Run.Phase == queue.Pending && !p.Run.Lacks() && (a.limit != queue.Unlimited || p.Run.Order != nil) {
			waiting = append(waiting, p.Run.Name)
		}
	}
	switch names := strings.Join(waiting, ", "); {
	case names == "":
	case a.limit == queue.Unlimited:
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
		if r := a.runs[h.UID]; r == nil || r.Phase == queue.Done {
			a.violate("I4", at, "slot %d still names %s, which is over", i, h.Name)
		}
		if first, again := slotOf[h.UID]; again {
			a.violate("I4", at, "%s holds slot %d and slot %d", h.Name, first, i)
		}
		slotOf[h.UID] = i
	}
	return a.Report()
}

// Report is what the audit has found so far.
func (a *Auditor) Report() Report {
	r := a.report
	r.Runs = len(a.runs)
	for _, run := range a.runs {
		if run.Phase == queue.Done {
			r.Done++
		}
	}
	return r
}

// start checks that this is the run's only start, the limit, and the order if no slot named the run
// before.
func (a *Auditor) start(r *record, at time.Time) {
	if r.starts++; r.starts > 1 {
		a.violate("I4", at, "%s was started %d times", r.Name, r.starts)
	}
	started := a.started()
	a.report.MostStarted = max(a.report.MostStarted, started)
	if limit := max(a.limit, r.claimLimit); a.limit != queue.Unlimited && started > int(limit) {
		a.violate("I1", at, "%s makes %d started runs, the limit is %d", r.Name, started, limit)
	}
	switch {
	case r.claimed, a.limit == queue.Unlimited:
		a.checkPause(r, "started", at)
	default:
		a.checkPlace(r, "started", at)
	}
	a.report.Starts = append(a.report.Starts, Start{Run: r.Name, At: at, Pause: a.pause(r, at)})
}

func (a *Auditor) started() int {
	n := 0
	for _, r := range a.runs {
		if r.Phase == queue.Started {
			n++
		}
	}
	return n
}

func (a *Auditor) known() []*queue.Run {
	runs := make([]*queue.Run, 0, len(a.runs))
	for _, r := range a.runs {
		runs = append(runs, &r.Run)
	}
	return runs
}

// alive lists the runs that are not over.
func (a *Auditor) alive() []*queue.Run {
	return slices.DeleteFunc(a.known(), func(r *queue.Run) bool { return r.Phase == queue.Done })
}

func (a *Auditor) violate(invariant string, at time.Time, format string, args ...any) {
	a.report.Violations = append(a.report.Violations, Violation{invariant, at, fmt.Sprintf(format, args...)})
}
