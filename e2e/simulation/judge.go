package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// judge checks the invariants of one queue at every commit, twice: with the
// audit that the other tests use, and by counting.
//
// A limit counts from the moment at which the replica that acts on it has seen it: a
// claim or a start is measured by the limit now or that of the look it rests on,
// whichever is higher, and a start by that of its claim as well, and by those of
// starts that it could not know of: while a request is under way, the limit may be
// raised, used and lowered again.
type judge struct {
	cluster *Cluster
	key     queue.Key
	audit   *audit.Auditor
	limit   queue.Limit // that of the Repository, or its last
	judged  int         // violations of the audit so far

	begun   map[types.UID]bool        // Tekton may work on it
	foreign map[types.UID]int         // started by PAC or a user: since which commit
	claimed map[types.UID]queue.Limit // the limit of its claim
	starts  map[types.UID]started
	known   map[types.UID]queue.Run // every run there has ever been, as it last was
	came    map[types.UID]creation
	shapes  []shaped // that have been in force, in that order
}

// creation is what a run was when it was created.
type creation struct {
	version uint64
	pending bool
}

// started is when a run was started, as a place in the history, and by what limit
// that was measured.
type started struct {
	at    int
	limit queue.Limit
}

func newJudge(c *Cluster, key queue.Key) *judge {
	auditor := audit.New(c.lag)
	auditor.Stamps, auditor.Forgets = true, c.memory || c.switches
	return &judge{
		cluster: c, key: key, audit: auditor, known: map[types.UID]queue.Run{}, came: map[types.UID]creation{},
		begun: map[types.UID]bool{}, foreign: map[types.UID]int{}, claimed: map[types.UID]queue.Limit{}, starts: map[types.UID]started{},
	}
}

// noted is told every commit.
func (c *Cluster) noted(ch change, by *request) {
	c.noteWriter(ch, by)
	c.trace("        %s", render{ch})
	switch ch.kind {
	case repositories:
		for _, j := range c.judges {
			j.repository()
		}
	case runQueues:
		if j := c.judges[runqueue.KeyOf(ch.object())]; j != nil {
			j.reshape(ch.is)
		}
	case runs:
		if key, ok := keyOf(ch.object()); ok && c.judges[key] != nil {
			c.judges[key].run(ch, by)
		}
	case leases:
		l := ch.object().(*coordinationv1.Lease)
		if j := c.judges[queue.Key{Namespace: l.Namespace, Repository: queueOfName(l.Name)}]; j != nil {
			j.lease(ch, by)
		}
	case kinds: // the number of kinds
	}
}

func (c change) object() object {
	if c.is != nil {
		return c.is
	}
	return c.was
}

func (j *judge) repository() {
	if j.cluster.repository(j.key) != nil {
		j.limit = j.cluster.limit(j.key)
		j.audit.SetLimit(j.limit, j.cluster.now)
	}
}

// within judges what is done by the given limit instead of the Repository's.
func (j *judge) within(l queue.Limit, do func()) {
	if l != j.limit {
		j.audit.SetLimit(l, j.cluster.now)
		defer j.audit.SetLimit(j.limit, j.cluster.now)
	}
	do()
}

func higher(a, b queue.Limit) queue.Limit {
	if a == queue.Unlimited || b == queue.Unlimited {
		return queue.Unlimited
	}
	return max(a, b)
}

func (j *judge) run(ch change, by *request) {
	c, now := j.cluster, j.cluster.now
	if ch.is == nil {
		j.audit.Gone(string(ch.was.GetUID()), now)
		j.verdict()
		return
	}
	pr := ch.is.(*tektonv1.PipelineRun)
	j.besideKueue(ch.was, pr, by)
	starts := !j.begun[pr.UID] && (!pr.IsPending() || waitsForKueue(pr)) && !pr.IsCancelled()
	limit := j.limit
	switch {
	case !starts:
	case by == nil:
		limit = queue.Unlimited
		j.foreign[pr.UID] = len(c.server.history[runs])
	default:
		limit = higher(limit, by.limit)
		if claim, ok := j.claimed[pr.UID]; ok {
			limit = higher(limit, claim)
		}
		for _, o := range j.occupying() {
			if s := j.starts[o.UID]; s.at > by.sawRuns {
				limit = higher(limit, s.limit)
			}
		}
		if limit != queue.Unlimited {
			limit += queue.Limit(j.unseen(by))
		}
	}
	if run := j.known[pr.UID]; starts && by != nil && run.Lacks() {
		j.fail("I4: %s is started without the secret that it needs", pr.Name)
	}
	if starts {
		j.begun[pr.UID] = true
		j.starts[pr.UID] = started{len(c.server.history[runs]), limit}
	}
	run := c.read(pr)
	if ch.was == nil {
		version, _ := strconv.ParseUint(pr.ResourceVersion, 10, 64)
		j.came[pr.UID] = creation{version, pr.IsPending()}
	}
	if forgotten(pr) && by != nil && run.Phase != queue.Done {
		j.fail("I4, nothing lost: %s is marked as finished, and is %s", pr.Name, run.Phase)
	}
	if by != nil && isEnding(pr) && !j.known[pr.UID].Ending {
		j.cancelled(pr)
	}
	was := j.known[pr.UID]
	j.known[pr.UID] = run
	if had := was.Sequence(); had != nil && run.Sequence() != nil && had.ID == run.Sequence().ID && run.Sequence().Len() < had.Len() {
		listed := run
		listed.Order = was.Order // one that is done is read without its list, by which others had their places
		j.known[pr.UID] = listed
	}
	if by != nil && run.Arrived != was.Arrived {
		j.stamped(run, was.Arrived, by.pass.replica)
	}
	foreign := starts && by == nil // no order, and no pause, is others' to keep
	j.audited(limit, foreign || j.forgotten(), func() { j.audit.Run(run, now) })
	if starts && limit != queue.Unlimited {
		if n := len(j.occupying()); n > int(limit) {
			j.fail("I1, counted: %s makes %d started runs of %s, the limit is %d", pr.Name, n, j.key, limit)
		}
	}
	j.verdict()
}

// cancelled: the product ends only what a newer run supersedes, which may have come and gone since,
// and what waits although the queue's spec does not let it.
func (j *judge) cancelled(pr *tektonv1.PipelineRun) {
	why := j.outdated(pr, queue.SupersededBy)
	if why == "" {
		return
	}
	if len(j.shapes) > 0 {
		if why = j.unwanted(pr); why == "" {
			return
		}
	}
	j.fail("I4, nothing lost: %s is cancelled, and %s", pr.Name, why)
}

// outdated says why no newer run is a reason to end this one; empty if one is. One that is gone may
// have had a successor of its name in the same second: any that could be the reason will do.
func (j *judge) outdated(pr *tektonv1.PipelineRun, by func([]queue.Place) map[string]*queue.Run) string {
	known := queue.Shared(slices.Collect(maps.Values(j.known)))
	first := j.first(j.eventOf(pr.UID))
	for older := ""; ; {
		newer, found := by(queue.Line(known, nil))[string(pr.UID)]
		switch {
		case !found && older != "":
			return fmt.Sprintf("%s supersedes it, whose event came before %d", older, first)
		case !found:
			return "no run supersedes it"
		case pr.CreationTimestamp.Time.Before(newer.Created), first < j.came[types.UID(newer.UID)].version:
			return ""
		}
		older = newer.Name
		known = slices.DeleteFunc(known, func(r *queue.Run) bool { return r.UID == newer.UID })
	}
}

// eventOf lists the runs of a run's event.
func (j *judge) eventOf(uid types.UID) (event []queue.Run) {
	line := queue.Line(queue.Shared(slices.Collect(maps.Values(j.known))), nil)
	i := slices.IndexFunc(line, func(p queue.Place) bool { return p.Run.UID == string(uid) })
	for _, p := range line {
		if p.Event.ID == line[i].Event.ID {
			event = append(event, *p.Run)
		}
	}
	return event
}

// first is the version at which the first of the runs was created.
func (j *judge) first(event []queue.Run) uint64 {
	first := j.came[types.UID(event[0].UID)].version
	for _, r := range event {
		first = min(first, j.came[types.UID(r.UID)].version)
	}
	return first
}

// stamped: a stamp is written once. It says when that part of the event came which its writer can
// see, all but runs that are gone, or bounds that; and it is no bound if the writer has watched all
// of it.
func (j *judge) stamped(run queue.Run, was queue.Arrival, writer *replica) {
	is, event := run.Arrived, j.eventOf(types.UID(run.UID))
	witnessed := true
	isOne, isFirst := false, true
	for _, r := range event {
		uid := types.UID(r.UID)
		came := j.came[uid]
		name := j.key.Namespace + "/" + r.Name
		raw := writer.cached(name)
		pr, exists := j.cluster.server.objects[runs][name].(*tektonv1.PipelineRun)
		// A fresh look shows less than the cache if some are gone; none shows what is long over.
		seen := raw != nil && raw.GetUID() == uid && exists && pr.UID == uid && watched(pr)
		witnessed = witnessed && came.pending && writer.watchedFrom(uid) && seen && !pr.IsDone()
		isOne = isOne || came.version == is.Version
		isFirst = isFirst && !(seen && came.version < is.Version)
	}
	switch {
	case was.Known():
		j.fail("I3: the stamp of %s changes from %s to %s", run.Name, was, is)
	case is.Version < j.first(event), !is.AtMost && !(isOne && isFirst):
		j.fail("I3: %s is stamped with %s, and its event came at %d", run.Name, is, j.first(event))
	// Without an order it may have been taken for an event of its own. After the grace, a replica
	// no longer waits until the watch has shown all; clocks differ by less than the other half.
	case is.AtMost && witnessed && run.Order != nil && j.cluster.now.Before(run.Created.Add(j.cluster.policy.OrderGrace/2)):
		j.fail("I3: %s is stamped with %s, by a replica that has watched all of its event", run.Name, is)
	}
}

// occupying lists the runs that Tekton may be working on. One that PAC or a user
// released, and cancelled before Tekton began with it, never does anything; nor
// does one that is stopped and deleted.
func (j *judge) occupying() []*tektonv1.PipelineRun {
	return j.cluster.runsOf(j.key, func(pr *tektonv1.PipelineRun) bool {
		_, foreign := j.foreign[pr.UID]
		return j.begun[pr.UID] && !pr.IsDone() &&
			!(foreign && !pr.HasStarted() && (pr.IsCancelled() || pr.DeletionTimestamp != nil && isEnding(pr)))
	})
}

// unseen counts the runs that nothing could have told the product about: those
// that PAC or a user started after the look that a request rests on, and those that
// PAC has given up on while Tekton is still ending them, if no slot that can be
// seen names them.
func (j *judge) unseen(by *request) int {
	n := 0
	for _, pr := range j.occupying() {
		at, foreign := j.foreign[pr.UID]
		if foreign && at > by.sawRuns || j.hidden(pr) {
			n++
		}
	}
	return n
}

// hidden says that nothing shows a run that goes on: PAC has given up on it while Tekton is still
// ending it, and no slot that can be seen names it.
func (j *judge) hidden(pr *tektonv1.PipelineRun) bool {
	return pr.Labels[keys.State] == "completed" && !j.slotted(pr)
}

// forgotten says that there is such a run. Nothing shows either when its event began, by which
// others may have their places.
func (j *judge) forgotten() bool { return slices.ContainsFunc(j.occupying(), j.hidden) }

// slotted says that a slot which can be read names the run: a Lease, if slots are Leases now.
func (j *judge) slotted(pr *tektonv1.PipelineRun) bool {
	return j.cluster.backend == store.Lease && slices.ContainsFunc(j.cluster.leasesOf(j.key), func(l *coordinationv1.Lease) bool {
		_, slot, ours := lease.Decode(l)
		return ours && slot.Holder != nil && slot.Holder.UID == string(pr.UID)
	})
}

func (j *judge) lease(ch change, by *request) {
	j.pods(ch, by)
	index, was := slotOf(ch.was)
	if _, is := slotOf(ch.is); was && !is {
		j.audit.SlotGone(index)
	}
	if l, ok := ch.is.(*coordinationv1.Lease); ok {
		if _, slot, ok := lease.Decode(l); ok {
			limit := j.limit
			if by != nil {
				limit = higher(limit, by.limit)
			}
			if h := slot.Holder; h != nil {
				if at, again := j.claimed[types.UID(h.UID)]; again && runUID(ch.was) == h.UID {
					limit = at // a claim from before
				}
				j.claimed[types.UID(h.UID)] = limit
			}
			// A Lease that a vandal had hidden may come back with the holder that a vandal gave it.
			j.slot(slot, limit, j.cluster.byVandal || !was && sameHolder(ch.was, l))
		}
	}
	j.verdict()
}

func sameHolder(was object, is *coordinationv1.Lease) bool {
	l, existed := was.(*coordinationv1.Lease)
	return existed && l != nil && runUID(l) == runUID(is) &&
		ptr.Deref(l.Spec.HolderIdentity, "") == ptr.Deref(is.Spec.HolderIdentity, "")
}

// slot judges a slot. The run that a vandal gives a slot is not the product's doing: no order
// counts for it.
func (j *judge) slot(s queue.Slot, limit queue.Limit, given bool) {
	j.audited(limit, given || j.forgotten(), func() { j.audit.Slot(s, j.cluster.now) })
}

// audited has the audit judge by the given limit, and perhaps by no order.
func (j *judge) audited(limit queue.Limit, anyOrder bool, judge func()) {
	j.audit.AnyOrder = anyOrder
	j.within(limit, judge)
	j.audit.AnyOrder = false
}

// claim is told of a claim in memory. No other part sees the slot itself: it is the start, or the
// first attempt at it, that shows the order.
func (j *judge) claim(s queue.Slot, limit queue.Limit) {
	j.claimed[types.UID(s.Holder.UID)] = higher(j.limit, limit)
}

// tried is told of a start that failed, of a run that has a slot in memory.
func (j *judge) tried(a queue.Start, limit queue.Limit) {
	j.slot(queue.Slot{Index: a.Token.Slot, Holder: &queue.Holder{Name: a.Run.Name, UID: a.Run.UID}}, higher(j.limit, limit), false)
	j.audit.SlotGone(a.Token.Slot)
	j.verdict()
}

func slotOf(o object) (int, bool) {
	if l, ok := o.(*coordinationv1.Lease); ok && l != nil {
		if _, slot, ok := lease.Decode(l); ok {
			return slot.Index, true
		}
	}
	return 0, false
}

func runUID(o object) string {
	if o == nil {
		return ""
	}
	return o.GetAnnotations()["pac-lease-queue.dev/run-uid"]
}

// verdict fails the simulation at the first violation.
func (j *judge) verdict() {
	violations := j.audit.Report().Violations
	for _, v := range violations[j.judged:] {
		j.fail("%s, audited: %s", v.Invariant, v.What)
	}
	j.judged = len(violations)
}

func (j *judge) fail(format string, args ...any) { j.cluster.fail(format, args...) }

func (c *Cluster) fail(format string, args ...any) {
	if c.problem == nil {
		c.problem = fmt.Errorf(format, args...)
		c.trace("!!! %v", c.problem)
	}
}
