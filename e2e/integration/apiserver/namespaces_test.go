package apiserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// T15: with a wrong pac-namespace, the limit of the global Repository is not seen. The held runs
// prove that there is one: they start one at a time, and a Warning says why.
func TestWrongPACNamespace(t *testing.T) {
	const runs = 3
	c := newCluster(t)
	key := c.newQueue(1)
	c.must(c.SetLimit(t.Context(), key, nil))
	c.push(key, "push", runs)
	startReplica(t, blindConfig)
	warning := c.waitEvent(key, event.ReasonBadRepository, key.Repository)
	if !strings.Contains(warning.Message, "Pipelines-as-Code is not in namespace nowhere") {
		t.Error(warning.Message)
	}
	c.play(20*time.Millisecond, soon)
	c.waitFor(key, "end", queueDeadline, func(v history.View) bool {
		if started := len(v.In(queue.Started)); started > 1 {
			t.Fatalf("%d runs are started at once: %s", started, describe(v))
		}
		return len(v.In(queue.Done)) == runs
	})
}

// P1: where PAC is set to make no git secrets, runs do not wait for them.
func TestRunsWithoutGitSecrets(t *testing.T) {
	const runs = 3
	c := newCluster(t)
	c.must(server.NewNamespace(t.Context(), "pac-without-secrets"))
	_, err := c.Kube.CoreV1().ConfigMaps("pac-without-secrets").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: pac.SettingsName}, Data: map[string]string{"secret-auto-create": "false"},
	}, metav1.CreateOptions{})
	c.must(err)
	key := c.newQueue(2)
	for _, name := range c.push(key, "push", runs) {
		c.must(c.AnnotateRun(t.Context(), key.Namespace, name, map[string]string{keys.SecretCreated: "false"}))
	}
	startReplica(t, secretsConfig)
	c.waitFor(key, "full house before the grace ends", stepDeadline, viewStarted(2))
	c.play(20*time.Millisecond, soon)
	c.waitOver(key)
	c.wantSound(runs, key)
}

// A replica that watches some namespaces works on their queues and on no others. The Repository in
// PAC's own namespace counts in all of them.
func TestWatchNamespaces(t *testing.T) {
	c := newCluster(t)
	first, second, other := c.newQueue(1), c.newQueue(2), c.newQueue(1)
	inherits := c.newQueue(1)
	c.must(c.SetLimit(t.Context(), inherits, nil))
	global := queue.Key{Namespace: "pipelines-as-code", Repository: "pipelines-as-code"}
	c.must(server.NewNamespace(t.Context(), global.Namespace))
	c.must(c.CreateRepository(t.Context(), global, new(1)))
	defer c.PAC.PipelinesascodeV1alpha1().Repositories(global.Namespace).
		Delete(t.Context(), global.Repository, metav1.DeleteOptions{})
	for _, key := range []queue.Key{first, second, other, inherits} {
		c.push(key, "push", 3)
	}
	t.Setenv(config.EnvWatched, first.Namespace+", "+second.Namespace+","+inherits.Namespace)
	startReplica(t, usualConfig)
	for _, key := range []queue.Key{first, inherits} {
		c.waitFor(key, "full house", stepDeadline, viewStarted(1))
	}
	c.waitFor(second, "full house", stepDeadline, viewStarted(2))
	c.play(20*time.Millisecond, soon)
	c.waitOver(first, second, inherits)
	c.wantSound(3, first, second, inherits)
	if v := c.View(other); len(v.In(queue.Pending)) != 3 || len(v.Slots) > 0 {
		t.Errorf("a queue outside the watched namespaces has moved: %s", describe(v))
	}
}
