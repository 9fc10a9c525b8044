package pac

import (
	"slices"
	"unique"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kept are the annotations on which decisions depend.
var kept = []string{
	HeldOrder, Attempt, NotBefore, Claim,
	keys.ExecutionOrder, keys.Repository, keys.SecretCreated,
	keys.InstallationID, keys.CheckRunID, keys.ControllerInfo,
	keys.OriginalPRName, keys.EventType, keys.PullRequest, keys.SourceBranch, keys.CancelInProgress,
}

// TrimRun reduces a PipelineRun to what [ReadRun] and [KeyOf] read: with thousands of runs queued,
// specs and statuses would take most of the memory. The runs of an event share the text of their
// execution order.
func TrimRun(obj any) (any, error) {
	pr, ok := obj.(*tektonv1.PipelineRun)
	if !ok {
		return obj, nil // a tombstone: its object has been trimmed already
	}
	trimmed := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: pr.Name, Namespace: pr.Namespace, UID: pr.UID, ResourceVersion: pr.ResourceVersion,
			CreationTimestamp: pr.CreationTimestamp, DeletionTimestamp: pr.DeletionTimestamp,
			Annotations: map[string]string{},
		},
		Spec: tektonv1.PipelineRunSpec{Status: pr.Spec.Status},
	}
	for _, key := range slices.Concat(kept, waiting) {
		if value, present := pr.Annotations[key]; present {
			trimmed.Annotations[key] = unique.Make(value).Value()
		}
	}
	trimmed.Status.StartTime, trimmed.Status.CompletionTime = pr.Status.StartTime, pr.Status.CompletionTime
	if c := pr.Status.GetCondition(Succeeded); c != nil && c.Status != corev1.ConditionUnknown {
		short := *c
		short.Severity, short.Reason, short.Message, short.LastTransitionTime.Inner = "", "", "", metav1.Time{}
		trimmed.Status.Conditions = append(trimmed.Status.Conditions, short)
	}
	return trimmed, nil
}

// TrimRepository reduces a Repository to what sets its limit.
func TrimRepository(obj any) (any, error) {
	r, ok := obj.(*pacv1alpha1.Repository)
	if !ok {
		return obj, nil
	}
	return &pacv1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{
			Name: r.Name, Namespace: r.Namespace, UID: r.UID, ResourceVersion: r.ResourceVersion,
			DeletionTimestamp: r.DeletionTimestamp,
		},
		Spec: pacv1alpha1.RepositorySpec{ConcurrencyLimit: r.Spec.ConcurrencyLimit},
	}, nil
}
