package simulation

import (
	"math"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// reach is how much an edit of a Lease takes away from the protocol, and so when
// it must be survived.
type reach int

const (
	// harmless edits are survived in any weather.
	harmless reach = iota
	// bounded ones are survived if requests are not under way for longer than a
	// claim TTL.
	bounded
	// quiet ones are survived unless the claim in it is being carried out.
	quiet
	// told ones make a claim that no replica could count, and are survived if all
	// hear of it before anybody acts.
	told
)

// edit is what a tenant does to a Lease.
type edit struct {
	what  string
	reach reach
	do    func(*Cluster, *coordinationv1.Lease)
}

var edits = []edit{
	{"loses its labels", harmless, func(_ *Cluster, l *coordinationv1.Lease) { l.Labels = nil }},
	{"is labelled as another's", harmless, func(_ *Cluster, l *coordinationv1.Lease) {
		put(&l.Labels, "app.kubernetes.io/managed-by", "helm")
	}},
	{"loses its Repository", harmless, func(_ *Cluster, l *coordinationv1.Lease) {
		delete(l.Annotations, "pac-lease-queue.dev/repository")
	}},
	{"loses its owner", harmless, func(_ *Cluster, l *coordinationv1.Lease) { l.OwnerReferences = nil }},
	{"loses its event", harmless, func(_ *Cluster, l *coordinationv1.Lease) {
		put(&l.Annotations, "pac-lease-queue.dev/event", "garbage 9999-01-01T00:00:00Z")
	}},
	{"has all transitions used", harmless, func(_ *Cluster, l *coordinationv1.Lease) {
		l.Spec.LeaseTransitions = ptr.To[int32](math.MaxInt32)
	}},
	{"loses the run's UID", bounded, func(_ *Cluster, l *coordinationv1.Lease) {
		delete(l.Annotations, "pac-lease-queue.dev/run-uid")
	}},
	{"loses all annotations but the Repository", bounded, func(_ *Cluster, l *coordinationv1.Lease) {
		l.Annotations = map[string]string{"pac-lease-queue.dev/repository": queueOfName(l.Name)}
	}},
	{"has no number as attempt", bounded, func(_ *Cluster, l *coordinationv1.Lease) {
		put(&l.Annotations, "pac-lease-queue.dev/attempt", "🍕")
	}},
	{"has an invented attempt", bounded, func(_ *Cluster, l *coordinationv1.Lease) {
		put(&l.Annotations, "pac-lease-queue.dev/attempt", "7")
	}},
	{"is held by no name", bounded, func(_ *Cluster, l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("Not a name") }},
	{"is emptied", quiet, func(_ *Cluster, l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil }},
	{"loses its spec", quiet, func(_ *Cluster, l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} }},
	{"is held by another UID", quiet, func(_ *Cluster, l *coordinationv1.Lease) {
		put(&l.Annotations, "pac-lease-queue.dev/run-uid", "uid-0")
	}},
	{"is given to a waiting run", told, func(c *Cluster, l *coordinationv1.Lease) {
		key := queue.Key{Namespace: l.Namespace, Repository: queueOfName(l.Name)}
		if next := c.one(c.pending(key)); next != nil {
			l.Spec.HolderIdentity = &next.Name
			put(&l.Annotations, "pac-lease-queue.dev/run-uid", string(next.UID))
		}
	}},
}

func (c *Cluster) deleteLease() {
	if l := c.oneLease(c.someQueue()); c.vandals && l != nil && c.mayDelete(l) {
		c.trace("Lease %s is deleted by hand", l.Name)
		c.server.remove(leases, l, nil)
	}
}

// squat creates a Lease of a user's own in the place of a slot.
func (c *Cluster) squat() {
	if !c.vandals {
		return
	}
	key := c.someQueue()
	name := lease.Name(key.Repository, c.rnd.IntN(4))
	if _, exists := c.server.lease(key.Namespace, name); exists {
		return
	}
	c.trace("Lease %s is made by hand", name)
	c.server.create(leases, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name}}, nil)
}

// squatted says that something else is in the place of a slot of the queue.
func squatted(l *coordinationv1.Lease) bool {
	_, _, ours := lease.Decode(l)
	return !ours && len(l.OwnerReferences) == 0
}

// unlabel takes from a run the label by which fresh looks list it. The guard keeps that label, so
// every cache hears of it: no list would show a run that has lost it before.
func (c *Cluster) unlabel() {
	pr := c.one(c.unfinished(c.someQueue()))
	if !c.vandals || pr == nil {
		return
	}
	c.editRun(pr, "loses the label of its Repository", func(pr *tektonv1.PipelineRun) { delete(pr.Labels, keys.Repository) })
	c.tellAll(runs)
}

// vandalize edits a Lease.
func (c *Cluster) vandalize() {
	key := c.someQueue()
	l := c.oneLease(key)
	if !c.vandals || l == nil {
		return
	}
	e := edits[c.rnd.IntN(len(edits))]
	if e.reach >= quiet && !c.maySwap(l) {
		return
	}
	c.byVandal = true
	c.editLease(l, e.what, func(l *coordinationv1.Lease) { e.do(c, l) })
	c.byVandal = false
	if e.reach == told {
		c.tellAll(leases)
	}
}

// tellAll brings every cache of a kind up to date.
func (c *Cluster) tellAll(k kind) {
	for _, r := range c.replicas {
		for _, i := range r.informers {
			for r.alive && i.kind == k && i.behind() {
				i.deliver()
			}
		}
	}
}

func queueOfName(lease string) string {
	name, _, _ := strings.Cut(lease, ".slot-")
	return name
}
