package runqueue

import (
	"errors"
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Shape is what the spec of a RunQueue makes of its queue. It never changes, and is safe for
// concurrent use.
type Shape struct {
	spec  queue.Spec
	rules []rule
}

var _ pac.Shape = (*Shape)(nil)

// Spec implements pac.Shape.
func (s *Shape) Spec() queue.Spec { return s.spec }

// Priority implements pac.Shape: that of the first rule whose condition holds.
func (s *Shape) Priority(of pac.Subject) (int, error) {
	if len(s.rules) == 0 {
		return 0, nil
	}
	known := variables(of)
	var failed error
	for i := range s.rules {
		holds, err := s.rules[i].holds(known, of.Cut)
		if failed = errors.Join(failed, err); holds {
			return s.rules[i].priority, failed
		}
	}
	return 0, failed
}

// The bounds of [v1alpha1.Waiting.MaxAge], which its CRD has, too.
const leastAge, mostAge = time.Second, 8760 * time.Hour

// Compile reads a spec. An error says what of it cannot be used: the shape goes without that. Of
// priorities, all are used or none: with a rule left out, another one would count instead.
func Compile(spec v1alpha1.RunQueueSpec) (*Shape, error) {
	s := &Shape{spec: queue.Spec{
		Paused:      spec.Paused,
		KeepNewest:  spec.Waiting.Keep == v1alpha1.KeepNewest,
		MostWaiting: int(max(0, spec.Waiting.Max)),
	}}
	var wrong []error
	switch spec.Order {
	case v1alpha1.OrderEvents, "":
	case v1alpha1.OrderNewestFirst:
		s.spec.Order = queue.NewestFirst
	case v1alpha1.OrderFair:
		s.spec.Order = queue.Fair
	default:
		wrong = append(wrong, fmt.Errorf("spec.order is %q: want Events, NewestFirst or Fair", spec.Order))
	}
	switch spec.FairBy {
	case v1alpha1.FairByBranch, "":
	case v1alpha1.FairByPullRequest:
		s.spec.FairBy = queue.ByPullRequest
	case v1alpha1.FairBySender:
		s.spec.FairBy = queue.BySender
	default:
		wrong = append(wrong, fmt.Errorf("spec.fairBy is %q: want Branch, PullRequest or Sender", spec.FairBy))
	}
	switch spec.Release {
	case "":
	case v1alpha1.ReleaseDone:
		s.spec.Release = queue.ReleaseWhenDone
	case v1alpha1.ReleasePodsGone:
		s.spec.Release = queue.ReleaseWhenPodsGone
	default:
		wrong = append(wrong, fmt.Errorf("spec.release is %q: want Done or PodsGone", spec.Release))
	}
	if spec.Waiting.MaxAge != "" {
		age, err := time.ParseDuration(spec.Waiting.MaxAge)
		if err != nil || age < leastAge || age > mostAge {
			wrong = append(wrong, fmt.Errorf("spec.waiting.maxAge is %q: want a time from 1s to 8760h, e.g. 30m",
				queue.Clip(spec.Waiting.MaxAge, 64)))
		} else {
			s.spec.MaxAge = age
		}
	}
	rules, err := compileRules(spec.Priorities)
	s.rules = rules
	return s, errors.Join(append(wrong, err)...)
}
