package pac

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// bounds are the annotations that are kept of a run, and how many bytes of each mean anything. A
// longer one is unusable: the cache keeps its length instead. So a run costs some 8 KiB at most,
// half of them for its order, whatever a tenant writes; a run as PAC makes it costs 0.5 KiB. Orders
// have bounds of their own, and only their packed form is kept. [Trimmer] bounds what all runs of a
// namespace cost.
var bounds = map[string]int{
	Attempt:               32,
	NotBefore:             64,
	Arrived:               32,
	Claim:                 64,
	Replica:               validation.DNS1123SubdomainMaxLength,
	HeldQueueName:         validation.LabelValueMaxLength,
	keys.Repository:       validation.DNS1123SubdomainMaxLength,
	keys.SecretCreated:    32,
	keys.GitProvider:      32,
	keys.InstallationID:   32,
	keys.CheckRunID:       32,
	keys.ControllerInfo:   512,
	keys.OriginalPRName:   validation.DNS1123SubdomainMaxLength,
	keys.EventType:        64,
	keys.PullRequest:      32,
	keys.SourceBranch:     256,
	keys.CancelInProgress: 32,
	keys.Sender:           256,
	keys.Branch:           256,
	Priority:              16,

	Status:         64,
	Position:       64,
	QueueLength:    64,
	Reason:         1024,
	EstimatedStart: 128,
	QueuedAt:       64,
}

// trimmedKind tells a trimmed run, whose order is packed, from one that the API server has. No
// client can set it: the typed client drops an object's kind, and the API server refuses any other.
const trimmedKind = "TrimmedPipelineRun"

// needsSecret is kept of a run whose spec names the git secret that PAC has yet to make: its pods
// cannot start without. No client can set it, since it is not among the annotations that are
// copied.
const needsSecret = prefix + "needs-secret"

// namesSecret says whether the spec of a run uses the git secret that PAC makes for it.
func namesSecret(pr *tektonv1.PipelineRun) bool {
	name := pr.Annotations[keys.GitAuthSecret]
	if pr.Annotations[keys.SecretCreated] != secretIsDue || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return false
	}
	spec, err := json.Marshal(pr.Spec)
	return err == nil && bytes.Contains(spec, []byte(`"`+name+`"`))
}

// byLabel is kept of a run that is queued by its label. No client can set it.
const byLabel = prefix + "by-label"

// definition is what a run that is queued by its label was made of: its Pipeline, or else what its
// name begins with. PAC writes that down for its own.
func definition(pr *tektonv1.PipelineRun) string {
	if ref := pr.Spec.PipelineRef; ref != nil && ref.Name != "" {
		return ref.Name
	}
	return strings.TrimRight(cmp.Or(pr.GenerateName, pr.Name), "-.")
}

// mark begins what a trimmed run has in place of an order that is unusable.
const mark = "…"

// Trim reduces a PipelineRun to what [ReadRun] and [KeyOf] read, and to how it ended. It shares
// texts with the run.
func Trim(pr *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	if pr.Kind == trimmedKind || pr.Kind == stubKind {
		return pr
	}
	trimmed := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{Kind: trimmedKind},
		ObjectMeta: metav1.ObjectMeta{
			Name: pr.Name, Namespace: pr.Namespace, UID: pr.UID, ResourceVersion: pr.ResourceVersion,
			CreationTimestamp: pr.CreationTimestamp, DeletionTimestamp: pr.DeletionTimestamp,
		},
		Spec: tektonv1.PipelineRunSpec{Status: pr.Spec.Status},
	}
	keepQueueName(trimmed, pr)
	kept := map[string]string{}
	is, queued := KeyOf(pr)
	over, labelled := !queued || phase(pr) == queue.Done, IsLabelled(pr)
	for key, most := range bounds {
		value, present := pr.Annotations[key]
		if labelled && !strings.HasPrefix(key, prefix) {
			continue // whoever copied it from one of PAC's runs, PAC does nothing for this one
		}
		if present && (!over || lasting[key]) {
			kept[key] = queue.Bounded(value, most)
		}
	}
	if labelled {
		kept[keys.Repository], kept[keys.OriginalPRName] = is.Repository, queue.Bounded(definition(pr), bounds[keys.OriginalPRName])
		kept[byLabel] = "true"
	}
	if key, value, present := orderOf(pr); present && queued {
		order := packOrder(value, pr.Namespace, pr.Name)
		if over {
			order = eventOnly(order)
		}
		kept[key] = order
	}
	if !over && !labelled && namesSecret(pr) {
		kept[needsSecret] = "true"
	}
	if !over && pr.IsPending() {
		keepTexts(trimmed, kept, pr)
	}
	trimmed.Annotations = kept
	if manager := ptr.Deref(pr.Spec.ManagedBy, pipeline.ManagedBy); manager != pipeline.ManagedBy && !over {
		trimmed.Spec.ManagedBy = ptr.To(queue.Clip(manager, mostManager))
	}
	if len(pr.Spec.Status) > mostStatus {
		trimmed.Spec.Status = tektonv1.PipelineRunSpecStatus(queue.Bounded(string(pr.Spec.Status), mostStatus))
	}
	trimmed.Status.StartTime, trimmed.Status.CompletionTime = pr.Status.StartTime, pr.Status.CompletionTime
	if c := pr.Status.GetCondition(Succeeded); c != nil && c.Status != corev1.ConditionUnknown {
		short := *c
		short.Severity, short.Message, short.LastTransitionTime.Inner = "", "", metav1.Time{}
		short.Reason = queue.Bounded(c.Reason, mostReason)
		trimmed.Status.Conditions = append(trimmed.Status.Conditions, short)
	}
	return trimmed
}

// mostStatus and mostReason are well above the longest spec.status and the longest reason of a
// condition that mean anything, and mostManager is enough of spec.managedBy to know it by.
const mostStatus, mostReason, mostManager = 32, 64, 128

// Fit cuts a text to what its annotation holds.
func Fit(annotation, text string) string { return queue.Clip(text, bounds[annotation]) }

// usable returns an error for an annotation that was too long.
func usable(key, value string) error {
	if bytes, marked := queue.TooLong(value); marked {
		return fmt.Errorf("it has %d bytes, more than %d", bytes, bounds[key])
	}
	return nil
}

// lasting are the annotations that are kept of a run that is done, or in no queue. Its place in a
// line, its preparation and the texts for people do not matter any more. Its event does, because
// the event's first run sets the place of all others and any of them may have its stamp, and so
// does its origin, because it may be the run for which another one was cancelled.
var lasting = map[string]bool{
	keys.Repository: true, keys.ControllerInfo: true, Claim: true, Attempt: true, Arrived: true,
	keys.OriginalPRName: true, keys.EventType: true, keys.PullRequest: true, keys.SourceBranch: true, keys.CancelInProgress: true,
}

// orderOf finds the execution order of a run: the held one, if there are two.
func orderOf(pr *tektonv1.PipelineRun) (key, value string, present bool) {
	for _, key := range []string{HeldOrder, ExecutionOrder} {
		if value, present := pr.Annotations[key]; present {
			return key, value, true
		}
	}
	return "", "", false
}

// eventOnly reduces what packOrder returned to the event that the run belongs to. What is wrong
// with an order stays.
func eventOnly(packed string) string {
	if strings.HasPrefix(packed, mark) {
		return packed
	}
	return strings.Clone(queue.Unpack(packed).Event().Pack()) // the list is not kept alive
}

// packOrder reads an order, and renders the outcome for unpackOrder.
func packOrder(value, namespace, name string) string {
	sequence, err := queue.ParseSequence(spelled(value, namespace, name), namespace, name)
	if err != nil {
		return mark + err.Error()
	}
	return sequence.Pack()
}

// spelled is the order as PAC would write it.
func spelled(value, namespace, name string) string {
	if value == Itself {
		return namespace + "/" + name
	}
	return value
}

// unpackOrder is the reverse of packOrder, for the run of that name.
func unpackOrder(packed, name string) (*queue.Sequence, error) {
	if problem, unusable := strings.CutPrefix(packed, mark); unusable {
		return nil, fmt.Errorf("%s", problem)
	}
	return queue.Unpack(packed).For(name), nil
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
