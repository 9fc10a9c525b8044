package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

// Audit replays the history of one queue, from the beginning until now. It fails if the record has
// a hole.
func (r *Recorder) Audit(key queue.Key) (*audit.Auditor, error) {
	changes := r.inOrder()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("no audit of %s: %w", key, err)
	}
	auditor := audit.New(r.Lag)
	var local, global *pacv1alpha1.Repository
	var shape pac.Shape
	runs := map[string]change{}  // that exist, by UID
	withPAC := map[string]bool{} // those that were handed back, which PAC starts in its own order
	for _, c := range changes {
		if run, ok := c.runOf(key); ok {
			if c.gone {
				delete(runs, run.UID)
				auditor.Gone(run.UID, c.at)
			} else {
				if before, ok := runs[run.UID]; ok {
					withPAC[run.UID] = withPAC[run.UID] || before.held() && !c.held()
				}
				runs[run.UID] = c
				auditor.AnyOrder = withPAC[run.UID]
				auditor.Run(c.prioritized(shape), c.at)
				auditor.AnyOrder = false
			}
		} else if rq, ok := c.object.(*v1alpha1.RunQueue); ok {
			if runqueue.KeyOf(rq) != key {
				continue
			}
			shape = shapeOf(rq, c.gone)
			spec := queue.Spec{}
			if shape != nil {
				spec = shape.Spec()
			}
			auditor.SetSpec(spec, c.at)
			if local == nil && !c.gone && rq.Spec.Limit > 0 {
				auditor.SetLimit(queue.Limit(rq.Spec.Limit), c.at)
			}
			for _, uid := range slices.Sorted(maps.Keys(runs)) {
				if run := runs[uid]; run.run.Phase == queue.Pending {
					auditor.Run(run.prioritized(shape), c.at)
				}
			}
		} else if slot, ok := c.slotOf(key); ok {
			if c.gone {
				auditor.SlotGone(slot.Index)
			} else {
				auditor.Slot(slot, c.at)
			}
		} else if repository, ok := c.object.(*pacv1alpha1.Repository); ok {
			switch keyOf(repository) {
			case key:
				local = repository
			case GlobalRepository:
				global = repository
				if c.gone {
					global = nil
				}
			default:
				continue
			}
			if local != nil && !c.gone {
				limit, _ := pac.ReadLimit(local, global)
				auditor.SetLimit(limit, c.at)
			}
		}
	}
	return auditor, nil
}

// held says that PAC's order of a run is where PAC does not read it.
func (c change) held() bool { return c.object.GetAnnotations()[pac.HeldOrder] != "" }

// prioritized is the run of a change, with the priority that its queue gives it.
func (c change) prioritized(shape pac.Shape) queue.Run {
	run := *c.run
	if pr, ok := c.object.(*tektonv1.PipelineRun); ok {
		pac.Prioritize(&run, pr, shape)
	}
	return run
}

// shapeOf is what a RunQueue makes of its queue, as far as it can be used; nil if it is gone.
func shapeOf(rq *v1alpha1.RunQueue, gone bool) pac.Shape {
	if gone {
		return nil
	}
	shape, _ := runqueue.Compile(rq.Spec)
	return shape
}

// Text returns the record of one queue for people, a line per change.
func (r *Recorder) Text(key queue.Key) string {
	var text strings.Builder
	for _, c := range r.inOrder() {
		line := c.line(key)
		if line == "" {
			continue
		}
		if c.gone {
			line += ", gone"
		}
		fmt.Fprintf(&text, "%s %d %s\n", c.at.Format("15:04:05.000"), c.version, line)
	}
	return text.String()
}

// line describes the changed object, or is empty if that is not part of the queue.
func (c change) line(key queue.Key) string {
	if run, ok := c.runOf(key); ok {
		return fmt.Sprintf("run %s %s, attempt %d, claim %v, ordered %t, owed %q",
			run.Name, run.Phase, run.Attempt, run.Claim, run.Sequence() != nil, run.Owed)
	}
	if slot, ok := c.slotOf(key); ok {
		if h := slot.Holder; h != nil {
			return fmt.Sprintf("slot %d holds %s, attempt %d, transition %d", slot.Index, h.Name, h.Attempt, slot.Transition)
		}
		return fmt.Sprintf("slot %d free, transition %d", slot.Index, slot.Transition)
	}
	switch o := c.object.(type) {
	case *pacv1alpha1.Repository:
		if keyOf(o) == key {
			return "Repository " + o.Name
		}
	case *v1alpha1.RunQueue:
		if keyOf(o) == key {
			return fmt.Sprintf("RunQueue %s, generation %d, %s", o.Name, o.Generation, o.Status.State)
		}
	}
	return ""
}
