package onstack_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// removals are the ways to take a run out of the queue.
var removals = map[string]func(*scene, string){
	"Cancelled": func(s *scene, run string) { s.patch(run, cancelled) },
	"Deleted":   func(s *scene, run string) { s.remove(run) },
}

func TestRunCancelledWhileQueued(t *testing.T)  { whileQueued(t, "Cancelled") }
func TestRunDeletedWhileQueued(t *testing.T)    { whileQueued(t, "Deleted") }
func TestRunCancelledWhileClaimed(t *testing.T) { whileClaimed(t, "Cancelled") }
func TestRunDeletedWhileClaimed(t *testing.T)   { whileClaimed(t, "Deleted") }
func TestRunCancelledWhileRunning(t *testing.T) { whileRunning(t, "Cancelled") }
func TestRunDeletedWhileRunning(t *testing.T)   { whileRunning(t, "Deleted") }

func whileQueued(t *testing.T, how string) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.OthersWarnings
	s.push(4, 2*time.Second)
	s.started(1)
	v := s.queued(4)
	victim := v.In(queue.Pending)[1]
	removals[how](s, victim.Name)
	s.othersFinish(victim, 3)
	auditor, err := env.Recorder.Audit(s.Key)
	s.must(err)
	for _, start := range auditor.Report().Starts {
		if start.Run == victim.Name {
			t.Errorf("%s was started after it had been taken out of the queue", victim.Name)
		}
	}
}

func whileRunning(t *testing.T, how string) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.OthersWarnings
	files := s.Files(3, time.Second)
	files[".tekton/run-01.yaml"] = stack.RunFile("run-01", 10*time.Minute)
	s.pushFiles(files)
	victim := s.started(1).In(queue.Started)[0]
	removals[how](s, victim.Name)
	s.othersFinish(victim, 2)
}

// whileClaimed needs a run that has a slot and does not start: a policy refuses the start.
func whileClaimed(t *testing.T, how string) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings // the add-on may warn about the refused start
	s.refuseStarts()
	files := s.Files(3, time.Second)
	files[".tekton/run-01.yaml"] = unstartable(files[".tekton/run-01.yaml"])
	s.pushFiles(files)
	v := s.wait("a claimed run", suite.QueuedDeadline, func(v history.View) bool { return len(claimed(v)) == 1 })
	victim := claimed(v)[0]
	removals[how](s, victim.Name)
	s.othersFinish(victim, 2)
}

// claimed returns the runs that have a slot and are not started.
func claimed(v history.View) []queue.Run {
	var runs []queue.Run
	for _, r := range v.In(queue.Pending) {
		for _, slot := range v.Slots {
			if slot.Holder != nil && slot.Holder.UID == r.UID {
				runs = append(runs, r)
			}
		}
	}
	return runs
}

// othersFinish waits for n runs to succeed besides the victim.
func (s *scene) othersFinish(victim queue.Run, n int) {
	s.Helper()
	s.wait("the other runs to finish", suite.DrainDeadline, func(v history.View) bool {
		others := 0
		for _, r := range v.Runs {
			if r.UID == victim.UID {
				if r.Phase != queue.Done {
					return false
				}
				continue
			}
			if r.Phase == queue.Done {
				others++
			}
		}
		return others == n
	})
	s.audited()
	s.reported(n, suite.Definition(victim.Name))
}

// noStart is the annotation of runs whose start refuseStarts refuses.
const noStart = "onstack.pac-lease-queue.dev/no-start"

func unstartable(file string) string {
	return strings.Replace(file, "  annotations:\n", "  annotations:\n    "+noStart+": \"true\"\n", 1)
}

// refuseStarts makes the API server refuse the start of runs annotated with noStart.
func (s *scene) refuseStarts() {
	s.Helper()
	s.policy("no-start", withAnnotation(noStart)+" && "+wasPending,
		`object.?spec.?status.orValue('') != ''`)
}

func TestRepositoryDeleted(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings
	s.push(4, 2*time.Second)
	s.started(1)
	s.queued(4)
	repositories := s.PAC.PipelinesascodeV1alpha1().Repositories(s.Key.Namespace)
	kept, err := repositories.Get(s.ctx, s.Key.Repository, metav1.GetOptions{})
	s.must(err)
	s.must(repositories.Delete(s.ctx, s.Key.Repository, metav1.DeleteOptions{}))

	s.wait("the started run to finish and its slot to be collected", suite.DrainDeadline, func(v history.View) bool {
		return len(v.In(queue.Started)) == 0 && len(v.Slots) == 0
	})
	s.event("RepositoryNotFound")
	waiting := len(s.View().In(queue.Pending))
	if waiting == 0 {
		t.Fatal("no run waits for the Repository, want the queued ones to wait")
	}

	// The Repository comes back with another UID, and the runs keep their places.
	kept.ObjectMeta = metav1.ObjectMeta{Name: kept.Name, Namespace: kept.Namespace}
	_, err = repositories.Create(s.ctx, kept, metav1.CreateOptions{})
	s.must(err)
	s.done(4)
	s.audited()
}
