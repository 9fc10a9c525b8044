package queue

import (
	"cmp"
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
	// CancelInProgress is the run's own setting.
	CancelInProgress Choice
	// Settings are those of the PAC controller that made the run, for a run without one of its own.
	Settings CancelInProgress
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

// cancels says whether a run cancels the runs that it supersedes. PAC goes by the settings at the
// run's creation.
func (r *Run) cancels() bool {
	o, c := r.Origin, r.Origin.Settings
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
// were. Creation times are whole seconds: of two runs created in the same second neither supersedes
// the other. A run that is over still supersedes what it superseded when it came: a cancellation
// that has failed so far is still made.
func SupersededBy(runs []Run) map[string]Run {
	newest := map[reach]*Run{}
	for i := range runs {
		r := &runs[i]
		if r.Origin.Definition == "" || !r.cancels() {
			continue
		}
		for _, within := range r.Origin.reaches() {
			if was := newest[within]; was == nil || newer(r, was) {
				newest[within] = r
			}
		}
	}
	if len(newest) == 0 {
		return nil
	}
	var by map[string]Run
	for _, o := range runs {
		if o.Phase == Done {
			continue
		}
		var superseding *Run
		for _, within := range o.Origin.within() {
			// The newest one supersedes the run if any does.
			r := newest[within]
			if r != nil && o.Created.Before(r.Created) && (superseding == nil || newer(r, superseding)) {
				superseding = r
			}
		}
		if superseding != nil {
			if by == nil {
				by = map[string]Run{}
			}
			by[o.UID] = *superseding
		}
	}
	return by
}

func newer(r, than *Run) bool {
	return cmp.Or(r.Created.Compare(than.Created), cmp.Compare(r.Name, than.Name)) > 0
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
	for _, p := range d.line {
		if by, ok := d.superseded[p.Run.UID]; ok && !p.Run.Ending {
			d.do(Cancel{Run: p.Run, By: by})
		}
	}
}

// isSuperseded says that the run must not be started.
func (d *decider) isSuperseded(r Run) bool {
	_, ok := d.superseded[r.UID]
	return ok
}
