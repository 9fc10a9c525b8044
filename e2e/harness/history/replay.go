package history

import (
	"fmt"
	"strings"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
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
	for _, c := range changes {
		if run, ok := c.runOf(key); ok {
			if c.gone {
				auditor.Gone(run.UID, c.at)
			} else {
				auditor.Run(run, c.at)
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
	if repository, ok := c.object.(*pacv1alpha1.Repository); ok && keyOf(repository) == key {
		return "Repository " + repository.Name
	}
	return ""
}
