package simulation

import (
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// waitsForKueue says that the run was passed to Kueue. The guard lets Kueue start it.
func waitsForKueue(pr *tektonv1.PipelineRun) bool {
	run := pac.ReadRun(pr).BesideKueue()
	return run.WaitsForKueue()
}

// labelForKueue is what Kueue's webhook and the hold make of a new run.
func labelForKueue(pr *tektonv1.PipelineRun) {
	pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	pr.Annotations[pac.HeldQueueName] = "team"
}

// atKueue lists the runs that wait for Kueue.
func (c *Cluster) atKueue(key queue.Key) []*tektonv1.PipelineRun {
	return c.runsOf(key, func(pr *tektonv1.PipelineRun) bool { return waitsForKueue(pr) })
}

// admit has Kueue start a run that waits for it. One that is being deleted goes.
func (c *Cluster) admit(pr *tektonv1.PipelineRun) {
	switch {
	case pr == nil:
	case pr.DeletionTimestamp != nil:
		c.trace("%s is gone", pr.Name)
		c.server.remove(runs, pr, nil)
	default:
		c.editRun(pr, "is admitted by Kueue", func(pr *tektonv1.PipelineRun) { pr.Spec.Status = "" })
	}
}

// besideKueue judges a change of a run that is labelled for Kueue, in a cluster with Kueue: Kueue
// starts it and no replica does, and a run that waits for Kueue keeps its claim.
func (j *judge) besideKueue(was object, is *tektonv1.PipelineRun, by *request) {
	before, existed := was.(*tektonv1.PipelineRun)
	if !existed || before == nil || by == nil || !before.IsPending() || pac.ReadRun(before).Kueue.Queue == "" {
		return
	}
	switch {
	case !is.IsPending() && !isEnding(is):
		j.fail("beside Kueue: %s is started by a replica, and Kueue stops it", is.Name)
	case waitsForKueue(before) && is.IsPending() && !waitsForKueue(is):
		j.fail("beside Kueue: the claim of %s is taken back while it waits for Kueue", is.Name)
	}
}
