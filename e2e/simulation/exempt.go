package simulation

import (
	"slices"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Here is all that the simulation does not do to the product, because the
// protocol says that it does not survive it.

// busy says that something is under way that an earlier look at the queue began.
func (c *Cluster) busy(key queue.Key, which func(*request, *pass) bool) bool {
	for _, q := range c.inFlight {
		if q.pass.key == key && which(q, nil) {
			return true
		}
	}
	for _, r := range c.replicas {
		for _, p := range r.passes {
			if p.key == key && which(nil, p) {
				return true
			}
		}
	}
	return false
}

func anything(*request, *pass) bool { return true }

// mayDelete: nothing is left of a deleted Lease that the start of its holder, or
// a creation decided upon before, could be refused by. A damaged one does not say
// who its holder was.
func (c *Cluster) mayDelete(l *coordinationv1.Lease) bool {
	key := queue.Key{Namespace: l.Namespace, Repository: queueOfName(l.Name)}
	if _, slot, _ := lease.Decode(l); slot.Damaged != "" {
		return !c.busy(key, anything)
	}
	return !c.holderWaits(l) && !c.busy(key, func(q *request, p *pass) bool {
		return q != nil && q.verb == "create" || p != nil && p.listedAfresh
	})
}

// holderWaits says that the Lease holds a claim which a replica may be carrying
// out.
func (c *Cluster) holderWaits(l *coordinationv1.Lease) bool {
	holder, _ := c.server.objects[runs][l.Namespace+"/"+ptr.Deref(l.Spec.HolderIdentity, "")].(*tektonv1.PipelineRun)
	return holder != nil && holder.IsPending()
}

// mayCollect: while there is no Repository nothing can go wrong, see mayReturn.
// Otherwise a collected Lease is a deleted one.
func (c *Cluster) mayCollect(l *coordinationv1.Lease) bool {
	key := queue.Key{Namespace: l.Namespace, Repository: queueOfName(l.Name)}
	return c.calm || c.repository(key) == nil || c.mayDelete(l)
}

// mayReturn: a Repository that comes back finds its Leases gone, and with them
// what would refuse requests from before.
func (c *Cluster) mayReturn(key queue.Key) bool { return !c.busy(key, anything) }

// maySwap: a slot that reads well but names no run, or another, is taken at its
// word. That is survived if the run it named is started and everybody knows.
func (c *Cluster) maySwap(l *coordinationv1.Lease) bool {
	key := queue.Key{Namespace: l.Namespace, Repository: queueOfName(l.Name)}
	holder := l.Namespace + "/" + ptr.Deref(l.Spec.HolderIdentity, "")
	if c.holderWaits(l) || c.busy(key, anything) {
		return false
	}
	return !slices.ContainsFunc(c.replicas, func(r *replica) bool {
		if !r.alive {
			return false
		}
		pr := r.cached(holder)
		return pr == nil || pr.IsPending()
	})
}

// Slots in memory are lost with the process, so nothing would refuse what it
// still had under way. The backend is documented for one process at a time, and
// a request of the last one counts as the last one.
func (c *Cluster) requestsDieWithTheirSender() bool { return c.backend == store.Memory }

func (c *Cluster) buryRequestsOf(r *replica) {
	if !c.requestsDieWithTheirSender() {
		return
	}
	var others []*request
	for _, q := range c.inFlight {
		switch {
		case q.pass.replica != r:
			others = append(others, q)
		case c.chance(50):
			c.carryOut(q, ", for a dead client")
		}
	}
	c.inFlight = others
}

// mayLead: another replica begins to lead a queue with slots in memory only when
// nothing of the last leader is under way.
func (c *Cluster) mayLead(key queue.Key) bool {
	return !c.busy(key, anything) || len(c.alive()) == 1
}

// maySwitch: who changes the backend finds the last change settled, and nothing
// under way that will not be over when the replicas have rested.
func (c *Cluster) maySwitch() bool {
	for _, r := range c.alive() {
		if c.now.Before(r.settled) || len(r.passes) > 0 {
			return false
		}
	}
	return true
}

// mayStart: a process that starts knows of no change of the backend that it would
// have to let settle, so it does not start in the middle of one.
func (c *Cluster) mayStart() bool {
	return !slices.ContainsFunc(c.alive(), func(r *replica) bool { return c.now.Before(r.settled) })
}
