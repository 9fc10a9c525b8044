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
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// Somebody edits the Lease of a slot whose run is running. The queue goes on,
// whatever the edit, and so does every other.
func TestLeaseEditedByHand(t *testing.T) {
	annotation := func(key, value string) func(*coordinationv1.Lease, history.View) {
		return func(l *coordinationv1.Lease, _ history.View) { l.Annotations["pac-lease-queue.dev/"+key] = value }
	}
	tests := map[string]struct {
		edit func(*coordinationv1.Lease, history.View)
		// warning is told about the Repository, if any.
		warning report.Reason
	}{
		"no UID":               {edit: func(l *coordinationv1.Lease, _ history.View) { delete(l.Annotations, "pac-lease-queue.dev/run-uid") }, warning: report.ReasonBadSlot},
		"no number as attempt": {edit: annotation("attempt", "🍕"), warning: report.ReasonBadSlot},
		"another attempt":      {edit: annotation("attempt", "7")},
		"event in the future":  {edit: annotation("event", "garbage 9999-01-01T00:00:00Z")},
		"somebody as holder":   {edit: func(l *coordinationv1.Lease, _ history.View) { l.Spec.HolderIdentity = ptr.To("somebody") }},
		"nobody as holder":     {edit: func(l *coordinationv1.Lease, _ history.View) { l.Spec.HolderIdentity = nil }},
		"next run as holder": {edit: func(l *coordinationv1.Lease, v history.View) {
			next := v.In(queue.Pending)[0]
			l.Spec.HolderIdentity, l.Annotations["pac-lease-queue.dev/run-uid"] = &next.Name, next.UID
		}},
		"no spec":              {edit: func(l *coordinationv1.Lease, _ history.View) { l.Spec = coordinationv1.LeaseSpec{} }},
		"all transitions used": {edit: func(l *coordinationv1.Lease, _ history.View) { l.Spec.LeaseTransitions = ptr.To[int32](math.MaxInt32) }},
		"no labels":            {edit: func(l *coordinationv1.Lease, _ history.View) { l.Labels = nil }},
		"no annotations":       {edit: func(l *coordinationv1.Lease, _ history.View) { l.Annotations = nil }, warning: report.ReasonBadSlot},
		"no owner":             {edit: func(l *coordinationv1.Lease, _ history.View) { l.OwnerReferences = nil }},
		"no metadata":          {edit: func(l *coordinationv1.Lease, _ history.View) { l.Labels, l.Annotations = nil, nil }, warning: report.ReasonBadSlot},
		"another's label":      {edit: func(l *coordinationv1.Lease, _ history.View) { l.Labels["app.kubernetes.io/managed-by"] = "helm" }},
		"nothing of ours at all": {edit: func(l *coordinationv1.Lease, _ history.View) {
			l.Labels, l.Annotations, l.OwnerReferences = nil, nil, nil
		}, warning: report.ReasonSlotBlocked},
	}
	const runs = 5
	c := newCluster(t)
	startReplica(t, hastyConfig)
	startReplica(t, hastyConfig)
	untouched, queues := c.newQueue(1), map[string]queue.Key{}
	c.push(untouched, "push", runs)
	for name, test := range tests {
		key := c.newQueue(2)
		queues[name] = key
		c.push(key, "push", runs)
		c.waitFor(key, "full house", stepDeadline, viewStarted(2))
		leases := c.kube.CoordinationV1().Leases(key.Namespace)
		l, err := leases.Get(t.Context(), lease.Name(key.Repository, 0), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		test.edit(l, c.View(key))
		if _, err := leases.Update(t.Context(), l, metav1.UpdateOptions{}); err != nil {
			t.Fatalf("%s: edit: %v", name, err)
		}
	}
	for name, test := range tests {
		if test.warning == "" {
			continue
		}
		if e := c.waitEvent(queues[name], test.warning, queues[name].Repository); e.Type != corev1.EventTypeWarning {
			t.Errorf("%s: the event is %s, want a Warning", name, e.Type)
		}
	}
	c.play(50*time.Millisecond, soon)
	c.waitOver(untouched)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, key := c.in(t), queues[name]
			if test.warning == report.ReasonSlotBlocked {
				if err := c.kube.CoordinationV1().Leases(key.Namespace).Delete(t.Context(), lease.Name(key.Repository, 0), metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			c.waitOver(key)
			c.wantSound(runs, key)
			if test.warning == "" {
				c.wantNoWarnings(key)
			}
		})
	}
	c.wantSound(runs, untouched)
	c.wantNoWarnings(untouched)
}

// Somebody writes our annotations, or breaks the order that the hold has put
// aside. The run is told so and takes its turn all the same.
func TestAnnotationsByHand(t *testing.T) {
	const runs = 3
	tests := map[string]struct {
		annotations map[string]string
		warning     bool
	}{
		"claim garbage":       {map[string]string{pac.Claim: "mine"}, true},
		"claim of another":    {map[string]string{pac.Claim: "0/1/0"}, false},
		"attempt garbage":     {map[string]string{pac.Attempt: "many"}, true},
		"attempt negative":    {map[string]string{pac.Attempt: "-1"}, true},
		"attempt high":        {map[string]string{pac.Attempt: "1000000"}, false},
		"attempt too high":    {map[string]string{pac.Attempt: "9223372036854775807"}, true},
		"back-off garbage":    {map[string]string{pac.NotBefore: "tomorrow"}, true},
		"back-off long over":  {map[string]string{pac.NotBefore: "1970-01-01T00:00:00Z"}, false},
		"back-off for ever":   {map[string]string{pac.NotBefore: "9999-01-01T00:00:00Z"}, false},
		"order without slash": {map[string]string{pac.HeldOrder: "push-01,push-02"}, true},
		"order of nobody":     {map[string]string{pac.HeldOrder: ","}, true},
		"order of others":     {map[string]string{pac.HeldOrder: "kube-system/push-01"}, true},
		"everything at once": {map[string]string{
			pac.Claim: "", pac.Attempt: "NaN", pac.NotBefore: "0", pac.HeldOrder: "/",
		}, true},
	}
	c := newCluster(t)
	untouched, queues := c.newQueue(1), map[string]queue.Key{}
	c.push(untouched, "push", runs)
	for name, test := range tests {
		queues[name] = c.newQueue(1)
		names := c.push(queues[name], "push", runs)
		c.annotate(queues[name], names[1], test.annotations)
	}
	startReplica(t, hastyConfig)
	startReplica(t, hastyConfig)
	for name, test := range tests {
		if !test.warning {
			continue
		}
		if e := c.waitEvent(queues[name], report.ReasonBadAnnotation, "push-02"); e.Type != corev1.EventTypeWarning {
			t.Errorf("%s: the event is %s, want a Warning", name, e.Type)
		}
	}
	c.play(50*time.Millisecond, soon)
	c.waitOver(untouched)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, key := c.in(t), queues[name]
			c.waitOver(key)
			c.wantSound(runs, key)
			if !test.warning {
				c.wantNoWarnings(key)
			}
		})
	}
	c.wantSound(runs, untouched)
	c.wantNoWarnings(untouched)
}
