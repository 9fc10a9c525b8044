package simulation

import (
	"fmt"
	"strings"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// render is a commit as a line of the trace, made only if the trace is read.
type render struct{ change }

func (r render) String() string {
	if r.is == nil {
		return fmt.Sprintf("= %s %s is gone", r.kind, r.was.GetName())
	}
	return fmt.Sprintf("= %s %s v%s: %s", r.kind, r.is.GetName(), r.is.GetResourceVersion(), describe(r.is))
}

func describe(o object) string {
	switch o := o.(type) {
	case *tektonv1.PipelineRun:
		run := pac.ReadRun(o).BesideKueue()
		words := []string{run.Phase.String()}
		add := func(show bool, format string, args ...any) {
			if show {
				words = append(words, fmt.Sprintf(format, args...))
			}
		}
		add(o.Spec.Status != "", "%s", o.Spec.Status)
		add(run.Claim != nil, "with %v", run.Claim)
		add(run.Attempt > 0, "attempt %d", run.Attempt)
		add(!run.NotBefore.IsZero(), "not before %.0fs", run.NotBefore.Sub(noon).Seconds())
		add(run.Phase.String() == "pending" && run.Order == nil, "no order")
		add(run.Owed != "", "owed %s", run.Owed)
		add(o.DeletionTimestamp != nil, "being deleted")
		add(!strings.HasPrefix(o.Labels["pipelinesascode.tekton.dev/state"], "queued"),
			"state %q", o.Labels["pipelinesascode.tekton.dev/state"])
		return strings.Join(words, ", ") + " (" + string(o.UID) + ")"
	case *coordinationv1.Lease:
		_, slot, ours := lease.Decode(o)
		switch {
		case !ours:
			return "not a slot"
		case slot.Damaged != "":
			return slot.Damaged
		case slot.Holder == nil:
			return fmt.Sprintf("free, transition %d", slot.Transition)
		}
		return fmt.Sprintf("%s (%s), attempt %d, transition %d", slot.Holder.Name, slot.Holder.UID, slot.Holder.Attempt, slot.Transition)
	case *v1alpha1.RunQueue:
		return fmt.Sprintf("%+v", o.Spec)
	case *pacv1alpha1.Repository:
		return fmt.Sprintf("limit %d", ptr.Deref(o.Spec.ConcurrencyLimit, 0))
	}
	return ""
}
