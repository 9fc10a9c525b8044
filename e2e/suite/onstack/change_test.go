package onstack_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

const (
	// The chart refuses memory with more than one replica.
	inMemory = "concurrency.backend=memory,replicaCount=1"
	inLeases = "concurrency.backend=lease,replicaCount=2"
)

func TestMemoryBackendRestarted(t *testing.T) {
	s := newScene(t, 2, 1)
	s.upgrade(inMemory, inLeases)
	s.push(8, 3*time.Second)
	s.done(1)
	s.started(2)
	only := cluster.Addon().Replicas()[0]
	s.must(only.Kill())
	s.must(only.Restart(s.ctx))
	s.finished(8)
	if v := s.View(); len(v.Slots) > 0 {
		t.Errorf("slots are Leases: %+v", v.Slots)
	}
}

func TestDurationsChangedWhileQueued(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings // PAC warns that it could not write the order
	s.upgrade("concurrency.orderGrace=10m", "concurrency.orderGrace="+orderGrace.String())
	s.policy("no-order", withHeldOrder, "false")
	s.push(2, time.Second)
	s.wait("2 runs", suite.QueuedDeadline, func(v history.View) bool { return len(v.Runs) == 2 })
	// The wait, of ten minutes so far, ends within a second.
	s.must(cluster.Addon().Upgrade(s.ctx, "concurrency.orderGrace=1s"))
	s.done(2)
	s.audited()
}

func TestHandBack(t *testing.T) {
	s := newScene(t, 2, 2)
	s.Tolerated = suite.OthersWarnings
	s.push(6, 4*time.Second)
	s.started(2)
	waiting := s.queued(6).In(queue.Pending)
	s.upgrade("handBack=true", "handBack=false")
	err := s.patchAs(stack.Developer, waiting[len(waiting)-1].Name, `{"spec":{"status":null}}`)
	if err == nil || !strings.Contains(err.Error(), "It cannot be started by hand") {
		t.Errorf("a developer starts a run that waits to be handed back: %v", err)
	}
	v := s.wait("PAC to start the next run", suite.QueuedDeadline, func(v history.View) bool {
		return len(v.Slots) == 0 && slices.ContainsFunc(v.In(queue.Started), func(r queue.Run) bool { return r.Claim == nil })
	})
	if len(v.In(queue.Pending)) == 0 {
		t.Error("no run was left to hand back")
	}
	s.finished(6)
	s.must(cluster.Addon().Upgrade(s.ctx, "handBack=false"))
	s.push(3, time.Second)
	s.finished(9)
}

func TestStartRefusedByPolicy(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings
	s.policy("frozen", `object.metadata.name.startsWith('run-01-') && `+wasPending,
		`object.?spec.?status.orValue('') == 'PipelineRunPending'`)
	s.push(3, time.Second)
	s.done(2) // once the claim of the first has expired
	e := s.event("ClaimExpired")
	if want := "refused by the scenario"; !strings.Contains(e.Message, want) {
		t.Errorf("the event says %q, want what refuses the start: %q", e.Message, want)
	}
	waiting := s.View().In(queue.Pending)
	if len(waiting) != 1 || waiting[0].Attempt == 0 || waiting[0].NotBefore.IsZero() {
		t.Errorf("waiting: %+v, want the first run in back-off", waiting)
	}
	s.lift(s.Key.Namespace + "-frozen")
	s.finished(3)
}

func TestNewerRunSupersedesOlder(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.OthersWarnings // PAC warns that it cancels nothing under a limit
	files := func(first time.Duration) map[string]string {
		files := s.Files(4, time.Second)
		files[".tekton/run-01.yaml"] = stack.RunFile("run-01", first, keys.CancelInProgress+`: "true"`)
		files[".tekton/run-03.yaml"] = stack.RunFile("run-03", time.Second, keys.CancelInProgress+`: "true"`)
		return files
	}
	s.pushFiles(files(time.Hour))
	s.started(1)
	s.queued(4)
	s.pushFiles(files(time.Second))
	s.done(8)
	report := s.audited()
	// Of the first push run-01 was running and run-03 queued when they were cancelled.
	want := []string{"run-01", "run-02", "run-04", "run-01", "run-02", "run-03", "run-04"}
	if got := suite.Definitions(report); !slices.Equal(got, want) {
		t.Errorf("the runs started as %v, want %v", got, want)
	}
	s.event("Superseded")
	s.reported(4, "run-01", "run-03") // PAC may report a cancelled run as a success
}
