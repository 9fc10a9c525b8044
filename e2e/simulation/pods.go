package simulation

import (
	"maps"
	"slices"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// outlive leaves pods of a run that is about to be done, in the seeds in which slots may be kept
// for them. A run that never began has none.
func (c *Cluster) outlive(pr *tektonv1.PipelineRun) {
	if key, ok := pac.KeyOf(pr); ok && c.release.SeesPods() && c.read(pr).Phase == queue.Started && c.chance(50) {
		c.trace("pods of %s are left", pr.Name)
		c.outliving[pr.UID] = key
	}
}

// podsGo ends the pods of one run. Every replica hears of it.
func (c *Cluster) podsGo() {
	uids := slices.Sorted(maps.Keys(c.outliving))
	uid := uids[c.rnd.IntN(len(uids))]
	key := c.outliving[uid]
	c.trace("pods of %s are gone", uid)
	delete(c.outliving, uid)
	for _, r := range c.alive() {
		r.changed(key, false)
	}
}

// podsOf is what replicas see of them; nil if they do not look.
func (c *Cluster) podsOf() func(queue.Key, queue.Holder) *queue.Pods {
	if !c.release.SeesPods() || c.mutant.podless {
		return nil
	}
	return func(_ queue.Key, h queue.Holder) *queue.Pods {
		if _, left := c.outliving[types.UID(h.UID)]; left {
			return &queue.Pods{Number: 1, First: "pod"}
		}
		return nil
	}
}

// keptFor says that the Lease is the slot of a run that is done and has pods left. One that cannot
// be read names no run.
func (c *Cluster) keptFor(l *coordinationv1.Lease) bool {
	_, slot, ours := lease.Decode(l)
	if !ours || slot.Holder == nil {
		return false
	}
	_, left := c.outliving[types.UID(slot.Holder.UID)]
	return left
}

// mayRelease says that a replica may go by a spec with which slots are free then.
func (j *judge) mayRelease(when queue.ReleaseWhen) bool {
	return slices.ContainsFunc(j.specs(), func(s queue.Spec) bool { return j.cluster.release.Of(s.Release) == when })
}

// pods judges a write of the product that takes a slot from a run.
func (j *judge) pods(ch change, by *request) {
	was, existed := ch.was.(*coordinationv1.Lease)
	if by == nil || !existed || was == nil || !j.cluster.keptFor(was) || ch.is != nil && runUID(ch.is) == runUID(was) {
		return
	}
	again := slices.ContainsFunc(j.cluster.leasesOf(j.key), func(l *coordinationv1.Lease) bool {
		return l.Name != was.Name && runUID(l) == runUID(was)
	})
	if again || j.mayRelease(queue.ReleaseWhenDone) || by.limit == queue.Unlimited || j.limit == queue.Unlimited {
		return
	}
	j.fail("%s of %s is given away while pods of %s are left", was.Name, j.key, runUID(was))
}
