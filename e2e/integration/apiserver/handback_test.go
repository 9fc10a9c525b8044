package apiserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac/handback"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// Before an uninstall all runs are handed back to PAC, whether or not those that run have ended,
// and no slot is left. The hand-back may be repeated.
func TestHandBackBeforeUninstall(t *testing.T) {
	c := newCluster(t)
	key := c.newQueue(1)
	names := c.push(key, "push", 3)
	c.create(key, "stray", []string{"stray", "no/name"}) // an unreadable order
	t.Run("a replica starts the first run", func(t *testing.T) {
		startReplica(t, usualConfig)
		c.in(t).waitFor(key, "started run", stepDeadline, viewStarted(1))
	})
	configMaps := c.Kube.CoreV1().ConfigMaps(systemNamespace)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "handed-back"}, Data: map[string]string{"claim-ttl": "10s"}}
	_, err := configMaps.Create(t.Context(), cm, metav1.CreateOptions{})
	c.must(err)
	var out strings.Builder
	h := &handback.HandBack{
		Kube: c.Kube, Tekton: c.Tekton, Namespace: systemNamespace, ConfigMap: cm.Name, Namespaces: []string{key.Namespace},
		Hold: "no-such-hold", Guard: "no-such-guard", Patience: time.Second, Out: &out,
	}
	for range 2 {
		if err := h.Run(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	t.Log(out.String())
	c.waitFor(key, "two runs back with PAC, and no slot", stepDeadline, func(v history.View) bool {
		back := 0
		for _, r := range v.In(queue.Pending) {
			if pr := v.PipelineRuns[r.Name]; pr.Annotations[keys.ExecutionOrder] != "" && pr.Annotations[pac.HeldOrder] == "" {
				back++
			}
		}
		return back == len(names)-1 && len(v.Slots) == 0
	})
	if !strings.Contains(out.String(), "stray has a malformed order") {
		t.Errorf("the output does not mention the run that stays:\n%s", out.String())
	}
	cm, err = configMaps.Get(t.Context(), cm.Name, metav1.GetOptions{})
	c.must(err)
	if cm.Data["hand-back"] != "true" || cm.Data["claim-ttl"] != "10s" {
		t.Errorf("the ConfigMap of the replicas has %v", cm.Data)
	}
}
