package apiserver_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
)

// T14: a quota refuses the Lease of a slot. The next run has a Warning with the API server's words,
// and the queue goes on once the quota is gone.
func TestRefusedLease(t *testing.T) {
	const runs = 2
	c := newCluster(t)
	key := c.newQueue(1)
	quotas := c.Kube.CoreV1().ResourceQuotas(key.Namespace)
	none := corev1.ResourceList{"count/leases.coordination.k8s.io": resource.MustParse("0")}
	quota, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "no-leases"}, Spec: corev1.ResourceQuotaSpec{Hard: none},
	}, metav1.CreateOptions{})
	c.must(err)
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none} // as the quota controller does
	_, err = quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{})
	c.must(err)
	names := c.push(key, "push", runs)
	startReplica(t, usualConfig)
	warning := c.waitEvent(key, event.ReasonSlotRefused, names[0])
	if warning.Type != corev1.EventTypeWarning || !strings.Contains(warning.Message, "exceeded quota: no-leases") {
		t.Errorf("%s: %s", warning.Type, warning.Message)
	}
	c.must(quotas.Delete(t.Context(), quota.Name, metav1.DeleteOptions{}))
	c.play(20*time.Millisecond, soon)
	c.waitOver(key)
	c.wantSound(runs, key)
}
