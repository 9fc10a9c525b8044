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

// stuckAfter is how long nothing may happen in a queue with work and room before
// it counts as stuck for good. PAC alone has been seen to pause for 12 seconds.
const stuckAfter = 30 * time.Second

// Broken says that a queue did what none may.
type Broken struct {
	Queue      queue.Key
	Stuck      bool // nothing has happened for long, though there is work and room
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

// couldStart says whether there are runs that could start, and room for one.
func couldStart(v history.View, now time.Time) bool {
	room := v.Limit == queue.Unlimited || len(v.In(queue.Started)) < int(v.Limit)
	return room && slices.ContainsFunc(v.In(queue.Pending), func(r queue.Run) bool {
		return (r.Order != nil || r.Unordered) && r.NotBefore.Before(now)
	})
}

// broken is the error of a queue that broke invariants, or is stuck.
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

// report audits the whole history of the queue, all of which should be over.
func (s *Scene) report() (audit.Report, error) {
	auditor, err := s.env.Recorder.Audit(s.Key)
	if err != nil {
		return audit.Report{}, err
	}
	return auditor.Finish(time.Now()), nil
}

// Finished is the usual end: n runs are done, no invariant broke, and PAC has
// reported every run of every push as a success.
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

// Audited waits until every slot is free, audits the whole history and returns the
// report, which names every run that started.
func (s *Scene) Audited(ctx context.Context) (audit.Report, error) {
	if _, err := s.Wait(ctx, "no slot is held by a finished run", StepDeadline, func(v history.View) bool {
		return !slices.ContainsFunc(v.Slots, func(slot queue.Slot) bool {
			return slot.Holder != nil && !slices.ContainsFunc(v.In(queue.Started), func(r queue.Run) bool { return r.UID == slot.Holder.UID })
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

// Warner says who may emit Warning events in a scene's namespace.
type Warner int

// Who may warn.
const (
	Nobody  Warner = iota // the normal flow
	Others                // Tekton and PAC, of a run that somebody took out
	Anybody               // the add-on too: the scene is about what a person should look at
)

// warnings are the Warning events that are not to be there. What nodes say of
// pods is not judged.
func (s *Scene) warnings(ctx context.Context) error {
	events, err := s.Kube.CoreV1().Events(s.Key.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var warnings []error
	for _, e := range events.Items {
		ours := e.Source.Component == addon
		judged := s.MayWarn == Nobody || s.MayWarn == Others && ours
		if judged && e.Type == corev1.EventTypeWarning && e.InvolvedObject.Kind != "Pod" && !tektonRetries(e) {
			warnings = append(warnings, fmt.Errorf("a Warning event of %s on %s %s: %s: %s",
				e.Source.Component, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message))
		}
	}
	return errors.Join(warnings...)
}

// tektonRetries recognizes the Warning by which Tekton's controller tells that
// somebody wrote to a run while it did, after which it tries again. PAC's own
// patches of running runs cause it too.
func tektonRetries(e corev1.Event) bool {
	return e.Source.Component == "PipelineRun" && strings.Contains(e.Message, "the object has been modified")
}

// Reported waits until PAC has reported n runs, over all pushes, as a success. It
// may do so of a run that was taken out too; except names its definition.
func (s *Scene) Reported(ctx context.Context, n int, except ...string) error {
	return Eventually(ctx, fmt.Sprintf("%d statuses of %s are a success", n, s.Key), StepDeadline, func() error {
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
			return fmt.Errorf("%d are: %v", count, all)
		}
		return nil
	})
}

// Definitions are the .tekton names of the runs that started, in order.
func Definitions(r audit.Report) []string {
	var names []string
	for _, start := range r.Starts {
		names = append(names, Definition(start.Run))
	}
	return names
}

// Definition is a run's name without PAC's random suffix.
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
