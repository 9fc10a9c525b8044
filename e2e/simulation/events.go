package simulation

import (
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	shipped "github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

var everything = labels.Everything()

// event is something that happens besides the product's own work.
type event struct {
	name  string
	often int // how often, as far as the seed does not say otherwise; 0 if the seed has to say so
	do    func(*Cluster)
}

// events are all that a seed mixes.
var events []event

func init() {
	events = []event{
		{"push", 8, func(c *Cluster) {
			if c.ties && c.chance(60) {
				c.pushTwice(c.someQueue(), 1+c.rnd.IntN(2), 1+c.rnd.IntN(2))
				return
			}
			c.push(c.someQueue(), 1+c.rnd.IntN(3))
		}},
		{"promise", 16, (*Cluster).keepPromise},
		{"tekton", 16, func(c *Cluster) {
			key := c.someQueue()
			if waiting := c.atKueue(key); len(waiting) > 0 && c.chance(30) {
				c.admit(c.one(waiting))
				return
			}
			c.reconcile(c.one(c.unfinished(key)))
		}},
		{"label", 6, func(c *Cluster) { c.label(c.one(c.runsOf(c.someQueue(), all))) }},
		{"cancel", 2, (*Cluster).cancel},
		{"stop", 1, (*Cluster).stop},
		{"delete", 2, (*Cluster).delete},
		{"touch-run", 3, func(c *Cluster) {
			c.editRun(c.one(c.runsOf(c.someQueue(), all)), "is annotated by hand", func(pr *tektonv1.PipelineRun) {
				pr.Annotations["tekton.dev/touched"] = c.now.String() // no condition of a queue sees it
			})
		}},
		{"touch-lease", 2, func(c *Cluster) {
			c.editLease(c.oneLease(c.someQueue()), "is annotated by hand", func(l *coordinationv1.Lease) {
				put(&l.Annotations, "touched", c.now.String())
			})
		}},
		{"reject", 4, (*Cluster).reject},
		{"limit", 1, (*Cluster).changeLimit},
		{"repository", 1, (*Cluster).deleteOrCreate},
		{"collect", 4, (*Cluster).collectOne},
		{"vandal", 3, (*Cluster).vandalize},
		{"delete-lease", 1, (*Cluster).deleteLease},
		{"unlabel", 1, (*Cluster).unlabel},
		{"squat", 1, (*Cluster).squat},
		{"elect", 2, (*Cluster).elect},
		{"crash", 2, (*Cluster).crashOrStart},
		{"sleep", 2, (*Cluster).sleep},
		{"relist", 2, (*Cluster).relist},
		{"late", 2, func(c *Cluster) {
			if len(c.inFlight) > 0 {
				c.rnd.Shuffle(len(c.inFlight), func(i, j int) { c.inFlight[i], c.inFlight[j] = c.inFlight[j], c.inFlight[i] })
				c.landFirst()
			}
		}},
		{"switch", 2, (*Cluster).switchBackend},
		{"shape", 0, (*Cluster).shape},
		{"prioritize", 0, (*Cluster).prioritize},
	}
}

// happenOnce is one event of the seed's mixture.
func (c *Cluster) happenOnce() {
	if len(c.outliving) > 0 && c.chance(20) {
		c.podsGo()
		return
	}
	total := 0
	for _, e := range events {
		total += c.happens[e.name]
	}
	if total == 0 {
		return
	}
	n := c.rnd.IntN(total)
	for _, e := range events {
		if n -= c.happens[e.name]; n < 0 {
			e.do(c)
			return
		}
	}
}

func all(*tektonv1.PipelineRun) bool { return true }

func (c *Cluster) cancel() {
	if pr := c.one(c.runsOf(c.someQueue(), func(pr *tektonv1.PipelineRun) bool { return !pr.IsDone() && !pr.IsCancelled() })); pr != nil {
		c.editRun(pr, "is cancelled", func(pr *tektonv1.PipelineRun) { pr.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled })
	}
}

// stop is a cancellation that has Tekton run the finally tasks, those of a run
// that had not started included.
func (c *Cluster) stop() {
	if pr := c.one(c.runsOf(c.someQueue(), func(pr *tektonv1.PipelineRun) bool {
		return !pr.IsDone() && !isEnding(pr)
	})); pr != nil {
		c.editRun(pr, "is stopped, to run its finally tasks", func(pr *tektonv1.PipelineRun) {
			pr.Spec.Status = tektonv1.PipelineRunSpecStatusStoppedRunFinally
		})
	}
}

func isEnding(pr *tektonv1.PipelineRun) bool {
	return pr.IsCancelled() || pr.IsGracefullyCancelled() || pr.IsGracefullyStopped()
}

// delete sometimes leaves the run to a finalizer for a while, and sometimes
// makes room for another run of the same name.
func (c *Cluster) delete() {
	pr := c.one(c.runsOf(c.someQueue(), all))
	switch {
	case pr == nil:
	case pr.DeletionTimestamp == nil && c.chance(30):
		c.editRun(pr, "is being deleted", func(pr *tektonv1.PipelineRun) {
			pr.DeletionTimestamp = &metav1.Time{Time: c.now.Truncate(time.Second)}
		})
	default:
		c.trace("%s is deleted", pr.Name)
		c.server.remove(runs, pr, nil)
		if pr.DeletionTimestamp == nil && c.chance(50) {
			c.trace("and created again")
			again := pr.DeepCopy()
			again.UID, again.ResourceVersion, again.Status = "", "", tektonv1.PipelineRunStatus{}
			again.Spec.Status = tektonv1.PipelineRunSpecStatusPending
			for _, own := range []string{"attempt", "not-before", "claim"} {
				delete(again.Annotations, "pac-lease-queue.dev/"+own)
			}
			delete(again.Labels, pac.FinishedLabel) // so does the hold
			state("queued")(again)
			c.server.create(runs, again, nil)
		}
	}
}

// reject has an admission policy refuse the start of a run, or no longer.
func (c *Cluster) reject() {
	key := c.someQueue()
	pr := c.one(c.pending(key))
	if claimed := c.claimed(key); len(claimed) > 0 && c.chance(50) {
		pr = c.one(claimed)
	}
	if pr != nil {
		c.server.rejected[pr.UID] = !c.server.rejected[pr.UID]
		c.trace("admission rejects the start of %s: %t", pr.Name, c.server.rejected[pr.UID])
	}
}

// claimed lists waiting runs that a slot names.
func (c *Cluster) claimed(key queue.Key) []*tektonv1.PipelineRun {
	leases := c.leasesOf(key)
	return slices.DeleteFunc(c.pending(key), func(pr *tektonv1.PipelineRun) bool {
		return !slices.ContainsFunc(leases, func(l *coordinationv1.Lease) bool { return runUID(l) == string(pr.UID) })
	})
}

func (c *Cluster) changeLimit() {
	key, limit := c.someQueue(), []int{1, 1, 2, 2, 3, 4, 0, -1}[c.rnd.IntN(8)]
	if c.chance(15) {
		key = global
	}
	was := c.repository(key)
	switch {
	case was != nil:
		c.trace("the limit of %s is set to %d", key.Repository, limit)
		is := was.DeepCopy()
		setLimit(limit)(is)
		c.server.replace(repositories, was, is, nil)
	case key == global:
		c.createRepository(global, max(limit, 1))
	}
}

func (c *Cluster) deleteOrCreate() {
	key := c.someQueue()
	if r := c.repository(key); r != nil {
		c.trace("Repository %s is deleted", key.Repository)
		c.server.remove(repositories, r, nil)
	} else if c.mayReturn(key) {
		c.createRepository(key, 1+c.rnd.IntN(3))
	}
}

// collectOne is the garbage collector, which comes when it comes.
func (c *Cluster) collectOne() {
	for _, o := range c.server.list(leases, "", everything) {
		l := o.(*coordinationv1.Lease)
		if c.server.orphaned(l) && c.mayCollect(l) {
			c.trace("Lease %s is collected with its owner", l.Name)
			c.server.remove(leases, l, nil)
			return
		}
	}
}

// elect has no, one or several replicas believe that they lead a part; not more
// than one with slots in memory, where leading is all that counts.
func (c *Cluster) elect() {
	for _, part := range c.parts() {
		if c.backend == store.Memory && !c.mutant.manyLeaders {
			if c.mayLead(part[0]) {
				c.electOne(part[0])
			}
			continue
		}
		leader, tooMany := c.rnd.IntN(len(c.replicas)+1), c.crowd || c.chance(20)
		for i, r := range c.replicas {
			if !r.alive {
				continue
			}
			leads := i == leader || tooMany && c.chance(80) || c.mutant.manyLeaders
			for _, key := range part {
				r.elect(key, leads)
			}
		}
	}
}

func (c *Cluster) electOne(key queue.Key) {
	alive := c.alive()
	if len(alive) == 0 {
		return
	}
	leader := alive[c.rnd.IntN(len(alive))]
	for _, r := range alive {
		r.elect(key, r == leader)
	}
}

func (c *Cluster) alive() []*replica {
	return slices.DeleteFunc(slices.Clone(c.replicas), func(r *replica) bool { return !r.alive })
}

func (c *Cluster) crashOrStart() {
	r := c.replicas[c.rnd.IntN(len(c.replicas))]
	if dead := slices.IndexFunc(c.replicas, func(r *replica) bool { return !r.alive }); dead >= 0 && c.chance(60) {
		r = c.replicas[dead]
	}
	switch {
	case r.alive:
		c.trace("%s crashes", r.name)
		r.crash()
		c.buryRequestsOf(r)
	case c.mayStart():
		r.start(c.upTo(min(c.stale, 30*time.Second)))
		for _, key := range c.queues {
			r.elect(key, c.crowd && c.backend == store.Lease)
		}
	}
}

func (c *Cluster) sleep() {
	if r := c.replicas[c.rnd.IntN(len(c.replicas))]; r.alive {
		r.asleep = c.now.Add(c.upTo(min(c.patience, []time.Duration{time.Second, 5 * time.Second, 40 * time.Second}[c.rnd.IntN(3)])))
		c.trace("%s is stopped until %.3fs", r.name, r.asleep.Sub(noon).Seconds())
	}
}

func (c *Cluster) relist() {
	if r := c.replicas[c.rnd.IntN(len(c.replicas))]; r.awake() {
		watched := slices.Clone(r.informers)
		if !c.shaped {
			watched = slices.Delete(watched, int(runQueues), int(runQueues)+1)
		}
		i := watched[c.rnd.IntN(len(watched))]
		if all := len(c.server.history[i.kind]); all > i.seen {
			c.trace("%s lists every %s anew", r.name, i.kind)
			i.relist(i.seen + 1 + c.rnd.IntN(all-i.seen))
		}
	}
}

// switchBackend changes where slots are kept.
func (c *Cluster) switchBackend() {
	if !c.maySwitch() {
		return
	}
	c.backend = map[store.Backend]store.Backend{store.Lease: store.Memory, store.Memory: store.Lease}[c.backend]
	c.trace("the backend is %s", c.backend)
	if c.backend == store.Memory {
		for _, key := range c.queues {
			c.electOne(key)
		}
	}
	for _, r := range c.alive() {
		r.settled = c.now.Add(shipped.Changeover)
		r.product.Configure(c.settings())
	}
	for _, q := range c.inFlight {
		if latest := c.now.Add(shipped.Changeover); q.due.After(latest) {
			q.due = latest
		}
	}
}

func (c *Cluster) editLease(was *coordinationv1.Lease, what string, edit func(*coordinationv1.Lease)) {
	if was == nil {
		return
	}
	c.trace("Lease %s %s", was.Name, what)
	is := was.DeepCopy()
	edit(is)
	c.server.replace(leases, was, is, nil)
}

// leasesOf lists the Leases whose names are those of a queue's slots.
func (c *Cluster) leasesOf(key queue.Key) []*coordinationv1.Lease {
	var list []*coordinationv1.Lease
	for _, o := range c.server.list(leases, key.Namespace, everything) {
		if l := o.(*coordinationv1.Lease); queueOfName(l.Name) == key.Repository {
			list = append(list, l)
		}
	}
	return list
}

func (c *Cluster) oneLease(key queue.Key) *coordinationv1.Lease {
	if list := c.leasesOf(key); len(list) > 0 {
		return list[c.rnd.IntN(len(list))]
	}
	return nil
}

func put(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}
