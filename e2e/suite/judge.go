package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// stuckAfter is how long a queue with work and room may stand still before it counts as stuck for
// good. PAC alone was seen to pause for 12 seconds.
const stuckAfter = 30 * time.Second

// Broken is the error of a queue that broke an invariant or got stuck.
type Broken struct {
	Queue      queue.Key
	Stuck      bool // it stood still for stuckAfter, with work and room
	Violations []audit.Violation
}

func (b *Broken) Error() string {
	var what []string
	if b.Stuck {
		what = append(what, fmt.Sprintf("stuck for %s", stuckAfter))
	}
	for _, v := range b.Violations {
		what = append(what, v.String())
	}
	return fmt.Sprintf("queue %s: %s", b.Queue, strings.Join(what, "; "))
}

// OverLimit says whether more runs were started than the limit allows.
func (b *Broken) OverLimit() bool {
	return slices.ContainsFunc(b.Violations, func(v audit.Violation) bool { return v.Invariant == "I1" })
}

// couldStart says whether a run could start: it lacks only a slot, and there is room for it.
func couldStart(v history.View, now time.Time) bool {
	room := v.Limit == queue.Unlimited || len(v.In(queue.Started)) < int(v.Limit)
	return room && slices.ContainsFunc(v.In(queue.Pending), func(r queue.Run) bool {
		return r.Order != nil && r.NotBefore.Before(now)
	})
}

// broken returns a Broken error if the queue broke invariants or is stuck.
func (s *Scene) broken(stuck bool) error {
	report, err := s.report()
	if err != nil {
		return err
	}
	if len(report.Violations) == 0 && !stuck {
		return nil
	}
	return &Broken{Queue: s.Key, Stuck: stuck, Violations: report.Violations}
}

// report audits the whole history of a queue whose runs should all be done.
func (s *Scene) report() (audit.Report, error) {
	auditor, err := s.env.Recorder.Audit(s.Key)
	if err != nil {
		return audit.Report{}, err
	}
	return auditor.Finish(time.Now()), nil
}

// Finished is the usual end of a scene: n runs are done, no invariant broke, and PAC reported every
// run of every push as a success.
func (s *Scene) Finished(ctx context.Context, n int) (audit.Report, error) {
	if _, err := s.Done(ctx, n); err != nil {
		return audit.Report{}, err
	}
	report, err := s.Audited(ctx)
	if err != nil {
		return report, err
	}
	return report, s.Reported(ctx, n)
}

// Audited waits until no finished run holds a slot, audits the whole history, and returns the
// report, which names every run that started.
func (s *Scene) Audited(ctx context.Context) (audit.Report, error) {
	if _, err := s.Wait(ctx, "finished runs to release their slots", StepDeadline, func(v history.View) bool {
		started := map[string]bool{}
		for _, r := range v.In(queue.Started) {
			started[r.UID] = true
		}
		return !slices.ContainsFunc(v.Slots, func(slot queue.Slot) bool {
			return slot.Holder != nil && !started[slot.Holder.UID]
		})
	}); err != nil {
		return audit.Report{}, errors.Join(err, s.broken(false))
	}
	report, err := s.report()
	if err != nil {
		return report, err
	}
	s.env.Log("%s: %d runs, at most %d started at once, pauses %s", s.Key, report.Runs, report.MostStarted, pauses(report))
	return report, errors.Join(s.broken(false), s.warnings(ctx))
}

// Warnings says whose Warning events a scene tolerates in its namespace.
type Warnings int

const (
	NoWarnings     Warnings = iota // the normal flow
	OthersWarnings                 // those of Tekton and PAC, e.g. about a run that was cancelled
	AllWarnings                    // the add-on's too: the scene provokes what an operator should look at
)

// warnings reports Warning events that the scene does not tolerate. Events about pods never count:
// they come from nodes.
func (s *Scene) warnings(ctx context.Context) error {
	events, err := s.Kube.CoreV1().Events(s.Key.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var warnings []error
	for _, e := range events.Items {
		ours := e.Source.Component == addon
		tolerated := s.Tolerated == AllWarnings || s.Tolerated == OthersWarnings && !ours
		if !tolerated && e.Type == corev1.EventTypeWarning && e.InvolvedObject.Kind != "Pod" && !tektonRetries(e) {
			warnings = append(warnings, fmt.Errorf("unexpected Warning event of %s about %s %s: %s: %s",
				e.Source.Component, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message))
		}
	}
	return errors.Join(warnings...)
}

// tektonRetries recognizes the Warning of Tekton's controller about a run that another client
// changed at the same time, after which it tries again. PAC's own patches of running runs cause it
// too.
func tektonRetries(e corev1.Event) bool {
	return e.Source.Component == "PipelineRun" && strings.Contains(e.Message, "the object has been modified")
}

// Reported waits until PAC has reported n runs of all pushes as a success. Runs of the definitions
// named in except do not count: PAC may report a cancelled run as a success.
func (s *Scene) Reported(ctx context.Context, n int, except ...string) error {
	return Eventually(ctx, fmt.Sprintf("%d successful statuses of %s", n, s.Key), StepDeadline, func() error {
		count, all := 0, []string{}
		for _, sha := range slices.Compact(slices.Sorted(slices.Values(s.pushes))) {
			statuses, err := s.Git.Statuses(ctx, sha)
			if err != nil {
				return err
			}
			for _, status := range statuses {
				all = append(all, fmt.Sprintf("%s=%s", status.Context, status.State))
				excepted := slices.ContainsFunc(except, func(name string) bool { return strings.HasSuffix(status.Context, "/ "+name) })
				if status.State == provider.Success && !excepted {
					count++
				}
			}
		}
		if count != n {
			return fmt.Errorf("%d are successful: %v", count, all)
		}
		return nil
	})
}

// Statuses returns the newest statuses of all pushes, as the Git provider shows them.
func (s *Scene) Statuses(ctx context.Context) ([]provider.Status, error) {
	var all []provider.Status
	for _, sha := range slices.Compact(slices.Sorted(slices.Values(s.pushes))) {
		statuses, err := s.Git.Statuses(ctx, sha)
		if err != nil {
			return nil, err
		}
		all = append(all, statuses...)
	}
	return all, nil
}

// Shown counts the newest statuses of all pushes by what the Git provider shows.
func (s *Scene) Shown(ctx context.Context) (map[provider.State]int, error) {
	statuses, err := s.Statuses(ctx)
	shown := map[provider.State]int{}
	for _, status := range statuses {
		shown[status.State]++
	}
	return shown, err
}

// Definitions returns the definitions of the runs that started, in the order of their starts.
func Definitions(r audit.Report) []string {
	var names []string
	for _, start := range r.Starts {
		names = append(names, Definition(start.Run))
	}
	return names
}

// Definition returns the name that a run has in .tekton: its own, without PAC's random suffix.
func Definition(run string) string { return run[:max(strings.LastIndex(run, "-"), 0)] }

func pauses(r audit.Report) string {
	var all []time.Duration
	for _, s := range r.Starts {
		all = append(all, s.Pause)
	}
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	return fmt.Sprintf("median %s, worst %s", all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
}
