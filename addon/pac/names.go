package pac

import (
	"slices"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Succeeded is the condition of a PipelineRun that tells how it ended. It has no type, so that its
// users need not import knative's.
const Succeeded = "Succeeded"

// ExecutionOrder is where PAC writes the order of an event's runs. The hold moves it to
// [HeldOrder].
const ExecutionOrder = keys.ExecutionOrder

// Annotations of this product on a PipelineRun. While the guard is on, no other client can change
// them.
const (
	// HeldOrder is PAC's execution order, moved here at admission by the hold, or [Itself].
	HeldOrder = "pac-lease-queue.dev/execution-order"
	// Attempt is the fencing number of the run; absent means 0.
	Attempt = "pac-lease-queue.dev/attempt"
	// NotBefore ends the back-off after an expired claim; RFC 3339.
	NotBefore = "pac-lease-queue.dev/not-before"
	// Arrived is when the run's event came, as a [queue.Arrival]. Only runs have it whose event
	// shares its second with another one, and of the runs of an event it is enough if one has it.
	Arrived = "pac-lease-queue.dev/arrived"
	// Claim is the token with which the run was started, or passed to Kueue:
	// slot/transition/attempt. Kueue may start a pending run that has one.
	Claim = "pac-lease-queue.dev/claim"
	// HeldQueueName is the value of the label [QueueName], moved here by the hold until the run has
	// its slot.
	HeldQueueName = "pac-lease-queue.dev/kueue-queue"
)

// Priority is a number from [queue.MinPriority] to [queue.MaxPriority] that people give a run in
// .tekton/: a higher one goes first. Absent means 0.
const Priority = "pac-lease-queue.dev/priority"

// Labels of any PipelineRun that is to wait in a queue.
const (
	// QueueLabel names the queue, in the namespace of the run: that of the Repository or RunQueue
	// of that name. People set it when they create the run.
	QueueLabel = "pac-lease-queue.dev/queue"
	// FinishedLabel is on a run that is done: no watch of ours shows it any more.
	FinishedLabel = "pac-lease-queue.dev/finished"
)

// Itself is the held order of a run that is all there is of its event: a copy that another client
// than PAC made, or a run that is queued by its label. The hold cannot name the run, which may not
// have a name yet.
const Itself = "itself"

// prefix begins all of these annotations.
const prefix = "pac-lease-queue.dev/"

// Annotations for people. No decision depends on them. Times are RFC 3339, UTC.
const (
	// Status is the [queue.State] of the run, but for done.
	Status = "pac-lease-queue.dev/status"
	// Position among the runs that wait, from 1; "more than 20" far back.
	Position = "pac-lease-queue.dev/position"
	// QueueLength is how many runs wait.
	QueueLength = "pac-lease-queue.dev/queue-length"
	// Reason says in words what it waits for.
	Reason = "pac-lease-queue.dev/reason"
	// EstimatedStart is when its turn may come, and by what that was reckoned.
	EstimatedStart = "pac-lease-queue.dev/estimated-start"
	// QueuedAt is when it was first seen to wait.
	QueuedAt = "pac-lease-queue.dev/queued-at"
	// ClaimedAt is when it got its slot.
	ClaimedAt = "pac-lease-queue.dev/claimed-at"
	// StartedAt is when it was started.
	StartedAt = "pac-lease-queue.dev/started-at"
	// Slot is the number of its slot; none if it needed none.
	Slot = "pac-lease-queue.dev/slot"
	// Replica is the pod that started it.
	Replica = "pac-lease-queue.dev/replica"
)

// Explained is one of the product's annotations and its meaning.
type Explained struct {
	Annotation string
	Means      string
	// Decides: decisions depend on it, and the guard protects it for that.
	Decides bool
}

// Annotations explains every annotation that the product writes on runs. The table in
// docs/observability.md comes from it.
func Annotations() []Explained {
	return []Explained{
		{Status, "The state of the run: `queued`, `claimed` or `started`. A claim is written down only if the start does not " +
			"follow at once.", false},
		{Position, "Its place among the runs that wait, from 1; far back only `more than 20`.", false},
		{QueueLength, "How many runs wait.", false},
		{Reason, "What it waits for, in words.", false},
		{EstimatedStart, "When its turn may come if every run takes as long as the last ones did, and how many those were.", false},
		{QueuedAt, "When it was first seen to wait.", false},
		{ClaimedAt, "When it got its slot.", false},
		{StartedAt, "When it was started.", false},
		{Slot, "The slot it was started in.", false},
		{Replica, "The pod that started it.", false},
		{HeldOrder, "The runs of its event, in the order in which they start; moved here by the hold. `itself` on a copy of a run.", true},
		{Arrived, "When its event came: the `resourceVersion` of its first run at its creation, or `<=` one that is no lower. It orders " +
			"the events of one second, and is on a run of each of those.", true},
		{Claim, "The slot it was started with, as slot/transition/attempt. On a run that is still held: the slot with which it was " +
			"passed to Kueue.", true},
		{HeldQueueName, "The queue of Kueue's that it is labelled for; moved here by the hold until it has its slot.", true},
		{Attempt, "How often a claim of it has expired.", true},
		{NotBefore, "When it is tried again after that.", true},
		{Priority, "Set by people in `.tekton/`: a number from -1000 to 1000. A higher one goes first.", false},
	}
}

// waiting are the annotations for people on a run that waits.
var waiting = []string{Status, Position, QueueLength, Reason, EstimatedStart, QueuedAt}

// What PAC writes; values from pkg/kubeinteraction/labels.go and resource.go.
const (
	managedByKey = "app.kubernetes.io/managed-by"
	manager      = "pipelinesascode.tekton.dev"
	managedBy    = managedByKey + "=" + manager
	unfinished   = keys.State + " notin (completed,failed)"
	finished     = keys.State + " in (completed,failed)"
	secretIsDue  = "false"
	stateQueued  = "queued"
)

// Selector selects the runs that PAC has not finished with; finished ones can number hundreds of
// thousands. It includes runs that PAC has created but not labelled with a state yet, since PAC may
// have died in between.
const Selector = managedBy + "," + unfinished

// SelectorOf selects, of the runs that [Selector] does, those of some Repositories, or those of all
// if one of the names does not fit a label. KeyOf tells them apart. A run that has lost PAC's label
// (pkg/kubeinteraction/labels.go) is not among them; the guard keeps the label.
func SelectorOf(repositories ...string) string { return of(Selector, keys.Repository, repositories) }

// FinishedSelector selects the runs of a Repository that PAC has finished with, or those of all
// Repositories if its name does not fit a label. KeyOf tells them apart.
func FinishedSelector(repository string) string {
	return of(managedBy+","+finished, keys.Repository, []string{repository})
}

// FinishedLabelledSelector selects the runs that were queued by their label and are finished with.
func FinishedLabelledSelector(name string) string {
	return of(QueueLabel+","+FinishedLabel, QueueLabel, []string{name})
}

// of restricts a selector to some values of a label, unless one of them cannot be one.
func of(selector, label string, values []string) string {
	if slices.ContainsFunc(values, func(v string) bool { return len(validation.IsValidLabelValue(v)) > 0 }) {
		return selector
	}
	if len(values) == 1 {
		return selector + "," + label + "=" + values[0]
	}
	return selector + "," + label + " in (" + strings.Join(values, ",") + ")"
}

// LabelledSelector selects the runs that are queued by their label and not finished with.
const LabelledSelector = QueueLabel + ",!" + FinishedLabel + "," + managedByKey + "!=" + manager

// LabelledSelectorOf selects, of the runs that [LabelledSelector] does, those of some queues; of
// one whose name does not fit a label, there are none, and it selects all.
func LabelledSelectorOf(names ...string) string { return of(LabelledSelector, QueueLabel, names) }

// IsPACs says whether PAC made the run.
func IsPACs(o metav1.Object) bool { return o.GetLabels()[managedByKey] == manager }

// IsLabelled says that the run is queued by its label: that the hold has held it for that. Tekton
// gives a run that goes on the labels of its Pipeline, and one that was never held is in no queue.
// PAC's runs are in the queues of their Repositories, however they are labelled.
func IsLabelled(o metav1.Object) bool {
	return o.GetLabels()[QueueLabel] != "" && o.GetAnnotations()[HeldOrder] == Itself && !IsPACs(o)
}

// KeyOf returns the queue of a run: that of the Repository named by its annotation, in its own
// namespace, or the one that its label names. PAC's label of the same key as the annotation holds
// only as much of the name as fits a label. A name that no Repository can have names none.
func KeyOf(o metav1.Object) (queue.Key, bool) {
	repository := o.GetAnnotations()[keys.Repository]
	if IsLabelled(o) {
		repository = o.GetLabels()[QueueLabel]
	}
	key := queue.Key{Namespace: o.GetNamespace(), Repository: repository}
	return key, repository != "" && len(repository) <= bounds[keys.Repository] && usable(keys.Repository, repository) == nil
}
