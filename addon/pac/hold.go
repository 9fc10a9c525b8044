package pac

import (
	"maps"
	"slices"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Operation is one operation of a JSON patch (RFC 6902).
type Operation struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	// Value is written even if it is empty, since an order may be; nil is none.
	Value any `json:"value,omitempty"`
}

// Admitted is what the hold reads of a PipelineRun at admission.
type Admitted struct {
	Metadata struct {
		Labels          map[string]string       `json:"labels"`
		Annotations     map[string]string       `json:"annotations"`
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	} `json:"metadata"`
	Spec *struct {
		Status tektonv1.PipelineRunSpecStatus `json:"status"`
	} `json:"spec"`
}

// inAQueue says that the run is in a queue; the child of a run is not.
func (r *Admitted) inAQueue() bool {
	return (r.isLabelled() || r.isPACs() && r.Metadata.Annotations[keys.Repository] != "") && !r.isChild()
}

func (r *Admitted) isPACs() bool { return r.Metadata.Labels[managedByKey] == manager }

// isLabelled says that a new run is to be queued by its label.
func (r *Admitted) isLabelled() bool { return r.Metadata.Labels[QueueLabel] != "" && !r.isPACs() }

// status is empty for a run that may run.
func (r *Admitted) status() tektonv1.PipelineRunSpecStatus {
	if r == nil || r.Spec == nil {
		return ""
	}
	return r.Spec.Status
}

// isChild says that the run is a task of another one, which made it: Tekton copies the labels and
// annotations of the parent.
func (r *Admitted) isChild() bool {
	return slices.ContainsFunc(r.Metadata.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Kind == "PipelineRun" && strings.HasPrefix(o.APIVersion, "tekton.dev/") && o.Controller != nil && *o.Controller
	})
}

// Hold returns the patch for any write of a PipelineRun; old is nil for a new one. The chart's
// MutatingAdmissionPolicy does the same in CEL, for [Hold] and [Requeue].
//
// PAC's execution order is moved out of PAC's sight, to [HeldOrder]. The annotation is the only
// condition: an order that arrives after the run was started is moved too, which changes nothing,
// and any further condition could be false for a moment and let an order slip through.
//
// A graceful cancellation of a run that waits becomes a plain one. It comes from PAC's /cancel and
// from closed pull requests, and Tekton would start the run for its finally tasks, above the limit
// and with nothing to tidy up.
//
// A run that Kueue starts says so to people from that moment.
func Hold(old *Admitted, run Admitted) []Operation {
	var patch []Operation
	if order, present := run.Metadata.Annotations[keys.ExecutionOrder]; present {
		patch = append(patch, add(annotationPath(HeldOrder), order), remove(annotationPath(keys.ExecutionOrder)))
	}
	if old != nil && (old.isPACs() || old.isLabelled()) && old.status() == tektonv1.PipelineRunSpecStatusPending && graceful(run.status()) {
		patch = append(patch, add(statusPath, tektonv1.PipelineRunSpecStatusCancelled))
	}
	if old.status() == tektonv1.PipelineRunSpecStatusPending && run.status() == "" && run.waitedForKueue() {
		patch = append(patch, add(annotationPath(Status), queue.StateStarted))
		if _, present := run.Metadata.Annotations[Reason]; present {
			patch = append(patch, remove(annotationPath(Reason)))
		}
	}
	return patch
}

// waitedForKueue says that the run was passed to Kueue, and still says so to people.
func (r *Admitted) waitedForKueue() bool {
	_, labelled := r.Metadata.Labels[QueueName]
	return labelled && r.Metadata.Annotations[Status] == string(queue.StateClaimed)
}

// HideFromKueue returns the patch for a new run that Kueue would admit: the label by which Kueue
// takes it for its own is moved to [HeldQueueName] until the run has its slot. Otherwise Kueue
// could reserve quota for runs that wait for a slot, while the runs that have the slots wait for
// quota.
//
// Kueue's own webhook gives a label to any run that has none, so the first one counts.
func HideFromKueue(run Admitted) []Operation {
	name, labelled := run.Metadata.Labels[QueueName]
	if !labelled || !run.inAQueue() || run.status() != tektonv1.PipelineRunSpecStatusPending {
		return nil
	}
	patch := []Operation{remove(labelPath(QueueName))}
	if _, hidden := run.Metadata.Annotations[HeldQueueName]; !hidden {
		patch = append(patch, add(annotationPath(HeldQueueName), name))
	}
	return patch
}

// Requeue returns the patch for a new run that waits for a slot on its own, and was not made by
// PAC: one that is labelled for a queue, or that has PAC's label, as a copy has that the "Rerun" of
// a dashboard makes. What the add-on wrote on an original goes, but for its priority and the queue
// of Kueue's that it is labelled for, with the order of its event. To PAC a copy is a queued run
// whose start is still to be reported.
//
// A copy without the name of a Repository belongs to no queue. Nor does the child of a run, to
// which Tekton copies what its parent has: it runs in the slot of its parent, and would wait for
// that slot for ever.
func Requeue(run Admitted) []Operation {
	labelled := run.isLabelled()
	if !labelled && !run.isPACs() {
		return nil
	}
	var patch []Operation
	if labelled && run.Metadata.Annotations == nil {
		patch = append(patch, Operation{Op: "add", Path: "/metadata/annotations", Value: map[string]string{}})
	}
	if _, finished := run.Metadata.Labels[FinishedLabel]; labelled && finished {
		patch = append(patch, remove(labelPath(FinishedLabel)))
	}
	for _, key := range slices.Sorted(maps.Keys(run.Metadata.Annotations)) {
		ours := strings.HasPrefix(key, prefix) && key != HeldQueueName && key != Priority
		if ours || key == keys.ExecutionOrder || key == keys.SCMReportingPLRStarted {
			patch = append(patch, remove(annotationPath(key)))
		}
	}
	switch {
	case run.isChild() && labelled:
		return append(patch, remove(labelPath(QueueLabel)))
	case run.isChild():
		return append(patch, remove(labelPath(managedByKey)))
	case !run.inAQueue(), run.Spec == nil:
		return patch
	}
	status := tektonv1.PipelineRunSpecStatus(tektonv1.PipelineRunSpecStatusPending)
	if run.status() == tektonv1.PipelineRunSpecStatusCancelled || graceful(run.status()) {
		status = tektonv1.PipelineRunSpecStatusCancelled
	}
	patch = append(patch, add(annotationPath(HeldOrder), Itself), add(statusPath, status))
	if labelled {
		return patch
	}
	return append(patch, add(annotationPath(keys.State), stateQueued), add(labelPath(keys.State), stateQueued))
}

// graceful says that Tekton runs the finally tasks of a run with this status, even if the run was
// never started.
func graceful(status tektonv1.PipelineRunSpecStatus) bool {
	return status == tektonv1.PipelineRunSpecStatusCancelledRunFinally || status == tektonv1.PipelineRunSpecStatusStoppedRunFinally
}

// statusPath is the JSON pointer (RFC 6901) to the status in a spec.
const statusPath = "/spec/status"

func annotationPath(key string) string { return "/metadata/annotations/" + escape(key) }
func labelPath(key string) string      { return "/metadata/labels/" + escape(key) }

func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

func remove(path string) Operation { return Operation{Op: "remove", Path: path} }

// add also replaces a value that is there.
func add[T ~string](path string, value T) Operation {
	return Operation{Op: "add", Path: path, Value: string(value)}
}
