package scenarios

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/history"
)

func TestLimitHolds(t *testing.T) {
	for _, c := range []struct{ limit, replicas int }{{1, 2}, {1, 3}, {3, 2}, {3, 3}} {
		t.Run(fmt.Sprintf("limit=%d/replicas=%d", c.limit, c.replicas), func(t *testing.T) {
			s := newScene(t, c.limit, c.replicas)
			s.push(7, time.Second)
			report := s.finished(7)
			if report.MostStarted != c.limit {
				t.Errorf("at most %d runs were started at once, want the limit used: %d", report.MostStarted, c.limit)
			}
		})
	}
}

func TestOrderWithinAndAcrossEvents(t *testing.T) {
	s := newScene(t, 1, 2)
	s.push(4, time.Second)
	s.queued(4)
	s.push(3, time.Second)
	s.queued(7)
	report := s.finished(7)
	want := []string{"run-01", "run-02", "run-03", "run-04", "run-01", "run-02", "run-03"}
	if got := definitions(report); !slices.Equal(got, want) {
		t.Errorf("started in the order %v, want %v", got, want)
	}
}

func TestLimitRaisedWhileQueued(t *testing.T) {
	s := newScene(t, 1, 2)
	s.push(6, 3*time.Second)
	s.started(1)
	s.must(s.repo.SetLimit(s.ctx, pointer(3)))
	s.started(3)
	s.finished(6)
}

func TestLimitLoweredWhileQueued(t *testing.T) {
	s := newScene(t, 3, 2)
	s.push(7, 4*time.Second)
	s.started(3)
	s.must(s.repo.SetLimit(s.ctx, pointer(1)))
	s.wait("the slots above the limit are gone", drainDeadline, func(v history.View) bool {
		return len(v.Slots) == 1 && len(v.In(queue.Started)) <= 1
	})
	s.finished(7)
}

func TestLimitRemovedWhileQueued(t *testing.T) {
	s := newScene(t, 1, 2)
	s.push(5, 3*time.Second)
	s.started(1)
	s.must(s.repo.SetLimit(s.ctx, nil))
	s.wait("everything runs and the slots are gone", stepDeadline, func(v history.View) bool {
		return len(v.In(queue.Pending)) == 0 && len(v.Slots) == 0
	})
	s.finished(5)
}

func TestRepositoriesDoNotWaitForEachOther(t *testing.T) {
	busy := newScene(t, 1, 2)
	busy.push(2, 20*time.Second)
	busy.started(1)
	t.Run("quiet", func(t *testing.T) {
		quiet := newScene(t, 1, 2)
		quiet.push(2, time.Second)
		quiet.finished(2)
	})
	if left := len(recorder.View(busy.key).In(queue.Pending)); left != 1 {
		t.Errorf("the busy queue has %d runs pending, want 1 still", left)
	}
	busy.finished(2)
}
