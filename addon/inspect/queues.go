package inspect

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Queue is one queue at one moment.
type Queue struct {
	Now      time.Time
	Snapshot queue.Snapshot
	queue.Standings
	// Missing says that the Repository does not exist. Its runs wait for it.
	Missing bool
	// Config is that of the installation that works on this queue.
	Config config.Config
	// Acquired is when a slot got its holder, by index and by the clock of the replica that
	// wrote it.
	Acquired map[int]time.Time
	// Done are runs of the queue that are done, in the order in which they ended.
	Done []Done
	// Typical is how long the last runs took, by the median, and Of the number of these runs.
	Typical time.Duration
	Of      int
	// Turns is when runs that wait for a slot may be started, by UID.
	Turns map[string]time.Time
	// Problems with the Repository, for users.
	Problems []string
	// UnreadSettings is the ConfigMap of a controller of PAC that made runs of the queue and whose
	// settings the replicas do not read; empty if there is none.
	UnreadSettings string
	// Refusals are the last events about refused starts and slots of runs that are pending, by UID,
	// if [ReadRefusals] read them.
	Refusals map[string]string
}

// Done is a run that is done, and how it ended.
type Done struct {
	queue.Run
	Outcome report.Outcome
}

// Compare orders runs by when they ended.
func (d Done) Compare(o Done) int {
	return cmp.Or(d.Ended.Compare(o.Ended), cmp.Compare(d.Name, o.Name))
}

// Key is the queue's.
func (q Queue) Key() queue.Key { return q.Snapshot.Key }

// Standing finds a run that is not done.
func (q Queue) Standing(name string) (queue.Standing, bool) {
	i := slices.IndexFunc(q.Runs, func(s queue.Standing) bool { return s.Run.Name == name })
	if i < 0 {
		return queue.Standing{}, false
	}
	return q.Runs[i], true
}

// Why says in a sentence where a run stands.
func (q Queue) Why(is queue.Standing, style report.Style) string {
	switch {
	case is.Why == queue.NoRepository:
		if is.Run.Labelled {
			return "waiting for RunQueue " + q.Key().Repository + ", which does not exist or says no limit"
		}
		return "waiting for Repository " + q.Key().Repository + ", which does not exist"
	case is.State() == queue.StateStarted && is.Slot == queue.NoSlot && q.Config.Backend == store.Memory:
		return "started"
	}
	refusal := ""
	if q.slotDue(is) {
		refusal = event.SlotRefusal(q.Refusals[is.Run.UID])
	}
	return report.Why(is, q.Standings, refusal, style)
}

// Exists says that there is a queue to show: that it has a limit, slots or runs.
func (q Queue) Exists() bool {
	return q.Limit != queue.Unlimited || len(q.Snapshot.Slots) > 0 || len(q.Runs) > 0
}

// MayBeRefused says that the start of a run, or its slot, may have been refused: events then tell
// why.
func (q Queue) MayBeRefused() bool {
	return slices.ContainsFunc(q.Runs, func(is queue.Standing) bool {
		return is.Run.Phase == queue.Pending && (q.slotDue(is) || startDue(is))
	})
}

// slotDue says that the run is about to get a slot.
func (q Queue) slotDue(is queue.Standing) bool { return is.Why == queue.Due && is.Slot == queue.NoSlot }

// startDue says that a start of the run was, or is about to be, tried.
func startDue(is queue.Standing) bool { return is.Run.Attempt > 0 || is.Slot != queue.NoSlot }

// orphan puts all pending runs in line: without a Repository there is no limit to keep, and no
// replica starts anything.
func orphan(all *queue.Standings) {
	all.Waiting = 0
	for i := range all.Runs {
		if s := &all.Runs[i]; s.Run.Phase == queue.Pending {
			all.Waiting++
			s.Why, s.Position, s.Slot, s.Until, s.By = queue.NoRepository, all.Waiting, queue.NoSlot, time.Time{}, nil
		}
	}
}

// Queues makes queues of what was read: one for every Repository that has a limit, slots or
// runs that wait, in the namespace that was looked at. They are sorted by namespace and name.
func (r *Reading) Queues(now time.Time) []Queue {
	repositories := map[queue.Key]*v1alpha1.Repository{}
	for _, repository := range slices.Concat(r.Repositories, r.Globals) {
		repositories[queue.Key{Namespace: repository.Namespace, Repository: repository.Name}] = &repository
	}
	slots, acquired := r.slots(now)
	runs, done := byQueue(r.Runs), byQueue(r.Finished)
	keys := map[queue.Key]bool{}
	for key := range repositories {
		keys[key] = true
	}
	for key := range slots {
		keys[key] = true
	}
	for key := range runs {
		keys[key] = true
	}
	own := r.own()
	for key := range own {
		keys[key] = true
	}
	var all []Queue
	for key := range keys {
		if r.Namespace != "" && key.Namespace != r.Namespace {
			continue // the global Repository's own queue
		}
		set := r.Config(key.Namespace)
		controllers := r.Controllers[set.PACNamespace]
		shape := r.shape(key)
		snapshot := queue.Snapshot{Key: key, Slots: slots[key], Freshness: queue.Fresh}
		if shape != nil {
			snapshot.Spec = shape.Spec()
		}
		var over []Done
		unread := ""
		for i, pr := range slices.Concat(runs[key], done[key]) {
			run := controllers.ReadRun(pr)
			if r.Kueue && set.KueueAccounts != "" {
				run = run.BesideKueue()
			}
			pac.Prioritize(&run, pr, shape)
			run.Unlisted = r.Unlisted[run.UID]
			if name := pac.SettingsOf(pr); i < len(runs[key]) && !r.reads(key.Namespace, name) {
				unread = name
			}
			if i < len(runs[key]) {
				snapshot.Runs = append(snapshot.Runs, &run)
			}
			if run.Phase == queue.Done {
				over = append(over, Done{run, OutcomeOf(pr)})
			}
		}
		repository := repositories[key]
		limit, byRunQueue := own[key]
		missing := repository == nil && !byRunQueue || repository != nil && repository.DeletionTimestamp != nil
		var problems []string
		switch {
		case missing:
		case repository == nil:
			snapshot.Limit = limit
		default:
			global := repositories[queue.Key{
				Namespace:  set.PACNamespace,
				Repository: cmp.Or(pac.GlobalName(pac.Hints(runs[key])), set.PACGlobalRepository),
			}]
			snapshot.Limit, problems = pac.ReadLimit(repository, global)
			if r.Absent[set.PACNamespace] && snapshot.Limit == queue.Unlimited && len(runs[key]) > 0 {
				snapshot.Limit, problems = pac.UnseenLimit(set.PACNamespace, pac.Hints(runs[key]))
			}
			if told := r.statuses[key].Limit; told != nil && snapshot.Limit == queue.Unlimited && len(r.assumptions) > 0 {
				snapshot.Limit = queue.Limit(*told) // that of the global Repository, which the user may not see
			}
		}
		q := r.NewQueue(snapshot, missing, over, now)
		q.Acquired, q.Problems, q.UnreadSettings = acquired[key], problems, unread
		if q.Exists() {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b Queue) int { return a.Key().Compare(b.Key()) })
	return all
}

// slots reads the Leases. No claim is older than this look: see the package comment.
func (r *Reading) slots(now time.Time) (map[queue.Key][]queue.Slot, map[queue.Key]map[int]time.Time) {
	slots, acquired := map[queue.Key][]queue.Slot{}, map[queue.Key]map[int]time.Time{}
	for i := range r.Leases {
		l := &r.Leases[i]
		key, slot, ok := lease.Decode(l)
		if !ok {
			continue
		}
		if slot.Holder != nil || slot.Damaged != "" {
			slot.HeldSince = now
		}
		slots[key] = append(slots[key], slot)
		if slot.Holder != nil && l.Spec.AcquireTime != nil {
			if acquired[key] == nil {
				acquired[key] = map[int]time.Time{}
			}
			acquired[key][slot.Index] = l.Spec.AcquireTime.Time
		}
	}
	for _, s := range slots {
		slices.SortFunc(s, func(a, b queue.Slot) int { return cmp.Compare(a.Index, b.Index) })
	}
	return slots, acquired
}

// shape is what people want of a queue; nil for nothing, or if no replica that works on it heeds
// that.
func (r *Reading) shape(key queue.Key) pac.Shape {
	if r.Shapes == nil || !r.HeedRunQueues(key.Namespace) {
		return nil
	}
	return r.Shapes.Of(key)
}

func byQueue(runs []tektonv1.PipelineRun) map[queue.Key][]*tektonv1.PipelineRun {
	by := map[queue.Key][]*tektonv1.PipelineRun{}
	for i := range runs {
		if key, ok := pac.KeyOf(&runs[i]); ok {
			by[key] = append(by[key], &runs[i])
		}
	}
	return by
}

// own are the limits of the RunQueues that need no Repository.
func (r *Reading) own() map[queue.Key]queue.Limit {
	limits := map[queue.Key]queue.Limit{}
	if r.Shapes == nil {
		return limits
	}
	for _, key := range r.Shapes.Keys() {
		if known, exists := r.Shapes.Get(key); exists && known.Limit > 0 {
			limits[key] = queue.Limit(known.Limit)
		}
	}
	return limits
}

// OutcomeOf says in a word how a run that is done ended.
func OutcomeOf(pr *tektonv1.PipelineRun) report.Outcome {
	c := pr.Status.GetCondition(pac.Succeeded)
	switch {
	case c == nil && pr.DeletionTimestamp != nil:
		return "deleted"
	case c == nil:
		return "cancelled"
	case c.IsTrue():
		return report.Succeeded
	default:
		return report.Outcome(cmp.Or(strings.ToLower(c.Reason), "failed"))
	}
}
