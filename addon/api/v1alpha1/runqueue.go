package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RunQueue shows a queue of PipelineRuns and shapes it. It belongs to the Repository of
// Pipelines-as-Code that has its name and namespace: the Repository says how many runs go on at a
// time, and the RunQueue says all else. One is made for every Repository with a limit once it has
// had a run.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,path=runqueues,singular=runqueue,shortName=rq,categories={tekton,tekton-pipelines}
// +kubebuilder:printcolumn:name="Limit",type=integer,JSONPath=`.status.limit`,description="How many runs may go on at a time"
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.status.running`,description="How many do"
// +kubebuilder:printcolumn:name="Waiting",type=integer,JSONPath=`.status.waiting`,description="How many wait"
// +kubebuilder:printcolumn:name="Oldest",type=date,JSONPath=`.status.oldestWaitingSince`,description="Since when the one that has waited longest waits"
// +kubebuilder:printcolumn:name="Next",type=string,JSONPath=`.status.next`,description="The run that is to start next"
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`,description="Idle, Running, Paused or Stalled"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`,description="Whether the spec can be used",priority=1
type RunQueue struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is what people want of the queue. Without it, the queue is as Pipelines-as-Code has it.
	// +optional
	Spec RunQueueSpec `json:"spec,omitzero"`
	// Status is what the queue was like a moment ago. Nothing depends on it.
	// +optional
	Status RunQueueStatus `json:"status,omitzero"`
}

// RunQueueSpec is what people want of a queue.
//
// +kubebuilder:validation:XValidation:rule="!has(self.fairBy) || self.order == 'Fair'",message="fairBy says what order: Fair goes round; set order: Fair, or leave fairBy out"
type RunQueueSpec struct {
	// Paused keeps every run from starting. What runs goes on, and what waits goes on waiting,
	// however many runs that are and however long it takes.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Order is who starts next among runs of the same priority. Events is that of
	// Pipelines-as-Code: the oldest event first. NewestFirst takes the newest event first. Fair
	// goes round the groups that fairBy makes, one run each.
	// +optional
	// +kubebuilder:default=Events
	Order Order `json:"order,omitempty"`
	// FairBy is what order: Fair goes round: Branch if it is left out.
	// +optional
	FairBy FairBy `json:"fairBy,omitempty"`
	// Release is when the slot of a run that is over is free. Done: as soon as Tekton calls the run
	// done. PodsGone: once none of its pods is left that may still run, for runs that must not
	// overlap; it takes concurrency.release=perQueue or podsGone in the values of the chart. If
	// release is left out, concurrency.release decides.
	// +optional
	Release Release `json:"release,omitempty"`
	// Limit is how many runs may go on at a time in a queue without a Repository: one for runs that
	// name it in their label pac-lease-queue.dev/queue. Beside a Repository of the same name, whose
	// concurrency_limit counts, leave it out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Limit int32 `json:"limit,omitempty"`
	// Waiting bounds what waits.
	// +optional
	Waiting Waiting `json:"waiting,omitzero"`
	// Priorities give runs a priority: the first rule whose condition holds of a run counts, and 0
	// if none does. Runs of a higher priority start first. No run is stopped for another.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Priorities []PriorityRule `json:"priorities,omitempty"`
}

// Order is who starts next.
//
// +kubebuilder:validation:Enum=Events;NewestFirst;Fair
type Order string

// The orders.
const (
	OrderEvents      Order = "Events"
	OrderNewestFirst Order = "NewestFirst"
	OrderFair        Order = "Fair"
)

// FairBy is what groups are made by.
//
// +kubebuilder:validation:Enum=Branch;PullRequest;Sender
type FairBy string

// What groups are made by.
const (
	FairByBranch      FairBy = "Branch"
	FairByPullRequest FairBy = "PullRequest"
	FairBySender      FairBy = "Sender"
)

// Release is when the slot of a run that is over is free.
//
// +kubebuilder:validation:Enum=Done;PodsGone
type Release string

// When the slot of a run that is over is free.
const (
	ReleaseDone     Release = "Done"
	ReleasePodsGone Release = "PodsGone"
)

// Waiting bounds what waits in a queue.
type Waiting struct {
	// Keep says which of the waiting runs stay. Newest cancels a waiting run when a newer one of
	// the same definition and branch, or pull request, waits. What runs is left alone.
	// +optional
	// +kubebuilder:default=All
	Keep Keep `json:"keep,omitempty"`
	// Max is how many runs may wait. The newest beyond it are cancelled. While the queue is paused,
	// none are.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Max int32 `json:"max,omitempty"`
	// MaxAge is how long a run may wait before it is cancelled, e.g. 30m or 2h30m, from a second to
	// a year. While the queue is paused, none is cancelled.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="must be from 1s to 8760h"
	MaxAge string `json:"maxAge,omitempty"`
}

// Keep says which of the waiting runs stay.
//
// +kubebuilder:validation:Enum=All;Newest
type Keep string

// Which of the waiting runs stay.
const (
	KeepAll    Keep = "All"
	KeepNewest Keep = "Newest"
)

// PriorityRule gives a priority to the runs of which a condition holds.
type PriorityRule struct {
	// When is a condition on a run, in CEL. It knows event (type, branch, pullRequest, sender),
	// definition, name, labels and annotations; docs/queues.md has examples.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	When string `json:"when"`
	// Priority is the higher, the sooner.
	// +required
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority"`
}

// RunQueueStatus is what a queue was like a moment ago.
type RunQueueStatus struct {
	// ObservedGeneration is the generation of the spec that the rest goes by.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// State is Paused, Stalled, Running or Idle: the first that is true.
	// +optional
	State State `json:"state,omitempty"`
	// Limit is how many runs may go on at a time; absent if any number may.
	// +optional
	Limit *int32 `json:"limit,omitempty"`
	// Running is how many runs go on.
	Running int32 `json:"running"`
	// Starting is how many runs have a slot and are about to start.
	Starting int32 `json:"starting"`
	// Waiting is how many runs wait.
	Waiting int32 `json:"waiting"`
	// OldestWaitingSince is when the run that has waited longest was created.
	// +optional
	OldestWaitingSince *metav1.Time `json:"oldestWaitingSince,omitempty"`
	// Next is the run that is to start next.
	// +optional
	Next string `json:"next,omitempty"`
	// Slots are the units of the limit that are taken, the first 100 of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Slots []Slot `json:"slots,omitempty"`
	// Front are the runs that are to start next, the first 20 of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Front []WaitingRun `json:"front,omitempty"`
	// Conditions are Ready (the spec can be used), Paused, Stalled (what a replica tries fails) and
	// LimitExceeded (more runs go on than may).
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// State is a queue in a word.
type State string

// The states of a queue.
const (
	StatePaused  State = "Paused"
	StateStalled State = "Stalled"
	StateRunning State = "Running"
	StateIdle    State = "Idle"
)

// The types of conditions.
const (
	ConditionReady         = "Ready"
	ConditionPaused        = "Paused"
	ConditionStalled       = "Stalled"
	ConditionLimitExceeded = "LimitExceeded"
)

// Slot is a unit of the limit that is taken.
type Slot struct {
	// Number is that of the slot, from 0.
	Number int32 `json:"number"`
	// Run is the run that has it.
	Run string `json:"run"`
	// Since is when the run began; absent until it has.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// WaitingRun is a run that waits.
type WaitingRun struct {
	// Run is its name.
	Run string `json:"run"`
	// Position is its place among those that wait, from 1.
	Position int32 `json:"position"`
	// Reason says what it waits for.
	Reason string `json:"reason"`
	// EstimatedStart is when its turn may come, if that can be reckoned.
	// +optional
	EstimatedStart *metav1.Time `json:"estimatedStart,omitempty"`
}

// RunQueueList is a list of RunQueues.
//
// +kubebuilder:object:root=true
type RunQueueList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []RunQueue `json:"items"`
}
