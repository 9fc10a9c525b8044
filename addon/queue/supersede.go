package queue

import (
	"cmp"
	"fmt"
	"time"
)

// Origin says which definition and which event a run comes from. PAC's cancel-in-progress goes by
// it: a newer run of the same origin supersedes the older ones.
type Origin struct {
	// Definition is the PipelineRun in .tekton/ that the run was made from.
	Definition string
	Trigger    Trigger
	// PullRequest is the number of the pull request; empty for a push.
	PullRequest string
	// Branch is where the change comes from.
	Branch string
	// Sender is the account that caused the event.
	Sender string
	// CancelInProgress is the run's own setting.
	CancelInProgress Choice
	// Settings are those of the PAC controller that made the run, for a run without one of its own.
	Settings CancelInProgress
}

// String says of which definition and for which branch or pull request a run is.
func (o Origin) String() string {
	switch {
	case o.PullRequest != "":
		return fmt.Sprintf("of %s for pull request %s", o.Definition, o.PullRequest)
	case o.Branch != "":
		return fmt.Sprintf("of %s on branch %s", o.Definition, o.Branch)
	default:
		return "of " + o.Definition
	}
}

// Trigger is the kind of event that triggered a run.
type Trigger int

const (
	// OtherTrigger is none of those below.
	OtherTrigger Trigger = iota
	PullRequestTrigger
	// LabelTrigger is a change of a pull request's labels. Such a run supersedes as one of its pull
	// request does, but PAC's newer runs of the pull request pass it over.
	LabelTrigger
	PushTrigger
)

// ofPullRequest says whether the event is one of a pull request.
func (t Trigger) ofPullRequest() bool { return t == PullRequestTrigger || t == LabelTrigger }

// Choice is a setting that a run may leave unset.
type Choice int

const (
	Unsaid Choice = iota
	Yes
	No
)

// CancelInProgress holds the settings of a PAC controller for the runs without one of their own.
type CancelInProgress struct {
	OnPullRequest, OnPush bool
	// Since is when they were set. What was set before is not known, so they are not for runs
	// created before, or in the same second: a cancellation cannot be undone.
	Since time.Time
}

// supersedes says that there may be runs that this one supersedes.
func (r *Run) supersedes() bool { return r.Origin.Definition != "" && r.cancels() }

// cancels says whether a run cancels the runs that it supersedes. PAC goes by the settings at the
// run's creation.
func (r *Run) cancels() bool {
	o, c := &r.Origin, &r.Origin.Settings
	switch o.CancelInProgress {
	case Yes:
		return true
	case No:
		return false
	case Unsaid:
	}
	if !r.Created.After(c.Since) {
		return false
	}
	return o.Trigger.ofPullRequest() && c.OnPullRequest || o.Trigger == PushTrigger && c.OnPush
}

// SupersededBy finds for each superseded run, by UID, the newest run that supersedes it. It takes
// time in proportion to the number of runs, because a tenant chooses that number.
//
// The rule is PAC's own for Repositories without a limit
// (pkg/pipelineascode/cancel_pipelineruns.go, cancelInProgressMatchingPipelineRun): the same
// definition and branch, and, if the newer run is of a pull request, the same pull request. PAC
// applies it when it creates a run, to all runs that exist; here the creation time says which those
// were. Creation times are whole seconds: of two runs created in the same second, the one whose
// event came later supersedes the other, once that has been written down of both events. An upper
// bound will not do for the later one: a cancellation cannot be undone. A run that is over still
// supersedes what it superseded when it came: a cancellation that has failed so far is still made.
func SupersededBy(line []Place) map[string]*Run {
	return supersededBy(line, cancelsOlder, isNotDone)
}

func cancelsOlder(p *Place) bool { return p.Run.supersedes() }
func isNotDone(p *Place) bool    { return p.Run.Phase != Done }

// supersededBy finds those of the older runs that one of the newer ones supersedes.
func supersededBy(line []Place, isNewer, isOlder func(*Place) bool) map[string]*Run {
	newest := map[reach]*Place{}
	for i := range line {
		p := &line[i]
		if !isNewer(p) {
			continue
		}
		for _, within := range p.Run.Origin.reaches() {
			if was := newest[within]; was == nil || newer(p, was) {
				newest[within] = p
			}
		}
	}
	if len(newest) == 0 {
		return nil
	}
	var by map[string]*Run
	for i := range line {
		o := &line[i]
		if !isOlder(o) {
			continue
		}
		var superseding *Place
		for _, within := range o.Run.Origin.within() {
			// The newest one supersedes the run if any does.
			p := newest[within]
			if p != nil && p.supersedes(o) && (superseding == nil || newer(p, superseding)) {
				superseding = p
			}
		}
		if superseding != nil {
			if by == nil {
				by = map[string]*Run{}
			}
			by[o.Run.UID] = superseding.Run
		}
	}
	return by
}

// supersedes compares the times of two runs.
func (p *Place) supersedes(o *Place) bool {
	return o.Run.Created.Before(p.Run.Created) ||
		o.Run.Created.Equal(p.Run.Created) && o.Event.Arrived.Known() && o.Event.Arrived.Version < p.proven()
}

// proven is when the event came, if that is exact and written down, and less than any such time if
// not.
func (p *Place) proven() uint64 {
	if p.Event.Arrived.AtMost {
		return 0
	}
	return p.Event.Arrived.Version
}

func newer(p, than *Place) bool {
	return cmp.Or(
		p.Run.Created.Compare(than.Run.Created),
		cmp.Compare(p.proven(), than.proven()),
		cmp.Compare(p.Run.Name, than.Run.Name),
	) > 0
}

// contests finds the events, by ID, of which only the time within a second can say which one's runs
// supersede the other's. Runs whose event is not known yet are left out.
func contests(line []Place, placed, isNewer, isOlder func(*Place) bool) map[string]bool {
	type front struct {
		created time.Time
		// event is one that has runs in this front, and several says that there are others.
		event              string
		several, contested bool
	}
	fronts := map[reach]*front{} // the newest runs that supersede those within it
	var superseding []*Place
	for i := range line {
		p := &line[i]
		if !isNewer(p) || !placed(p) {
			continue
		}
		superseding = append(superseding, p)
		for _, within := range p.Run.Origin.reaches() {
			switch is := fronts[within]; {
			case is == nil || is.created.Before(p.Run.Created):
				fronts[within] = &front{created: p.Run.Created, event: p.Event.ID}
			case is.created.Equal(p.Run.Created) && is.event != p.Event.ID:
				is.several = true
			}
		}
	}
	if len(superseding) == 0 {
		return nil
	}
	contested := map[string]bool{}
	for i := range line {
		o := &line[i]
		if !isOlder(o) || !placed(o) {
			continue
		}
		for _, within := range o.Run.Origin.within() {
			is := fronts[within]
			if is != nil && is.created.Equal(o.Run.Created) && (is.several || is.event != o.Event.ID) {
				contested[o.Event.ID], is.contested = true, true
			}
		}
	}
	for _, p := range superseding {
		for _, within := range p.Run.Origin.reaches() {
			if is := fronts[within]; is.contested && is.created.Equal(p.Run.Created) {
				contested[p.Event.ID] = true
			}
		}
	}
	return contested
}

// reach is a set of runs that a newer run supersedes.
type reach struct {
	definition, branch string
	// A run whose branch is not known is superseded by those of any branch.
	unknownBranch bool
	// A run of a pull request supersedes those of the same one only, any other run all of them.
	ofPullRequest bool
	pullRequest   string
}

// reaches returns the sets that a run of this origin supersedes.
func (o Origin) reaches() [2]reach {
	all := reach{definition: o.Definition}
	if o.Trigger.ofPullRequest() {
		all.ofPullRequest, all.pullRequest = true, o.PullRequest
	}
	ofBranch, unknown := all, all
	ofBranch.branch, unknown.unknownBranch = o.Branch, true
	return [...]reach{ofBranch, unknown}
}

// within returns the sets that a run of this origin is in.
func (o Origin) within() []reach {
	all := reach{definition: o.Definition, branch: o.Branch, unknownBranch: o.Branch == ""}
	if o.Trigger != PullRequestTrigger {
		return []reach{all}
	}
	same := all
	same.ofPullRequest, same.pullRequest = true, o.PullRequest
	return []reach{all, same}
}

// cancel cancels superseded runs. They keep their slots until they are seen to be done.
func (d *decider) cancel() {
	if len(d.superseded) == 0 {
		return
	}
	for _, p := range d.line {
		if by, ok := d.superseded[p.Run.UID]; ok && !p.Run.Ending {
			d.do(Cancel{Run: *p.Run, By: *by})
		}
	}
}

// isSuperseded says that the run must not be started.
func (d *decider) isSuperseded(r *Run) bool {
	if len(d.superseded) > 0 {
		if _, is := d.superseded[r.UID]; is {
			return true
		}
	}
	return d.isReplaced(r)
}
