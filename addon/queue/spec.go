package queue

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

// Spec shapes a queue beyond its limit: who is next, whether anybody is, and who may not wait any
// longer. The zero Spec is a queue as Pipelines-as-Code has it. A spec chooses among runs only:
// claims, fences and tokens are the same whatever it says.
type Spec struct {
	// Paused keeps every run from being started, also one that has been claimed. What runs goes on,
	// and what waits goes on waiting, however long, unless a newer run takes its place.
	Paused bool
	// PausedBy says who paused it, and why, as far as that is known. It is for people.
	PausedBy string
	// Order is who is next among runs of the same [Run.Priority].
	Order Discipline
	// FairBy is what Fair goes round.
	FairBy Grouping
	// KeepNewest has a newer run of the same definition and branch, or pull request, take the place
	// of those that wait. What runs is left alone.
	KeepNewest bool
	// MostWaiting is how many runs may wait; zero is any number. The newest beyond are cancelled.
	MostWaiting int
	// MaxAge is how long after its creation a run may wait before it is cancelled; zero is for
	// ever.
	MaxAge time.Duration
	// Release is when the slot of a run that is over is free.
	Release ReleaseWhen
}

// Discipline is an order of waiting runs.
type Discipline int

const (
	// Events is that of Pipelines-as-Code, invariant I3.
	Events Discipline = iota
	// NewestFirst takes the runs of the newest event first, those of an event in their order.
	NewestFirst
	// Fair goes round the groups, one run each, those of a group in the order of events.
	Fair
)

func (d Discipline) String() string { return [...]string{"Events", "NewestFirst", "Fair"}[d] }

// ReleaseWhen says when the slot of a run that is over is free.
type ReleaseWhen int

const (
	// ReleaseByDefault leaves it to the installation.
	ReleaseByDefault ReleaseWhen = iota
	// ReleaseWhenDone is as soon as the run is done.
	ReleaseWhenDone
	// ReleaseWhenPodsGone is once none of its pods is left that may still run.
	ReleaseWhenPodsGone
)

func (r ReleaseWhen) String() string { return [...]string{"", "Done", "PodsGone"}[r] }

// Grouping says which runs are of one group.
type Grouping int

const (
	ByBranch Grouping = iota
	ByPullRequest
	BySender
)

func (g Grouping) String() string { return [...]string{"Branch", "PullRequest", "Sender"}[g] }

// Group names the group of a run of that origin. What does not come from a pull request is of its
// branch.
func (g Grouping) Group(o Origin) string {
	switch {
	case g == BySender:
		return o.Sender
	case g == ByPullRequest && o.PullRequest != "":
		return "#" + o.PullRequest
	default:
		return o.Branch
	}
}

// The bounds of each number of a [Priority].
const MinPriority, MaxPriority = -1000, 1000

// Priority is how urgent a run is. What its queue says of it counts before what it says of itself.
type Priority struct {
	// Listed is what the queue gives runs of its kind.
	Listed int
	// Own is what the run asks for.
	Own int
}

// Compare orders priorities: the lower, the less urgent.
func (p Priority) Compare(o Priority) int {
	return cmp.Or(cmp.Compare(p.Listed, o.Listed), cmp.Compare(p.Own, o.Own))
}

// String is the number that a person gave; both if both were given.
func (p Priority) String() string {
	switch {
	case p.Listed == 0:
		return strconv.Itoa(p.Own)
	case p.Own == 0:
		return strconv.Itoa(p.Listed)
	default:
		return fmt.Sprintf("%d, and %d of its own", p.Listed, p.Own)
	}
}
