package queue

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Key names a queue: one Repository.
type Key struct {
	Namespace  string
	Repository string
}

// String renders the key as namespace/repository.
func (k Key) String() string { return k.Namespace + "/" + k.Repository }

// Compare orders keys by namespace and Repository.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Repository, o.Repository))
}

// ParseKey reads what String wrote.
func ParseKey(s string) Key {
	namespace, repository, _ := strings.Cut(s, "/")
	return Key{Namespace: namespace, Repository: repository}
}

// KeySet returns the keys as a set.
func KeySet(keys []Key) map[Key]bool {
	set := make(map[Key]bool, len(keys))
	for _, key := range keys {
		set[key] = true
	}
	return set
}

// Limit is how many runs of a queue may be started and not done at a time. Zero means no limit,
// which is how PAC reads an absent concurrency_limit.
type Limit int

// Unlimited is the limit of a Repository that has none.
const Unlimited Limit = 0

// String is "none" for no limit.
func (l Limit) String() string {
	if l == Unlimited {
		return "none"
	}
	return strconv.Itoa(int(l))
}

// Phase is how far a run has come.
type Phase int

const (
	// Pending runs are held: Tekton does nothing with them.
	Pending Phase = iota
	// Started runs occupy a unit of the limit until they are done, whether or not a slot names
	// them.
	Started
	// Done runs have finished, or were cancelled before they started. Done is final, so a cached
	// observation of it can be trusted.
	Done
)

func (p Phase) String() string {
	return [...]string{"pending", "started", "done"}[p]
}

// Run is what a decision needs to know of one PipelineRun.
type Run struct {
	Name string
	UID  string
	// Version is the resourceVersion at which all of this was observed.
	Version string
	Phase   Phase
	Created time.Time
	// Arrived is what has been written on it of when its event came.
	Arrived Arrival
	// Seen is when the run came, as far as the observer has seen it.
	Seen Arrival
	// Unseen says that the observer's watch has yet to show the run, which another look has shown
	// already. Then Seen will be known.
	Unseen bool
	// Unwritten is since when, by the observer's clock, writing Arrived on it has failed again and
	// again; zero if it has not.
	Unwritten time.Time
	// Order is nil as long as PAC has not written it. A run with an order was queued by PAC for a
	// limit; without a limit only such runs are this product's to start.
	Order *Order
	// Owed names what PAC still has to do before the run can start, e.g. create its secret; empty
	// when nothing is left.
	Owed string
	// Needs says that the run cannot work without what it is owed, so it is not started before.
	Needs bool
	// Manager is the controller that runs it, if that is not Tekton's own.
	Manager string
	// Attempt is the fencing number of the protocol: only Expire raises it.
	Attempt int
	// NotBefore is the end of the run's back-off; zero when it has none.
	NotBefore time.Time
	// Claim is the token with which the run was started or passed to Kueue; nil when this product
	// did neither.
	Claim *Token
	// Kueue is what the run has to do with Kueue.
	Kueue Kueue
	// Origin is what the run was made of and for.
	Origin Origin
	// Priority decides before all else who is next: the higher, the sooner. It never has a run that
	// was started give up its slot.
	Priority Priority
	// Began and Ended are Tekton's start and completion times; zero until Tekton sets them. They
	// are for people: decisions do not depend on them.
	Began, Ended time.Time
	// Labelled says that the run is queued by its label: it is not PAC's, which neither prepares
	// nor reports it, and to which it cannot be handed back.
	Labelled bool
	// Ending says that the run has been cancelled or stopped.
	Ending bool
	// Unlisted says that only a live read shows this run: PAC has finished with it, so no list or
	// watch of unfinished runs will show its end.
	Unlisted bool
	// Problems are for people: annotations that could not be read, and what happens without them.
	// Decisions do not depend on them.
	Problems []string
}

// ReportGrace is how long PAC may take to report the end of a run.
const ReportGrace = 5 * time.Minute

// ReportDue is when an operator should hear that PAC has not reported the end of the run; zero if
// there is nothing to hear of. It is a whole minute, so that a queue is looked at once for all of
// its runs that end in a minute.
func (r *Run) ReportDue() time.Time {
	if r.Phase != Done || r.Unlisted || r.Labelled || r.Ended.IsZero() {
		return time.Time{}
	}
	return r.Ended.Add(ReportGrace).Truncate(time.Minute).Add(time.Minute)
}

// Lacks says that the run must not be started yet: it cannot work without what it is owed.
func (r *Run) Lacks() bool { return r.Needs && r.Owed != "" }

// Forgettable says that the run is done and is marked as finished by nobody but the add-on: PAC
// marks its own runs only.
func (r *Run) Forgettable() bool { return r.Labelled && r.Phase == Done }

// Holder is the run that a slot names.
type Holder struct {
	Name string
	UID  string
	// Attempt is the run's attempt at the time of the claim.
	Attempt int
	// Event is the run's place among events. The slot remembers it, because it derives from the
	// event's first run, which may be gone before the last one starts.
	Event Event
}

// Slot is one unit of a queue's limit, as read from a store.
type Slot struct {
	Index int
	// Version is the store's version of the slot; empty when it does not exist.
	Version string
	// Holder is nil when the slot is free.
	Holder *Holder
	// Transition counts the changes of holder.
	Transition int
	// HeldSince is when the observer, by its own clock, first saw this holder. Timestamps written
	// by others are never compared with a local clock.
	HeldSince time.Time
	// Damaged says why the slot cannot be read. Such a slot counts as occupied.
	Damaged string
	// Blocked says that something else is in the slot's place. The queue does without the slot.
	Blocked bool
	// Pods are those of a holder that is done, or that no list shows; nil if there are none, or if
	// a slot is free as soon as its holder is done. While there are any, the slot counts as that of
	// a started run.
	Pods *Pods
	// Turns are those of the groups as far as this slot remembers them. It keeps them when it is
	// emptied.
	Turns Turns
	// Unread says that the observer has not found out yet what became of the holder, which no list
	// shows. Such a slot counts as that of a started run.
	Unread bool
}

// Pods are the pods of a run that may still run.
type Pods struct {
	Number int
	// First is the first of them by name.
	First string
	// Due is when the last of them should have gone; zero if that is not known.
	Due time.Time
}

// Token is the proof with which a run is started: this slot, at this change of holder, for this
// attempt of the run.
type Token struct {
	Slot       int
	Transition int
	Attempt    int
}

// NoSlot is the slot in the token of a run that needed none: its Repository had no limit.
const NoSlot = -1

// String renders the token as slot/transition/attempt.
func (t Token) String() string {
	return fmt.Sprintf("%d/%d/%d", t.Slot, t.Transition, t.Attempt)
}

// ParseToken reads what String wrote.
func ParseToken(s string) (Token, error) {
	var t Token
	if _, err := fmt.Sscanf(s, "%d/%d/%d", &t.Slot, &t.Transition, &t.Attempt); err != nil || t.String() != s {
		return Token{}, fmt.Errorf("claim token %q is not slot/transition/attempt, e.g. 0/12/0", s)
	}
	if t.Slot < NoSlot || t.Transition < 0 || t.Attempt < 0 {
		return Token{}, fmt.Errorf("claim token %q has a negative part", s)
	}
	return t, nil
}

// Snapshot is one look at a queue.
type Snapshot struct {
	Key   Key
	Limit Limit
	// Runs of the queue, of those that are over only the latest. From Confirmed up, a holder of a
	// slot that is not among them is done or gone, unless the slot is unread. Looks share the runs
	// that have not changed in between, also across goroutines: nobody changes a run of a snapshot.
	// A caller changes a copy.
	Runs []*Run
	// Slots that exist, in any order.
	Slots []Slot
	// Spec is what else people want of the queue.
	Spec Spec
	// HandBack says that the queue goes back to PAC.
	HandBack bool
	// Freshness is how far the look went past the caches.
	Freshness Freshness
}

// Holders finds the runs that slots name, by UID. Most of them are the first in line, so that it
// seldom has to go through all runs.
func (s *Snapshot) Holders() map[string]*Run {
	holders := map[string]*Run{}
	for i := range s.Slots {
		if h := s.Slots[i].Holder; h != nil {
			holders[h.UID] = nil
		}
	}
	missing := len(holders)
	for _, r := range s.Runs {
		if missing == 0 {
			return holders
		}
		if was, named := holders[r.UID]; named && was == nil {
			holders[r.UID] = r
			missing--
		}
	}
	maps.DeleteFunc(holders, func(_ string, r *Run) bool { return r == nil })
	return holders
}

// Shared returns the runs as a snapshot has them. They must not be changed any more.
func Shared(runs []Run) []*Run {
	shared := make([]*Run, len(runs))
	for i := range runs {
		shared[i] = &runs[i]
	}
	return shared
}

// Policy holds the durations that decisions depend on.
type Policy struct {
	// ClaimTTL is how long the start of a claimed run may keep failing before its slot goes to the
	// next run.
	ClaimTTL time.Duration
	// OrderGrace is how long after its creation a run waits for PAC to write its execution order.
	OrderGrace time.Duration
	// ReadyGrace is how long after its creation a run waits for what PAC owes it.
	ReadyGrace time.Duration
	// BackoffBase and BackoffMax bound the pause after an expired claim, which doubles with every
	// attempt.
	BackoffBase time.Duration
	BackoffMax  time.Duration
}

// Backoff returns the pause after the given number of failed attempts, from 1.
func (p Policy) Backoff(attempts int) time.Duration {
	d := p.BackoffBase
	for i := 1; i < attempts && 0 < d && d < p.BackoffMax; i++ {
		d *= 2
	}
	return min(d, p.BackoffMax)
}
