package history

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// The order of runs that have been handed back is PAC's, which starts two at once in either order.
// Their limit counts all the same, as does the order of those that are held.
func TestReplayOfHandBack(t *testing.T) {
	key := queue.Key{Namespace: "shop", Repository: "shop"}
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		back bool
		want []string
	}{
		"held": {false, []string{
			"I3 run-3 overtook run-1", "I1 run-2 makes 2 started runs, the limit is 1", "I3 run-2 overtook run-1",
		}},
		"handed back": {true, []string{"I1 run-2 makes 2 started runs, the limit is 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Recorder{Lag: Lag}
			at := began
			record := func(object metav1.Object) {
				at = at.Add(time.Minute)
				c := read(object)
				c.at, c.version = at, uint64(len(r.changes))
				r.changes = append(r.changes, c)
			}
			run := func(name, order string, status tektonv1.PipelineRunSpecStatus) {
				record(&tektonv1.PipelineRun{
					ObjectMeta: metav1.ObjectMeta{
						Namespace: key.Namespace, Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(began),
						Annotations: map[string]string{keys.Repository: key.Repository, order: "shop/run-1,shop/run-2,shop/run-3"},
					},
					Spec: tektonv1.PipelineRunSpec{Status: status},
				})
			}
			record(&pacv1alpha1.Repository{
				ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Repository},
				Spec:       pacv1alpha1.RepositorySpec{ConcurrencyLimit: new(1)},
			})
			names := []string{"run-1", "run-2", "run-3"}
			order := pac.HeldOrder
			for _, name := range names {
				run(name, order, tektonv1.PipelineRunSpecStatusPending)
			}
			if tc.back {
				order = keys.ExecutionOrder
				for _, name := range names {
					run(name, order, tektonv1.PipelineRunSpecStatusPending)
				}
			}
			run("run-3", order, "")
			run("run-2", order, "")

			auditor, err := r.Audit(key)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range auditor.Report().Violations {
				got = append(got, v.Invariant+" "+v.What)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}
