package simulation

import (
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// parts are the queues by what their leader leads.
func (c *Cluster) parts() [][]queue.Key {
	if c.together && !c.memory && c.happens["switch"] == 0 {
		return [][]queue.Key{c.queues}
	}
	var parts [][]queue.Key
	for _, key := range c.queues {
		parts = append(parts, []queue.Key{key})
	}
	return parts
}

// part names the part that a queue is in.
func (c *Cluster) part(key queue.Key) string {
	if len(c.parts()) == 1 {
		return ""
	}
	return key.Repository
}

// leaderOf is who the lease of a part names, dead or alive. Others may believe that they lead, too.
func (c *Cluster) leaderOf(part string) string {
	for _, r := range c.replicas {
		for _, key := range c.queues {
			if c.part(key) == part && r.leads[key] {
				return r.name
			}
		}
	}
	return ""
}

// moved is what the event handlers of the informers do with what a replica wrote.
func (r *replica) moved(was, is any) {
	writer, moved := lease.Moved(was, is)
	if _, isRun := is.(*pac.Cached); isRun {
		writer, moved = pac.Moved(was, is)
	}
	key, ours := keyOf(is)
	if !ours {
		return
	}
	c, part := r.cluster, r.cluster.part(key)
	if name := c.writers[versionOf(is)]; name != "" && name == c.leaderOf(part) {
		r.heard[part] = sighting{name, c.now}
	}
	if moved && (writer == r.name || writer == "") {
		r.proved[part] = c.now
	}
	if moved {
		r.product.Progress(key, writer)
	}
}

func versionOf(obj any) string {
	o, err := meta.Accessor(obj)
	if err != nil {
		panic(err)
	}
	return o.GetResourceVersion()
}

// noteWriter remembers who brought a queue forward.
func (c *Cluster) noteWriter(ch change, by *request) {
	if by == nil || ch.is == nil {
		return
	}
	forward := false
	switch is := ch.is.(type) {
	case *coordinationv1.Lease:
		_, slot, ours := lease.Decode(is)
		was, existed := ch.was.(*coordinationv1.Lease)
		forward = ours && (!existed || was == nil || (runUID(was) != runUID(is) || slot.Holder == nil))
	case *tektonv1.PipelineRun:
		was, existed := ch.was.(*tektonv1.PipelineRun)
		forward = existed && was != nil && was.IsPending() && !is.IsPending() && !is.IsCancelled()
	}
	if forward {
		c.writers[ch.is.GetResourceVersion()] = by.pass.replica.name
	}
}

// sighting is when a replica last saw what the leader of a part wrote.
type sighting struct {
	leader string
	at     time.Time
}

// takeovers judges that no leader is taken for dead that has just been seen to claim, to release or
// to start, unless a step has been due for sixty times as long; and that a replica that has seen
// nothing of what it wrote itself takes over one queue of a part at a time.
type takeovers struct {
	engine.Unobserved
	r *replica
}

// TookOver implements engine.Observer.
func (t takeovers) TookOver(key queue.Key, step queue.Action, after time.Duration) {
	c, part := t.r.cluster, t.r.cluster.part(key)
	leader, patience := c.leaderOf(part), c.timing.TakeoverAfter
	seen := t.r.heard[part]
	if ago := c.now.Sub(seen.at); seen.leader == leader && leader != "" && after < 60*patience && ago < patience {
		c.fail("death: %s takes %s over to %s, and its leader %s was seen at work %s ago", t.r.name, key, step, leader, ago)
	}
	replaces := c.now.Sub(t.r.proved[part]) <= 10*patience
	if after < 60*patience && t.r.tried[part].Equal(c.now) && !replaces {
		c.fail("death: %s takes %s over along with another queue, and its watches have shown nothing that it wrote", t.r.name, key)
	}
	if t.r.tried[part] = c.now; replaces {
		t.r.proved[part] = c.now
	}
	if c.mutant.takesAll {
		t.r.product.Progress(key, t.r.name)
	}
	if c.backend == store.Memory {
		c.fail("death: %s takes %s over, and cannot see its slots", t.r.name, key)
	}
}
