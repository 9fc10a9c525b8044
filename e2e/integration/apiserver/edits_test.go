package apiserver_test

import (
	"math"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// tampered is a queue some of whose objects were edited by hand.
type tampered struct {
	queue.Key
	quiet  bool                      // no Warning is due
	repair func(*cluster, queue.Key) // what the operator must do before the queue ends; nil for nothing
}

// wantUnharmed plays queues to their end. The untouched one must end before any repair.
func (c *cluster) wantUnharmed(runs int, untouched queue.Key, queues map[string]tampered) {
	c.Helper()
	c.play(50*time.Millisecond, soon)
	c.waitOver(untouched)
	for name, q := range queues {
		c.Run(name, func(t *testing.T) {
			c := c.in(t)
			if q.repair != nil {
				q.repair(c, q.Key)
			}
			c.waitOver(q.Key)
			c.wantSound(runs, q.Key)
			if q.quiet {
				c.wantNoWarnings(q.Key)
			}
		})
	}
	c.wantSound(runs, untouched)
	c.wantNoWarnings(untouched)
}

// wantWarning waits for an event and wants it to be a Warning.
func (c *cluster) wantWarning(key queue.Key, reason event.Reason, object string) {
	c.Helper()
	if e := c.waitEvent(key, reason, object); e.Type != corev1.EventTypeWarning {
		c.Errorf("%s: the event %s is %s, want a Warning", key, reason, e.Type)
	}
}

// An operator edits the Lease of a slot while its run is running. Whatever the edit, the queue goes
// on, and so does every other queue.
func TestLeaseEditedByHand(t *testing.T) {
	const runUID = "pac-lease-queue.dev/run-uid"
	annotation := func(key, value string) func(*coordinationv1.Lease, history.View) {
		return func(l *coordinationv1.Lease, _ history.View) { l.Annotations["pac-lease-queue.dev/"+key] = value }
	}
	holder := func(name *string) func(*coordinationv1.Lease, history.View) {
		return func(l *coordinationv1.Lease, _ history.View) { l.Spec.HolderIdentity = name }
	}
	tests := map[string]struct {
		edit func(*coordinationv1.Lease, history.View)
		// warning is the reason of the Warning on the Repository, if one is due.
		warning event.Reason
	}{
		"UID removed": {
			edit:    func(l *coordinationv1.Lease, _ history.View) { delete(l.Annotations, runUID) },
			warning: event.ReasonBadSlot,
		},
		"attempt not a number": {edit: annotation("attempt", "🍕"), warning: event.ReasonBadSlot},
		"another attempt":      {edit: annotation("attempt", "7")},
		"event in the future":  {edit: annotation("event", "garbage 9999-01-01T00:00:00Z")},
		"unknown holder":       {edit: holder(ptr.To("unknown"))},
		"holder removed":       {edit: holder(nil)},
		"next run as holder": {edit: func(l *coordinationv1.Lease, v history.View) {
			next := v.In(queue.Pending)[0]
			l.Spec.HolderIdentity, l.Annotations[runUID] = &next.Name, next.UID
		}},
		"spec removed": {edit: func(l *coordinationv1.Lease, _ history.View) { l.Spec = coordinationv1.LeaseSpec{} }},
		"transitions exhausted": {edit: func(l *coordinationv1.Lease, _ history.View) {
			l.Spec.LeaseTransitions = ptr.To[int32](math.MaxInt32)
		}},
		"labels removed": {edit: func(l *coordinationv1.Lease, _ history.View) { l.Labels = nil }},
		"annotations removed": {
			edit:    func(l *coordinationv1.Lease, _ history.View) { l.Annotations = nil },
			warning: event.ReasonBadSlot,
		},
		"owner removed": {edit: func(l *coordinationv1.Lease, _ history.View) { l.OwnerReferences = nil }},
		"metadata removed": {
			edit:    func(l *coordinationv1.Lease, _ history.View) { l.Labels, l.Annotations = nil, nil },
			warning: event.ReasonBadSlot,
		},
		"label of another product": {edit: func(l *coordinationv1.Lease, _ history.View) {
			l.Labels["app.kubernetes.io/managed-by"] = "helm"
		}},
		"everything of ours removed": {edit: func(l *coordinationv1.Lease, _ history.View) {
			l.Labels, l.Annotations, l.OwnerReferences = nil, nil, nil
		}, warning: event.ReasonSlotBlocked},
	}
	const runs = 5
	c := newCluster(t)
	startReplica(t, hastyConfig)
	startReplica(t, hastyConfig)
	untouched, queues := c.newQueue(1), map[string]tampered{}
	c.push(untouched, "push", runs)
	for name, test := range tests {
		key := c.newQueue(2)
		queues[name] = tampered{Key: key, quiet: test.warning == ""}
		if test.warning == event.ReasonSlotBlocked {
			queues[name] = tampered{Key: key, repair: func(c *cluster, key queue.Key) { c.deleteLease(key, 0) }}
		}
		c.push(key, "push", runs)
		c.waitFor(key, "full house", stepDeadline, viewStarted(2))
		l, err := c.leases(key).Get(t.Context(), lease.Name(key.Repository, 0), metav1.GetOptions{})
		c.must(err)
		test.edit(l, c.View(key))
		if _, err := c.leases(key).Update(t.Context(), l, metav1.UpdateOptions{}); err != nil {
			t.Fatalf("%s: edit: %v", name, err)
		}
	}
	for name, test := range tests {
		if test.warning != "" {
			c.wantWarning(queues[name].Key, test.warning, queues[name].Repository)
		}
	}
	c.wantUnharmed(runs, untouched, queues)
}

// A user writes annotations that belong to the product, or spoils the order that the hold has
// stored. The run gets a Warning and takes its turn all the same.
func TestAnnotationsByHand(t *testing.T) {
	const runs = 3
	tests := map[string]struct {
		annotations map[string]string
		warning     bool
	}{
		"claim garbage":          {map[string]string{pac.Claim: "mine"}, true},
		"claim of another":       {map[string]string{pac.Claim: "0/1/0"}, false},
		"attempt garbage":        {map[string]string{pac.Attempt: "many"}, true},
		"attempt negative":       {map[string]string{pac.Attempt: "-1"}, true},
		"attempt high":           {map[string]string{pac.Attempt: "1000000"}, false},
		"attempt too high":       {map[string]string{pac.Attempt: "9223372036854775807"}, true},
		"back-off garbage":       {map[string]string{pac.NotBefore: "tomorrow"}, true},
		"back-off long over":     {map[string]string{pac.NotBefore: "1970-01-01T00:00:00Z"}, false},
		"back-off for ever":      {map[string]string{pac.NotBefore: "9999-01-01T00:00:00Z"}, false},
		"stamp garbage":          {map[string]string{pac.Arrived: "yesterday"}, true},
		"stamp of another":       {map[string]string{pac.Arrived: "1"}, false},
		"stamp far away":         {map[string]string{pac.Arrived: "18446744073709551615"}, false},
		"order without slash":    {map[string]string{pac.HeldOrder: "push-01,push-02"}, true},
		"order without names":    {map[string]string{pac.HeldOrder: ","}, true},
		"order of another queue": {map[string]string{pac.HeldOrder: "kube-system/push-01"}, true},
		"everything at once": {map[string]string{
			pac.Claim: "", pac.Attempt: "NaN", pac.NotBefore: "0", pac.HeldOrder: "/",
		}, true},
	}
	c := newCluster(t)
	untouched, queues := c.newQueue(1), map[string]tampered{}
	c.push(untouched, "push", runs)
	for name, test := range tests {
		key := c.newQueue(1)
		queues[name] = tampered{Key: key, quiet: !test.warning}
		names := c.push(key, "push", runs)
		c.must(c.AnnotateRun(t.Context(), key.Namespace, names[1], test.annotations))
	}
	startReplica(t, hastyConfig)
	startReplica(t, hastyConfig)
	for name, test := range tests {
		if test.warning {
			c.wantWarning(queues[name].Key, event.ReasonBadAnnotation, "push-02")
		}
	}
	c.wantUnharmed(runs, untouched, queues)
}
