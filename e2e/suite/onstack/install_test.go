package onstack_test

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// TestRunQueuesGoAndCome: without RunQueues, a queue goes on as Pipelines-as-Code has it, and what
// a RunQueue says counts again once they are back.
func TestRunQueuesGoAndCome(t *testing.T) {
	s := newScene(t, 1, 2)
	s.push(12, 2*time.Second)
	s.done(2)
	s.spec(v1alpha1.RunQueueSpec{Paused: true})
	s.status("a pause", func(is v1alpha1.RunQueueStatus) bool { return is.State == v1alpha1.StatePaused && is.Running == 0 })
	before := len(s.View().In(queue.Done))
	s.upgrade("runQueues.enabled=false", "runQueues.enabled=true")
	s.done(before + 2)
	s.must(cluster.Upgrade(s.ctx, "runQueues.enabled=true"))
	s.wait("the pause to count again", suite.StepDeadline, func(v history.View) bool {
		return len(v.In(queue.Started)) == 0 && len(v.In(queue.Pending)) > 0
	})
	s.resume()
	s.done(12)
	auditor, err := env.Recorder.Audit(s.Key)
	s.must(err)
	for _, v := range auditor.Finish(time.Now()).Violations {
		if v.Invariant != "I3" { // the audit knows of the pause, and not that nobody goes by it
			t.Error(v)
		}
	}
}

// An upgrade and its rollback replace the replicas one after the other while the queue goes on.
func TestUpgradeAndRollbackUnderLoad(t *testing.T) {
	s := newScene(t, 2, 2)
	s.push(14, 3*time.Second)
	s.done(1)
	before := cluster.Addon().Replicas()
	s.must(cluster.Addon().Upgrade(s.ctx, "podAnnotations.release=next"))
	upgraded := cluster.Addon().Replicas()
	s.done(7)
	s.must(cluster.Addon().Rollback(s.ctx))
	s.finished(14)
	for i, r := range cluster.Addon().Replicas() {
		if r == upgraded[i] || upgraded[i] == before[i] {
			t.Errorf("%s was not replaced twice", r.Name())
		}
	}
}
