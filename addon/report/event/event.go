package event

import (
	"fmt"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Event is one message on one object.
type Event struct {
	Kind    Kind
	Key     queue.Key
	Name    string
	UID     string
	Warning bool
	Reason  Reason
	Message string
}

// Kind is the kind of object an event is about.
type Kind string

// The kinds of objects that events are about.
const (
	PipelineRun Kind = "PipelineRun"
	Repository  Kind = "Repository"
	RunQueue    Kind = "RunQueue"
	ConfigMap   Kind = "ConfigMap"
)

// Reason is the machine-readable cause of an event.
type Reason string

// Queued: the run was first seen to wait.
func Queued(key queue.Key, r queue.Run, why string) Event {
	return onRun(key, r, ReasonQueued, "Queued for %s: %s.", queueOf(key, r), why)
}

// SlotAcquired: the run has a slot.
func SlotAcquired(key queue.Key, r queue.Run, slot int) Event {
	return onRun(key, r, ReasonSlotAcquired, "Has slot %d of %s.", slot, queueOf(key, r))
}

// Started: the run was started, for the first time or again.
func Started(key queue.Key, a queue.Start, waited time.Duration) Event {
	if a.Token.Slot == queue.NoSlot {
		return onRun(
			key,
			a.Run,
			ReasonStarted,
			"Started %s after its creation, without a slot: %s has no limit.",
			report.Round(waited),
			queueOf(key, a.Run),
		)
	}
	return onRun(
		key,
		a.Run,
		ReasonStarted,
		"Started %s after its creation, in slot %d of %s.",
		report.Round(waited),
		a.Token.Slot,
		queueOf(key, a.Run),
	)
}

// Passed: the run has all that it needs from this product, and Kueue starts it.
func Passed(key queue.Key, a queue.Start) Event {
	if a.Token.Slot == queue.NoSlot {
		return onRun(key, a.Run, ReasonPassed, "Waits for Kueue to admit it (its queue %s). It needs no slot: %s has no limit.",
			a.Run.Kueue.Queue, queueOf(key, a.Run))
	}
	return onRun(key, a.Run, ReasonPassed, "Waits for Kueue to admit it (its queue %s), with slot %d of %s.",
		a.Run.Kueue.Queue, a.Token.Slot, queueOf(key, a.Run))
}

// HandedBack: the run is Pipelines-as-Code's again, or Kueue's.
func HandedBack(key queue.Key, r queue.Run) Event {
	if r.Kueue.Admits {
		return onRun(key, r, ReasonHandedBack, "Handed back: waits for Kueue to admit it (its queue %s), without a slot.", r.Kueue.Queue)
	}
	return onRun(key, r, ReasonHandedBack, "Handed back to the queue of Pipelines-as-Code.")
}

// Recovered: this replica works on the queue in place of the one that should.
func Recovered(key queue.Key, uid string, step queue.Action, after time.Duration) Event {
	return Event{
		Kind: Repository, Key: key, Name: key.Repository, UID: uid, Reason: ReasonRecovered,
		Message: fmt.Sprintf("Took the queue over: to %s had been overdue for %s.", step, report.Round(after)),
	}
}

// LimitChanged: the Repository has another limit than before.
func LimitChanged(key queue.Key, uid string, from, to queue.Limit) Event {
	return Event{
		Kind: Repository, Key: key, Name: key.Repository, UID: uid, Reason: ReasonLimitChanged,
		Message: fmt.Sprintf("The limit is %s now; it was %s.", to, from),
	}
}

// Adopted: the run was started without a slot and has one now.
func Adopted(key queue.Key, c queue.Claim) Event {
	return onRun(key, c.Run, ReasonAdopted, "Was running without a slot; now holds slot %d of %s.", c.Slot.Index, queueOf(key, c.Run))
}

// NotWaitedFor: PAC did not do its part in time, and the run is started without.
func NotWaitedFor(key queue.Key, r queue.Run, late queue.Lateness) Event {
	if late == queue.NoOrder {
		return onRun(key, r, ReasonOrderTimedOut, "Pipelines-as-Code wrote no execution order; started in the order of creation instead.")
	}
	e := onRun(key, r, ReasonNotWaitedFor, "Pipelines-as-Code still owes %s; started without waiting any longer. The log of its watcher "+
		"may say why.", r.Owed)
	e.Warning = true
	return e
}

// Unprepared: the run is passed over because PAC has not made what it cannot work without.
func Unprepared(key queue.Key, r queue.Run) Event {
	e := onRun(key, r, ReasonUnprepared, "Pipelines-as-Code has not made %s, and this run cannot work without: it is not started before, "+
		"and the runs behind it go first. The log of the controller and the watcher of Pipelines-as-Code may say why. Cancel this run and "+
		"push or comment again, or make the secret and set the annotation to \"true\".", r.Owed)
	e.Warning = true
	return e
}

// PodsLeft: a slot is kept for pods that should have gone long ago.
func PodsLeft(key queue.Key, uid string, s queue.Slot) Event {
	return Event{
		Kind: Repository, Key: key, Name: key.Repository, UID: uid, Warning: true, Reason: ReasonPodsLeft,
		Message: fmt.Sprintf("Slot %d is not given away: %s is done, but pod %s of it (one of %d) should have gone and has not. Perhaps "+
			"its node is lost. Once the node is shut down, delete it or the pod: kubectl delete pod -n %s %s --grace-period=0 --force",
			s.Index, s.Holder.Name, s.Pods.First, s.Pods.Number, key.Namespace, s.Pods.First),
	}
}

// NotBegun: the controller that a started run is left to has not begun with it.
func NotBegun(key queue.Key, r queue.Run) Event {
	e := onRun(key, r, ReasonNotBegun, "Was started, but %s, which its spec.managedBy names, has not begun with it: it takes no slot of "+
		"%s until then. Is that controller installed? Delete this run if not.", r.Manager, queueOf(key, r))
	e.Warning = true
	return e
}

// Unreported: the run is over, and PAC has not reported that.
func Unreported(key queue.Key, r queue.Run) Event {
	e := onRun(key, r, ReasonUnreported, "Has been over for more than %s, and Pipelines-as-Code has not reported that. The log of its "+
		"watcher may say why. The queue goes on: this run takes no slot, and may be deleted.", report.Round(queue.ReportGrace))
	e.Warning = true
	return e
}

// ClaimExpired: the run had a slot but could not be started; refusal says why, if
// that is known.
func ClaimExpired(key queue.Key, x queue.Expire, refusal string) Event {
	if refusal == "" {
		refusal = "look at the admission policies and webhooks for PipelineRuns"
	}
	e := onRun(
		key,
		x.Run,
		ReasonClaimExpired,
		"Could not be started in slot %d (attempt %d); the slot goes to the next run, this one is tried again in %s. "+
			"Something refuses the update of the run: %s",
		x.Slot.Index,
		x.Attempt,
		x.Backoff.Round(time.Second),
		refusal,
	)
	e.Warning = true
	return e
}

// Cancelled: the queue has no more use for the run, or no room.
func Cancelled(key queue.Key, c queue.Cancel) Event {
	switch c.Cause {
	case queue.NotNewest:
		return onRun(key, c.Run, ReasonNotNewest, "Cancelled: a newer run %s waits, %s, and RunQueue %s keeps only the newest of those "+
			"that wait (waiting.keep).", c.By.Origin, c.By.Name, key.Repository)
	case queue.TooMany, queue.TooOld:
		e := onRun(key, c.Run, ReasonMayNotWait, "Cancelled: in RunQueue %s, %s.", key.Repository, report.Dropped(c.Cause, c.Spec))
		e.Warning = true
		return e
	case queue.Replaced:
	}
	return Superseded(key, c)
}

// Paused: nothing starts in the queue any more.
func Paused(key queue.Key, uid, by string) Event {
	return onRunQueue(key, uid, ReasonPaused, "Paused%s: nothing starts until it is resumed. What runs goes on.", by)
}

// Resumed: runs start again.
func Resumed(key queue.Key, uid string) Event {
	return onRunQueue(key, uid, ReasonResumed, "Resumed: runs start again.")
}

// BadRunQueue: its spec cannot be used, or has no queue.
func BadRunQueue(key queue.Key, uid, problem string) Event {
	e := onRunQueue(key, uid, ReasonBadRunQueue, "%s", problem)
	e.Warning = true
	return e
}

func onRunQueue(key queue.Key, uid string, reason Reason, format string, args ...any) Event {
	return Event{Kind: RunQueue, Key: key, Name: key.Repository, UID: uid, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Superseded: a newer run made this one pointless.
func Superseded(key queue.Key, c queue.Cancel) Event {
	return onRun(
		key,
		c.Run,
		ReasonSuperseded,
		"Cancelled: %s is newer, of the same definition and %s, and cancel-in-progress is on.",
		c.By.Name,
		source(c.By.Origin),
	)
}

func source(o queue.Origin) string {
	switch o.Trigger {
	case queue.PullRequestTrigger, queue.LabelTrigger:
		return "pull request " + o.PullRequest
	case queue.PushTrigger, queue.OtherTrigger:
	}
	return "branch " + o.Branch
}

// BadAnnotation: an annotation of the run cannot be read.
func BadAnnotation(key queue.Key, r queue.Run, problem string) Event {
	e := onRun(key, r, ReasonBadAnnotation, "%s.", problem)
	e.Warning = true
	return e
}

// QueueMissing: the run waits in a queue that is not there.
func QueueMissing(key queue.Key, r queue.Run) Event {
	if r.Labelled {
		e := onRun(key, r, ReasonNoRunQueue, "Waits for a slot of the queue %s in namespace %s, which does not exist. Create the RunQueue "+
			"with a spec.limit, or a Repository of that name; or cancel or delete this run.", key.Repository, key.Namespace)
		e.Warning = true
		return e
	}
	e := onRun(key, r, ReasonNoRepository, "Waits for a slot of Repository %s, which does not exist in namespace %s. "+
		"Create the Repository, or cancel or delete this run.", key.Repository, key.Namespace)
	e.Warning = true
	return e
}

// BadRepository: a setting of the Repository cannot be used.
func BadRepository(key queue.Key, uid, problem string) Event {
	return Event{Kind: Repository, Key: key, Name: key.Repository, UID: uid, Warning: true, Reason: ReasonBadRepository, Message: problem}
}

// DamagedSlot: a slot cannot be read.
func DamagedSlot(key queue.Key, uid string, s queue.Slot) Event {
	return Event{
		Kind: Repository, Key: key, Name: key.Repository, UID: uid, Warning: true, Reason: ReasonBadSlot,
		Message: fmt.Sprintf(
			"Slot %d cannot be read and counts as taken for now: %s. It was edited by hand. The add-on rewrites it; nothing "+
				"needs to be done.",
			s.Index,
			s.Damaged,
		),
	}
}

// SlotBlocked: a slot cannot be made, because something else is in its place.
func SlotBlocked(key queue.Key, uid string, s queue.Slot, err error) Event {
	return Event{
		Kind: Repository, Key: key, Name: key.Repository, UID: uid, Warning: true, Reason: ReasonSlotBlocked,
		Message: fmt.Sprintf("Slot %d cannot be made, so nothing more is started than fits into the other slots: %v.", s.Index, err),
	}
}

// refusedBy ends what [SlotRefused] says itself; the API server's words follow.
const refusedBy = "the API server refuses its Lease: "

// SlotRefused: the run is next, but the API server refuses the Lease of its slot.
func SlotRefused(key queue.Key, c queue.Claim, words string) Event {
	e := onRun(key, c.Run, ReasonSlotRefused, "Slot %d of %s cannot be claimed, so neither this run nor any behind it gets "+
		"one: %s%s", c.Slot.Index, queueOf(key, c.Run), refusedBy, words)
	e.Warning = true
	return e
}

// SlotRefusal returns the API server's words in the message of a [SlotRefused].
func SlotRefusal(message string) string {
	_, words, _ := strings.Cut(message, refusedBy)
	return words
}

// queueOf names the queue as the run does.
func queueOf(key queue.Key, r queue.Run) string {
	if r.Labelled {
		return "queue " + key.Repository
	}
	return "Repository " + key.Repository
}

func onRun(key queue.Key, r queue.Run, reason Reason, format string, args ...any) Event {
	return Event{Kind: PipelineRun, Key: key, Name: r.Name, UID: r.UID, Reason: reason, Message: fmt.Sprintf(format, args...)}
}
