package cli

import (
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// What -o json and -o yaml print. Fields are added, and never change their meaning
// within a version.
const apiVersion = "pac-lease-queue.dev/v1alpha1"

// TypeMeta says what a document is.
type TypeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// QueueList is what list prints.
type QueueList struct {
	TypeMeta
	Items []Queue `json:"items"`
}

// Queue is what describe and watch print.
type Queue struct {
	*TypeMeta  `json:",omitempty"`
	Namespace  string `json:"namespace"`
	Repository string `json:"repository"`
	// Limit is absent if there is none.
	Limit    *int   `json:"limit,omitempty"`
	Running  int    `json:"running"`
	Starting int    `json:"starting"`
	Waiting  int    `json:"waiting"`
	Slots    []Slot `json:"slots"`
	// Runs that are not over, in the order of the queue.
	Runs []Run `json:"runs"`
	// TypicalRun is how long the last runs took, by the median; absent if that is
	// not known.
	TypicalRun string   `json:"typicalRun,omitempty"`
	Problems   []string `json:"problems,omitempty"`
}

// Slot is one unit of the limit that has a Lease.
type Slot struct {
	Index    int        `json:"index"`
	Holder   string     `json:"holder,omitempty"`
	Acquired *time.Time `json:"acquired,omitempty"`
	Damaged  string     `json:"damaged,omitempty"`
}

// Run is what run prints, of one that is not over.
type Run struct {
	*TypeMeta  `json:",omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Repository string `json:"repository,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	// State is waiting, starting, running, cancelling, handed back or finished.
	State State `json:"state"`
	// Why in a word or two, and Reason in a sentence.
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

// State is how far a run is.
type State string

// States of runs.
const (
	Waiting    State = "waiting"
	Starting   State = "starting"
	Running    State = "running"
	Cancelling State = "cancelling"
	HandedBack State = "handed back"
	Finished   State = "finished"
)

// stateOf sums up where a run stands.
func stateOf(is queue.Standing) State {
	switch {
	case is.Why == queue.Running:
		return Running
	case is.Why == queue.Superseded:
		return Cancelling
	case is.Why == queue.HandedBack:
		return HandedBack
	case is.Position > 0:
		return Waiting
	default:
		return Starting
	}
}

func count(q inspect.Queue, state State) int {
	n := 0
	for _, is := range q.Runs {
		if stateOf(is) == state {
			n++
		}
	}
	return n
}

func viewQueue(q inspect.Queue) Queue {
	v := Queue{
		Namespace: q.Key().Namespace, Repository: q.Key().Repository,
		Running: count(q, Running), Starting: count(q, Starting), Waiting: count(q, Waiting),
		Slots: []Slot{}, Runs: []Run{}, Problems: problems(q),
	}
	if q.Limit != queue.Unlimited {
		v.Limit = new(int(q.Limit))
	}
	if q.Of > 0 {
		v.TypicalRun = q.Typical.String()
	}
	for _, s := range q.Snapshot.Slots {
		slot := Slot{Index: s.Index, Damaged: s.Damaged}
		if s.Holder != nil {
			slot.Holder = s.Holder.Name
			slot.Acquired = some(q.Acquired[s.Index])
		}
		v.Slots = append(v.Slots, slot)
	}
	for _, is := range q.Runs {
		v.Runs = append(v.Runs, viewRun(q, is))
	}
	return v
}

func viewRun(q inspect.Queue, is queue.Standing) Run {
	v := Run{
		Name: is.Run.Name, UID: is.Run.UID, State: stateOf(is), Why: is.Why, Reason: q.Why(is, report.Written),
		Position: is.Position, Attempt: is.Run.Attempt, Created: is.Run.Created.UTC(), Began: some(is.Run.Began),
		EstimatedStart: some(q.Turns[is.Run.UID]),
	}
	if is.Slot != queue.NoSlot {
		v.Slot = new(is.Slot)
	}
	return v
}

func viewOver(o inspect.Over) Run {
	return Run{
		Name: o.Name, UID: o.UID, State: Finished, Reason: outcome(o), Attempt: o.Attempt,
		Created: o.Created.UTC(), Began: some(o.Began), Ended: some(o.Ended),
	}
}

func outcome(o inspect.Over) string {
	if o.Wrong == "" {
		return "succeeded"
	}
	return o.Wrong
}

func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

// problems are all that a person should look at: with the Repository, with slots and
// with annotations of runs.
func problems(q inspect.Queue) []string {
	all := slices.Clone(q.Problems)
	if q.Missing {
		all = append(all, "There is no Repository "+q.Key().String()+": its runs wait for one.")
	}
	for _, s := range q.Snapshot.Slots {
		if s.Damaged != "" {
			all = append(all, s.Damaged+".")
		}
	}
	for _, is := range q.Runs {
		for _, p := range is.Run.Problems {
			all = append(all, "Run "+is.Run.Name+": "+p+".")
		}
	}
	return all
}
