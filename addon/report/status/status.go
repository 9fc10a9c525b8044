package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

const (
	// mostSlots and mostFront are how many slots and waiting runs a status has.
	mostSlots, mostFront = 100, 20
	// mostMessage and mostReason bound the texts, in bytes.
	mostMessage, mostReason = 1024, 256
)

const (
	// badRepository is the reason of a queue that is not ready because of its Repository.
	badRepository = "BadRepository"
	// unexplained is the message of a pause of which nobody says by whom or why.
	unexplained = "nothing starts"
)

// of is the status of a queue by a look at it. Times are in whole seconds, as the API server keeps
// them, and a condition that stays as it is keeps its time.
func (w *Writer) of(
	rq runqueue.Known, known latest.Known, stands queue.Standings, turns map[string]time.Time, now time.Time,
) v1alpha1.RunQueueStatus {
	s := v1alpha1.RunQueueStatus{
		ObservedGeneration: rq.Generation,
		Running:            int32(stands.Count(queue.StateStarted)),
		Starting:           int32(stands.Count(queue.StateClaimed)),
		Waiting:            int32(stands.Waiting),
	}
	if stands.Limit != queue.Unlimited {
		s.Limit = new(int32(stands.Limit))
	}
	var oldest time.Time
	for _, is := range stands.Runs {
		if is.Position == 0 {
			continue
		}
		if created := is.Run.Created; oldest.IsZero() || created.Before(oldest) {
			oldest = created
		}
		if is.Position <= mostFront {
			s.Front = append(s.Front, front(is, stands, known.Refusals[is.Run.UID], turns))
		}
	}
	s.OldestWaitingSince = seconds(oldest)
	s.Next = next(stands)
	s.Slots = slots(known.Snapshot, stands)
	s.Conditions = w.conditions(rq, known, stands, now)
	s.State = state(s, stands)
	return s
}

// ofNothing is the status of a RunQueue that has no queue.
func ofNothing(rq runqueue.Known, key queue.Key, now time.Time) v1alpha1.RunQueueStatus {
	s := v1alpha1.RunQueueStatus{ObservedGeneration: rq.Generation, State: v1alpha1.StateIdle}
	c := conditionList{before: rq.Conditions, generation: rq.Generation, now: now}
	c.add(v1alpha1.ConditionReady, false, "NoRepository", withoutRepository(key))
	s.Conditions = c.list
	return s
}

func withoutRepository(key queue.Key) string {
	return fmt.Sprintf("There is no Repository %s in namespace %s, so spec.limit has to say how many runs may go on at a time. Set it, "+
		"give the RunQueue the name of a Repository, or delete it.", key.Repository, key.Namespace)
}

func withoutLimit(key queue.Key) string {
	return fmt.Sprintf("Repository %s has no concurrency_limit, and Pipelines-as-Code starts its runs at once: there is no queue to "+
		"shape. Set a limit, however high.", key.Repository)
}

func ignoredLimit(key queue.Key, limit queue.Limit) string {
	return fmt.Sprintf("Repository %s is there, so its concurrency_limit counts (%s) and spec.limit does not. Remove spec.limit.",
		key.Repository, limit)
}

// ignoredRelease is for a queue whose slots are to be kept for pods that no replica sees.
const ignoredRelease = "Slots are free as soon as runs are done, although spec.release is PodsGone: the add-on does not watch pods. " +
	"Install its chart with concurrency.release=perQueue, or remove spec.release."

func front(is queue.Standing, stands queue.Standings, refusal string, turns map[string]time.Time) v1alpha1.WaitingRun {
	w := v1alpha1.WaitingRun{
		Run: is.Run.Name, Position: int32(is.Position),
		Reason: queue.Clip(report.Why(is, stands, refusal, report.Written), mostReason),
	}
	if turn, known := turns[is.Run.UID]; known {
		w.EstimatedStart = new(metav1.NewTime(turn.UTC().Truncate(time.Minute)))
	}
	return w
}

// next is the run that is to start next: one that is about to, or the first that waits for nothing
// but a slot.
func next(stands queue.Standings) string {
	if stands.Spec.Paused {
		return ""
	}
	onlyForASlot := []queue.Why{queue.Due, queue.SlotsTaken, queue.BehindPriority}
	for _, is := range stands.Runs {
		if is.Run.Phase == queue.Pending && slices.Contains(onlyForASlot, is.Why) {
			return is.Run.Name
		}
	}
	return ""
}

// slots are those that runs have, by number.
func slots(s queue.Snapshot, stands queue.Standings) []v1alpha1.Slot {
	began := map[int]time.Time{}
	names := map[int]string{}
	for _, is := range stands.Runs {
		if is.Slot != queue.NoSlot {
			names[is.Slot], began[is.Slot] = is.Run.Name, is.Run.Began
		}
	}
	for _, kept := range stands.Kept {
		names[kept.Index] = kept.Holder.Name
	}
	var list []v1alpha1.Slot
	for _, number := range slices.Sorted(maps.Keys(names)) {
		if len(list) == mostSlots {
			break
		}
		list = append(list, v1alpha1.Slot{Number: int32(number), Run: names[number], Since: seconds(began[number])})
	}
	return list
}

func (w *Writer) conditions(rq runqueue.Known, known latest.Known, stands queue.Standings, now time.Time) []metav1.Condition {
	c := conditionList{before: rq.Conditions, generation: rq.Generation, now: now}
	switch problems := known.Repository.Problems; {
	case rq.Problem != nil:
		c.add(v1alpha1.ConditionReady, false, "BadSpec", badSpec(rq.Problem))
	case len(problems) > 0:
		c.add(v1alpha1.ConditionReady, false, badRepository, strings.Join(problems, " "))
	case rq.Limit > 0 && !known.Repository.ByRunQueue:
		c.add(v1alpha1.ConditionReady, false, "LimitIgnored", ignoredLimit(known.Repository.Key, stands.Limit))
	case stands.Spec.Release == queue.ReleaseWhenPodsGone && !w.SeesPods:
		c.add(v1alpha1.ConditionReady, false, "ReleaseIgnored", ignoredRelease)
	case stands.Limit == queue.Unlimited && stands.Spec != (queue.Spec{}):
		c.add(v1alpha1.ConditionReady, false, "NoLimit", withoutLimit(known.Repository.Key))
	default:
		c.add(v1alpha1.ConditionReady, true, "Usable", "")
	}
	if stands.Spec.Paused {
		c.add(v1alpha1.ConditionPaused, true, "Paused", cmp.Or(stands.Spec.PausedBy, unexplained))
	} else {
		c.add(v1alpha1.ConditionPaused, false, "NotPaused", "")
	}
	if why, what := stalled(known, stands); why != "" {
		c.add(v1alpha1.ConditionStalled, true, why, what)
	} else {
		c.add(v1alpha1.ConditionStalled, false, "Moving", "")
	}
	if started := stands.Count(queue.StateStarted); stands.Limit != queue.Unlimited && started > int(stands.Limit) {
		c.add(v1alpha1.ConditionLimitExceeded, true, "MoreStarted", fmt.Sprintf("%d runs go on, and the limit is %d: the others wait "+
			"until enough of them have ended", started, stands.Limit))
	} else {
		c.add(v1alpha1.ConditionLimitExceeded, false, "WithinLimit", "")
	}
	return c.list
}

// badSpec is what people are told of a spec that cannot be used.
func badSpec(problem error) string { return problem.Error() + ". The queue goes on without" }

// stalled says what a replica tries in vain; empty if nothing.
func stalled(known latest.Known, stands queue.Standings) (why, what string) {
	for _, is := range stands.Runs {
		refusal := known.Refusals[is.Run.UID]
		if refusal == "" || is.Run.Phase != queue.Pending || stands.Spec.Paused {
			continue
		}
		if is.Slot == queue.NoSlot {
			return "SlotRefused", fmt.Sprintf("the slot of %s cannot be claimed: %s", is.Run.Name, refusal)
		}
		return "StartFails", fmt.Sprintf("%s cannot be started: %s", is.Run.Name, refusal)
	}
	if stands.Unusable > 0 && stands.Limit != queue.Unlimited {
		return "SlotUnusable", fmt.Sprintf("%d of %d slots cannot be used, because of what is in their Leases' place", stands.Unusable,
			stands.Limit)
	}
	return "", ""
}

func state(s v1alpha1.RunQueueStatus, stands queue.Standings) v1alpha1.State {
	switch {
	case stands.Spec.Paused:
		return v1alpha1.StatePaused
	case meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionStalled):
		return v1alpha1.StateStalled
	case s.Running+s.Starting+s.Waiting > 0:
		return v1alpha1.StateRunning
	default:
		return v1alpha1.StateIdle
	}
}

// conditionList is a list in the making.
type conditionList struct {
	before     []metav1.Condition
	generation int64
	now        time.Time
	list       []metav1.Condition
}

func (c *conditionList) add(kind string, is bool, reason, message string) {
	condition := metav1.Condition{
		Type: kind, Status: metav1.ConditionFalse, ObservedGeneration: c.generation, Reason: reason,
		Message: queue.Clip(message, mostMessage), LastTransitionTime: metav1.NewTime(c.now.UTC().Truncate(time.Second)),
	}
	if is {
		condition.Status = metav1.ConditionTrue
	}
	for _, was := range c.before {
		if was.Type == kind && was.Status == condition.Status {
			condition.LastTransitionTime = metav1.NewTime(was.LastTransitionTime.UTC())
		}
	}
	c.list = append(c.list, condition)
}

func seconds(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewTime(t.UTC().Truncate(time.Second)))
}
