package inspect

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Queue is one queue at one moment.
type Queue struct {
	Now      time.Time
	Snapshot queue.Snapshot
	queue.Standings
	// Missing says that there is no such Repository. Its runs wait for one.
	Missing bool
	// Config is what the installation is set to that works on this queue.
	Config config.Config
	// Acquired is when a slot got its holder, by index and the clock of the replica
	// that wrote it.
	Acquired map[int]time.Time
	// Over are runs of the queue that are over, the last to end last.
	Over []Over
	// Typical is how long its last runs took, by the median, and Of how many those are.
	Typical time.Duration
	Of      int
	// Turns is when runs that wait may be started, by UID.
	Turns map[string]time.Time
	// Problems with the Repository, for people.
	Problems []string
}

// Over is a run that is over.
type Over struct {
	queue.Run
	// Wrong says in a word how it went wrong; empty if it did not.
	Wrong string
}

// Key is the queue's.
func (q Queue) Key() queue.Key { return q.Snapshot.Key }

// Standing finds a run among those that stand in the queue.
func (q Queue) Standing(name string) (queue.Standing, bool) {
	i := slices.IndexFunc(q.Runs, func(s queue.Standing) bool { return s.Run.Name == name })
	if i < 0 {
		return queue.Standing{}, false
	}
	return q.Runs[i], true
}

// Why says in words where a run stands.
func (q Queue) Why(is queue.Standing, style report.Style) string {
	switch {
	case is.Why == NoRepository:
		return "waiting for Repository " + q.Key().Repository + ", which does not exist"
	case is.Why == queue.Running && is.Slot == queue.NoSlot && q.Config.Backend == store.Memory:
		return "running"
	}
	return report.Why(is, q.Standings, "", style)
}

// NoRepository is why a run waits whose Repository does not exist.
const NoRepository queue.Why = "no Repository"

// orphan has all runs wait that are not under way: without a Repository there is no
// limit to keep, and nobody starts anything.
func orphan(all *queue.Standings) {
	all.Waiting = 0
	for i := range all.Runs {
		if s := &all.Runs[i]; s.Run.Phase == queue.Pending {
			all.Waiting++
			s.Why, s.Position, s.Slot, s.Until, s.By = NoRepository, all.Waiting, queue.NoSlot, time.Time{}, nil
		}
	}
}

// Queues makes the queues of what was read: the Repositories that have a limit, and
// everything that has slots or runs that wait, of the namespace that was looked at.
// They are sorted by namespace and name.
func (r *Reading) Queues(now time.Time) []Queue {
	repositories := map[queue.Key]*v1alpha1.Repository{}
	for i := range r.Repositories {
		repository := &r.Repositories[i]
		repositories[queue.Key{Namespace: repository.Namespace, Repository: repository.Name}] = repository
	}
	slots, acquired := r.slots(now)
	runs, over := byQueue(r.Runs), byQueue(r.Finished)
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
	var all []Queue
	for key := range keys {
		if r.Namespace != "" && key.Namespace != r.Namespace {
			continue // of the global Repository's
		}
		set := r.config(key.Namespace)
		q := Queue{Now: now, Config: set, Acquired: acquired[key]}
		q.Snapshot = queue.Snapshot{
			Key: key, Slots: slots[key], HandBack: set.HandBack, CancelInProgress: r.CancelInProgress[set.PACNamespace], Freshness: queue.Fresh,
		}
		var recent report.Recent
		for i, pr := range slices.Concat(runs[key], over[key]) {
			run := pac.ReadRun(pr)
			run.Unlisted = r.Unlisted[run.UID]
			if i < len(runs[key]) {
				q.Snapshot.Runs = append(q.Snapshot.Runs, run)
			}
			if run.Phase == queue.Done {
				q.Over = append(q.Over, Over{run, Wrong(pr)})
			}
		}
		slices.SortFunc(q.Over, func(a, b Over) int { return cmp.Or(a.Ended.Compare(b.Ended), cmp.Compare(a.Name, b.Name)) })
		for _, run := range q.Over {
			recent.Note(key, []queue.Run{run.Run})
		}
		repository := repositories[key]
		if q.Missing = repository == nil || repository.DeletionTimestamp != nil; !q.Missing {
			global := repositories[queue.Key{Namespace: set.PACNamespace, Repository: cmp.Or(pac.GlobalName(slices.Values(runs[key])), set.PACGlobalRepository)}]
			q.Snapshot.Limit, q.Problems = pac.ReadLimit(repository, global)
		}
		q.Standings = queue.Stand(q.Snapshot, now, set.Policy)
		if q.Missing {
			orphan(&q.Standings)
		}
		if q.Typical, q.Of = recent.Typical(key); q.Of > 0 {
			q.Turns = report.Turns(q.Standings, q.Typical, now)
		}
		if q.Limit != queue.Unlimited || len(q.Snapshot.Slots) > 0 || len(q.Runs) > 0 {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b Queue) int {
		return cmp.Or(cmp.Compare(a.Key().Namespace, b.Key().Namespace), cmp.Compare(a.Key().Repository, b.Key().Repository))
	})
	return all
}

// slots reads the Leases; no claim is older than this look, see the package comment.
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

// config is what the queues of a namespace go by.
func (r *Reading) config(namespace string) config.Config {
	for _, i := range r.Installations {
		if i.Environment.Watched.Contains(namespace) {
			return i.Config
		}
	}
	return config.Defaults()
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

// Wrong says in a word why a run that is over did not succeed.
func Wrong(pr *tektonv1.PipelineRun) string {
	c := pr.Status.GetCondition(apis.ConditionSucceeded)
	switch {
	case c == nil && pr.DeletionTimestamp != nil:
		return "deleted"
	case c == nil:
		return "cancelled"
	case c.IsTrue():
		return ""
	default:
		return strings.ToLower(c.Reason)
	}
}
