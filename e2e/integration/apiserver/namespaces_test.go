package apiserver_test

import (
	"testing"
	"time"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// A replica that watches two namespaces works on the queues of both and of no
// other; what PAC's own namespace says counts in all of them.
func TestWatchNamespaces(t *testing.T) {
	c := newCluster(t)
	first, second, other := c.newQueue(1), c.newQueue(2), c.newQueue(1)
	inherits := c.newQueue(1)
	repositories := c.pac.PipelinesascodeV1alpha1()
	if _, err := repositories.Repositories(inherits.Namespace).Patch(t.Context(), inherits.Repository, types.MergePatchType,
		[]byte(`{"spec":{"concurrency_limit":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	const pacNamespace = "pipelines-as-code"
	if err := server.NewNamespace(t.Context(), pacNamespace); err != nil {
		t.Fatal(err)
	}
	limit := 1
	_, err := repositories.Repositories(pacNamespace).Create(t.Context(), &pacv1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: pacNamespace}, Spec: pacv1alpha1.RepositorySpec{ConcurrencyLimit: &limit},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer repositories.Repositories(pacNamespace).Delete(t.Context(), pacNamespace, metav1.DeleteOptions{})
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
		t.Errorf("a queue that is not watched has moved: %s", describe(v))
	}
}
