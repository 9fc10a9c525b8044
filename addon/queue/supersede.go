package queue

import "cmp"

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
}

// Trigger is the kind of event that triggered a run.
type Trigger int

const (
	// OtherTrigger is none of those below, e.g. an incoming webhook.
	OtherTrigger Trigger = iota
	PullRequestTrigger
	PushTrigger
)

// Choice is a setting that a run may leave unset.
type Choice int

const (
	Unsaid Choice = iota
	Yes
	No
)

// CancelInProgress holds PAC's settings for the runs without one of their own.
type CancelInProgress struct {
	OnPullRequest, OnPush bool
}

// cancels says whether a run of this origin cancels the runs that it supersedes.
func (c CancelInProgress) cancels(o Origin) bool {
	switch o.CancelInProgress {
	case Yes:
		return true
	case No:
		return false
	case Unsaid:
	}
	return o.Trigger == PullRequestTrigger && c.OnPullRequest || o.Trigger == PushTrigger && c.OnPush
}

// supersedes is PAC's own rule for Repositories without a limit
// (pkg/pipelineascode/cancel_pipelineruns.go, cancelInProgressMatchingPipelineRun): the same
// definition and branch, and, if the newer run is of a pull request, the same pull request. PAC
// applies it when it creates a run, to all runs that exist; here the creation time says which those
// were. Creation times are whole seconds: of two runs created in the same second neither supersedes
// the other.
func (r Run) supersedes(o Run) bool {
	return r.Origin.Definition != "" && r.Origin.Definition == o.Origin.Definition &&
		(o.Origin.Branch == "" || o.Origin.Branch == r.Origin.Branch) &&
		(r.Origin.Trigger != PullRequestTrigger ||
			o.Origin.Trigger == PullRequestTrigger && o.Origin.PullRequest == r.Origin.PullRequest) &&
		o.Created.Before(r.Created)
}

// SupersededBy finds for each superseded run, by UID, the newest run that supersedes it. A run that
// is over still supersedes what it superseded when it came: a cancellation that has failed so far
// is still made.
func SupersededBy(runs []Run, settings CancelInProgress) map[string]Run {
	var by map[string]Run
	for _, r := range runs {
		if !settings.cancels(r.Origin) {
			continue
		}
		for _, o := range runs {
			if o.Phase == Done || !r.supersedes(o) {
				continue
			}
			newest, again := by[o.UID]
			if !again || cmp.Or(r.Created.Compare(newest.Created), cmp.Compare(r.Name, newest.Name)) > 0 {
				if by == nil {
					by = map[string]Run{}
				}
				by[o.UID] = r
			}
		}
	}
	return by
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
