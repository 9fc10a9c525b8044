package history

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

const deadline = time.Minute

var cluster *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs}, func(_ context.Context, s *stack.Stack) error {
		cluster = s
		return nil
	}))
}

// Both ways of recording agree, and etcd's goes on while an API server is killed and comes back.
func TestRecordsAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded stack")
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	config := cluster.Config(stack.Admin)
	tekton, err := tektonclient.NewForConfig(config)
	must(err)
	paas, err := pacclient.NewForConfig(config)
	must(err)
	key := queue.Key{Namespace: "shop", Repository: "shop"}
	must(cluster.NewNamespace(ctx, key.Namespace))
	runs := tekton.TektonV1().PipelineRuns(key.Namespace)
	leases := cluster.Kubernetes().CoordinationV1().Leases(key.Namespace)
	create := func(name string) {
		t.Helper()
		_, err := runs.Create(ctx, &tektonv1.PipelineRun{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{keys.Repository: key.Repository}},
			Spec:       tektonv1.PipelineRunSpec{Status: tektonv1.PipelineRunSpecStatusPending},
		}, metav1.CreateOptions{})
		must(err)
	}
	slot := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name:        lease.Name(key.Repository, 0),
		Labels:      map[string]string{"app.kubernetes.io/managed-by": "pac-lease-queue"},
		Annotations: map[string]string{"pac-lease-queue.dev/repository": key.Repository},
	}}

	create("before-the-record")
	fromAPI, err := Record(ctx, config)
	must(err)
	defer fromAPI.Stop()
	fromEtcd, err := RecordEtcd(ctx, cluster.EtcdURL())
	must(err)
	defer fromEtcd.Stop()

	_, err = paas.PipelinesascodeV1alpha1().Repositories(key.Namespace).Create(ctx, &pacv1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: key.Repository}, Spec: pacv1alpha1.RepositorySpec{ConcurrencyLimit: new(2)},
	}, metav1.CreateOptions{})
	must(err)
	create("run-1")
	slot, err = leases.Create(ctx, slot, metav1.CreateOptions{})
	must(err)
	for _, r := range []*Recorder{fromAPI, fromEtcd} {
		must(r.Wait(ctx, key, func(v View) bool { return v.Limit == 2 && len(v.Runs) == 2 && len(v.Slots) == 1 }))
	}

	must(runs.Delete(ctx, "run-1", metav1.DeleteOptions{}))
	slot.Labels = nil // gone, for a watch with a selector
	_, err = leases.Update(ctx, slot, metav1.UpdateOptions{})
	must(err)
	create("run-2")
	for _, r := range []*Recorder{fromAPI, fromEtcd} {
		must(r.Wait(ctx, key, func(v View) bool {
			return len(v.Slots) == 0 && len(v.Runs) == 2 && v.PipelineRuns["run-2"] != nil
		}))
	}
	fromAPI.Stop()
	if diff := cmp.Diff(lines(fromAPI), lines(fromEtcd)); diff != "" {
		t.Errorf("the API server (-) and etcd (+) differ:\n%s", diff)
	}

	must(cluster.Process("kube-apiserver").Restart(ctx))
	create("run-3")
	must(runs.Delete(ctx, "run-2", metav1.DeleteOptions{}))
	must(fromEtcd.Wait(ctx, key, func(v View) bool { return v.PipelineRuns["run-3"] != nil && v.PipelineRuns["run-2"] == nil }))
	must(fromEtcd.Err())
}

// lines lists the changes of a record, in order.
func lines(r *Recorder) []string {
	changes := slices.Clone(r.changes)
	slices.SortFunc(changes, func(a, b change) int { return int(a.version) - int(b.version) })
	var all []string
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%d %s gone %t", c.version, identity(c.object.(runtime.Object), c.object), c.gone))
	}
	return all
}
