package onstack_test

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

func TestReplicaKilledBetweenClaimAndStart(t *testing.T) {
	s := newScene(t, 1, 1)
	// The only replica leads, and will kill itself right after its first claim.
	doomed := cluster.Addon().Replicas()[0]
	doomed.SetEnv("PAC_LEASE_QUEUE_FAILPOINT=claimed")
	s.must(doomed.Restart(s.ctx))
	s.leads(doomed)
	s.must(cluster.Addon().Scale(s.ctx, 2))
	t.Cleanup(func() { doomed.SetEnv() })

	s.push(3, time.Second)
	s.eventually("the replica to die", suite.QueuedDeadline, func() error { return isDead(doomed) })
	v := s.wait("the claim that it left behind", suite.StepDeadline, func(v history.View) bool {
		return len(v.Slots) == 1 && v.Slots[0].Holder != nil
	})
	left := v.Slots[0].Holder.Name
	report := s.finished(3)
	if report.Starts[0].Run != left {
		t.Errorf("%s was started first, want %s: another replica carries out the claim", report.Starts[0].Run, left)
	}
}

func TestAllReplicasDownForAWhile(t *testing.T) {
	s := newScene(t, 2, 2)
	s.push(5, 2*time.Second)
	s.started(2)
	for _, r := range cluster.Addon().Replicas() {
		s.must(r.Kill())
	}
	v := s.wait("the started runs to finish", suite.DrainDeadline, func(v history.View) bool { return len(v.In(queue.Started)) == 0 })
	before := len(v.In(queue.Done))
	s.push(2, time.Second) // no replica is up to start these
	if *hold == webhook {
		s.Tolerated = suite.OthersWarnings // nor to hold them: PAC fails to write their order and warns
		s.wait("7 runs", suite.QueuedDeadline, func(v history.View) bool { return len(v.Runs) == 7 })
	} else {
		s.queued(7)
	}
	if v := s.View(); len(v.In(queue.Done)) != before || len(v.In(queue.Started)) != 0 {
		t.Errorf("while no replica was up, %d runs are done and %d started", len(v.In(queue.Done)), len(v.In(queue.Started)))
	}
	for _, r := range cluster.Addon().Replicas() {
		s.must(r.Restart(s.ctx))
	}
	s.finished(7)
}
