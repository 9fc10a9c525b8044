package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// stillness is how long nothing may happen in a queue with work and room before it counts as stuck.
// PAC alone has been seen to pause for 12 seconds.
const stillness = 20 * time.Second

// way is a way for a queue to fail. It describes the failure, or returns nothing while there is
// none.
type way func(*scene, history.View) (string, error)

// shows waits until the queue fails in one of the ways, or has worked everything off.
func shows(ways ...way) func(*scene) (string, error) {
	return func(s *scene) (string, error) {
		deadline := time.After(drainDeadline)
		for {
			changed := s.recorder.Changed()
			busy := false
			for _, one := range s.all() {
				v := one.view()
				for _, fails := range ways {
					if failure, err := fails(one, v); err != nil || failure != "" {
						return failure, errors.Join(err, s.recorder.Err())
					}
				}
				busy = busy || len(v.In(queue.Done)) < one.runs
			}
			if !busy {
				return "", s.recorder.Err()
			}
			select {
			case <-changed:
			case <-time.After(time.Second): // a standstill is no change
			case <-deadline:
				return "", fmt.Errorf("the queue has neither failed nor worked everything off after %s", drainDeadline)
			case <-s.ctx.Done():
				return "", context.Cause(s.ctx)
			}
		}
	}
}

// overLimit describes more started runs than the limit allows, at any instant.
func overLimit(s *scene, _ history.View) (string, error) {
	auditor, err := s.recorder.Audit(s.key)
	if err != nil {
		return "", err
	}
	report := auditor.Report()
	if !slices.ContainsFunc(report.Violations, func(v audit.Violation) bool { return v.Invariant == "I1" }) {
		return "", nil
	}
	return fmt.Sprintf("limit broken: %d runs at a time, the limit is %d", report.MostStarted, limit), nil
}

// standstill describes runs that wait although there is room, every watcher is alive and nothing
// happens.
func standstill(s *scene, v history.View) (string, error) {
	waiting, running := v.In(queue.Pending), len(v.In(queue.Started))
	if len(v.Runs) < s.runs || len(waiting) == 0 || running >= limit || time.Since(v.Changed) < stillness {
		return "", nil
	}
	memory, err := s.memory()
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(waiting))
	for _, r := range waiting {
		names = append(names, definition(r.Name))
	}
	return fmt.Sprintf("stuck: %s Pending, and nothing has happened for %s; %s", list(names), stillness, memory), nil
}

// worksOff waits until every run is done and every slot is free. No invariant may have been broken.
func (s *scene) worksOff() (string, error) {
	runs, most := 0, 0
	for _, one := range s.all() {
		report, err := one.workedOff()
		if err != nil {
			return "", err
		}
		runs += report.Done
		most = max(most, report.MostStarted)
	}
	return fmt.Sprintf("all %d runs done, in order, at most %d at a time", runs, most), nil
}

func (s *scene) workedOff() (audit.Report, error) {
	v, err := s.wait(fmt.Sprintf("%d finished runs and free slots", s.runs), drainDeadline, func(v history.View) bool {
		return len(v.In(queue.Done)) == s.runs && v.Free()
	})
	if err != nil {
		return audit.Report{}, fmt.Errorf("%w: %d are done, %d started, %d waiting", err,
			len(v.In(queue.Done)), len(v.In(queue.Started)), len(v.In(queue.Pending)))
	}
	auditor, err := s.recorder.Audit(s.key)
	if err != nil {
		return audit.Report{}, err
	}
	report := auditor.Finish(time.Now())
	var broken []error
	for _, v := range report.Violations {
		broken = append(broken, errors.New(v.String()))
	}
	return report, errors.Join(broken...)
}
