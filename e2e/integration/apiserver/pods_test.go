package apiserver_test

import (
	"strings"
	"testing"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// createPod creates a pod of a run, as Tekton does, on a node whose kubelet never answers.
func (c *cluster) createPod(key queue.Key, run, uid string) {
	c.Helper()
	_, err := c.Kube.CoreV1().Pods(key.Namespace).Create(c.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: run + "-pod", Annotations: map[string]string{keys.Repository: key.Repository},
			Labels: map[string]string{"tekton.dev/pipelineRun": run, "tekton.dev/pipelineRunUID": uid},
		},
		Spec: corev1.PodSpec{
			NodeName: "lost", AutomountServiceAccountToken: ptr.To(false),
			Containers: []corev1.Container{{Name: "step", Image: "example.com/none"}},
		},
	}, metav1.CreateOptions{})
	c.must(err)
}

// holds says that slot 0 names a run.
func holds(run string) func(history.View) bool {
	return func(v history.View) bool {
		return len(v.Slots) > 0 && v.Slots[0].Holder != nil && v.Slots[0].Holder.Name == run
	}
}

// TestSlotIsKeptUntilThePodsAreGone is case P12, with each choice of when a slot is free, and no
// RunQueue that says anything of it. The pod ignores the end of its run, and stays in the cluster
// although it is told to go.
func TestSlotIsKeptUntilThePodsAreGone(t *testing.T) {
	for release, kept := range map[string]bool{"done": false, "perQueue": false, "podsGone": true} {
		t.Run(release, func(t *testing.T) {
			t.Setenv(config.EnvRelease, release)
			c := newCluster(t)
			key := c.newQueue(1)
			startReplica(t, usualConfig)
			names := c.push(key, "push", 2)
			c.waitFor(key, "start of the first run", stepDeadline, holds(names[0]))
			uid := c.View(key).Slots[0].Holder.UID
			c.waitFor(key, "started run", stepDeadline, viewStarted(1))
			c.createPod(key, names[0], uid)
			pods := c.Kube.CoreV1().Pods(key.Namespace)
			c.must(pods.Delete(c.Context(), names[0]+"-pod", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)}))
			c.finish(key, names[0])
			if kept {
				// Another queue moves on meanwhile, so this one could have.
				other := c.newQueue(1)
				others := c.push(other, "push", 2)
				c.waitFor(other, "start of the first run", stepDeadline, holds(others[0]))
				c.waitFor(other, "started run", stepDeadline, viewStarted(1))
				c.finish(other, others[0])
				c.waitFor(other, "start of the second run", stepDeadline, holds(others[1]))
				if !holds(names[0])(c.View(key)) {
					t.Errorf("the slot is given away while the pod is left: %s", describe(c.View(key)))
				}
				c.must(pods.Delete(c.Context(), names[0]+"-pod", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}))
			}
			c.waitFor(key, "start of the second run", stepDeadline, holds(names[1]))
			c.waitFor(key, "started run", stepDeadline, viewStarted(1))
			c.finish(key, names[1])
			c.waitOver(key)
			c.wantSound(2, key)
			for _, e := range c.events(key) {
				if e.Type == corev1.EventTypeWarning && !strings.Contains(e.Reason, "Pods") {
					t.Errorf("Warning %s: %s", e.Reason, e.Message)
				}
			}
		})
	}
}
