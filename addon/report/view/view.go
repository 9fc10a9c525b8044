// Package view is the JSON schema of queues: what the plugin prints with -o json and -o yaml
// and what a replica serves at /debug/queues. Fields are added, and never change their
// meaning within a version.
package view

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

const apiVersion = "pac-lease-queue.dev/v1alpha1"

// TypeMeta says what a document is.
type TypeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// Kind is the TypeMeta of a document of its own: Queue or Run.
func Kind(kind string) *TypeMeta { return &TypeMeta{apiVersion, kind} }

// List is the document of several queues: [Queue], or a type with more fields.
type List[Q any] struct {
	TypeMeta
	Items []Q `json:"items"`
}

// NewList makes the document of queues.
func NewList[Q any](queues []Q) List[Q] {
	if queues == nil {
		queues = []Q{} // and not null
	}
	return List[Q]{*Kind("QueueList"), queues}
}

// Queue is one queue.
type Queue struct {
	*TypeMeta  `json:",omitempty"`
	Namespace  string `json:"namespace"`
	Repository string `json:"repository"`
	// Limit is absent if there is none.
	Limit *int `json:"limit,omitempty"`
	// Runs in each state; those that are done are not counted.
	Queued  int    `json:"queued"`
	Claimed int    `json:"claimed"`
	Started int    `json:"started"`
	Slots   []Slot `json:"slots"`
	// Runs that are not done, in queue order.
	Runs []Run `json:"runs"`
	// TypicalRun is how long the last runs took, by the median; absent if that is not known.
	TypicalRun string   `json:"typicalRun,omitempty"`
	Problems   []string `json:"problems,omitempty"`
}

// Slot is one unit of the limit that has been in use before.
type Slot struct {
	Index    int        `json:"index"`
	Holder   string     `json:"holder,omitempty"`
	Acquired *time.Time `json:"acquired,omitempty"`
	Damaged  string     `json:"damaged,omitempty"`
}

// Run is one run.
type Run struct {
	*TypeMeta  `json:",omitempty"`
	Namespace  string      `json:"namespace,omitempty"`
	Repository string      `json:"repository,omitempty"`
	Name       string      `json:"name"`
	UID        string      `json:"uid"`
	State      queue.State `json:"state"`
	// Why it is queued or claimed, in a word or two; Reason is the whole sentence.
	Why            queue.Why  `json:"why,omitempty"`
	Reason         string     `json:"reason"`
	Position       int        `json:"position,omitempty"`
	Slot           *int       `json:"slot,omitempty"`
	Attempt        int        `json:"attempt,omitempty"`
	Created        time.Time  `json:"created"`
	Began          *time.Time `json:"began,omitempty"`
	Ended          *time.Time `json:"ended,omitempty"`
	EstimatedStart *time.Time `json:"estimatedStart,omitempty"`
}

// OfQueue is the view of a queue as it stands. reason explains a standing in a sentence.
func OfQueue(s queue.Snapshot, stands queue.Standings, reason func(queue.Standing) string) Queue {
	v := Queue{
		Namespace: s.Key.Namespace, Repository: s.Key.Repository,
		Queued: stands.Count(queue.StateQueued), Claimed: stands.Count(queue.StateClaimed), Started: stands.Count(queue.StateStarted),
		Slots: []Slot{}, Runs: []Run{},
	}
	if s.Limit != queue.Unlimited {
		v.Limit = new(int(s.Limit))
	}
	for _, slot := range s.Slots {
		is := Slot{Index: slot.Index, Damaged: slot.Damaged}
		if slot.Holder != nil {
			is.Holder = slot.Holder.Name
		}
		v.Slots = append(v.Slots, is)
	}
	for _, is := range stands.Runs {
		v.Runs = append(v.Runs, OfStanding(is, reason(is)))
	}
	return v
}

// OfStanding is the view of a run that is not done.
func OfStanding(is queue.Standing, reason string) Run {
	v := OfRun(*is.Run, is.State(), reason)
	v.Why, v.Position = is.Why, is.Position
	if is.Slot != queue.NoSlot {
		v.Slot = new(is.Slot)
	}
	return v
}

// OfRun is the view of a run whose place in its queue does not matter.
func OfRun(r queue.Run, state queue.State, reason string) Run {
	return Run{
		Name: r.Name, UID: r.UID, State: state, Reason: reason, Attempt: r.Attempt,
		Created: r.Created.UTC(), Began: Optional(r.Began), Ended: Optional(r.Ended),
	}
}

// Optional is nil for the zero time, which JSON has no way to leave out.
func Optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

// Versions are those of the plugin, and of what is installed.
type Versions struct {
	*TypeMeta     `json:",omitempty"`
	Client        Version     `json:"client"`
	Installations []Installed `json:"installations,omitempty"`
}

// Version is that of a program.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// Installed is one installation of the add-on.
type Installed struct {
	Deployment string `json:"deployment"` // namespace/name
	Version    string `json:"version"`
	Ready      int    `json:"ready"`
	Replicas   int    `json:"replicas"`
}
