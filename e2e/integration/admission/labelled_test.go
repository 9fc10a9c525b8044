package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// labelled is a PipelineRun as a user of Tekton makes it, for the queue "deploy".
func labelled(namespace, name string) *tektonv1.PipelineRun {
	return &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{pac.QueueLabel: "deploy", "team": "infra"},
		},
		Spec: tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{Name: "deploy"}},
	}
}

// TestLabelledRunIsHeld: any new PipelineRun that names a queue waits, and no other is touched.
func TestLabelledRunIsHeld(t *testing.T) {
	needsCluster(t)
	const pending = "PipelineRunPending"
	type result struct {
		Status              string
		Labels, Annotations map[string]string
	}
	mine := map[string]string{pac.QueueLabel: "deploy", "team": "infra"}
	held1 := map[string]string{pac.HeldOrder: pac.Itself}
	for name, c := range map[string]struct {
		change func(*tektonv1.PipelineRun)
		want   result
	}{
		"a new one": {func(*tektonv1.PipelineRun) {}, result{pending, mine, held1}},
		"with annotations": {
			func(run *tektonv1.PipelineRun) {
				run.Annotations = map[string]string{"other": "stays", pac.Priority: "5"}
			},
			result{pending, mine, map[string]string{pac.HeldOrder: pac.Itself, "other": "stays", pac.Priority: "5"}},
		},
		"with a name to be made": {
			func(run *tektonv1.PipelineRun) { run.GenerateName, run.Name = run.Name+"-", "" }, result{pending, mine, held1},
		},
		"that is pending already": {
			func(run *tektonv1.PipelineRun) { run.Spec.Status = tektonv1.PipelineRunSpecStatusPending }, result{pending, mine, held1},
		},
		"a rerun of a finished one": {
			func(run *tektonv1.PipelineRun) {
				run.Labels[pac.FinishedLabel] = "true"
				run.Annotations = map[string]string{pac.Claim: "0/3/1", pac.Attempt: "1", pac.HeldOrder: pac.Itself, pac.StartedAt: "x"}
			},
			result{pending, mine, held1},
		},
		"that is cancelled": {
			func(run *tektonv1.PipelineRun) { run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelledRunFinally },
			result{"Cancelled", mine, held1},
		},
		"a child of one, which runs in the slot of its parent": {
			func(run *tektonv1.PipelineRun) {
				run.OwnerReferences = []metav1.OwnerReference{{
					APIVersion: "tekton.dev/v1", Kind: "PipelineRun", Name: "parent", UID: "uid", Controller: ptr.To(true),
				}}
			},
			result{"", map[string]string{"team": "infra"}, nil},
		},
		"without a label": {
			func(run *tektonv1.PipelineRun) { delete(run.Labels, pac.QueueLabel) }, result{"", map[string]string{"team": "infra"}, nil},
		},
		"with a label that names nothing": {
			func(run *tektonv1.PipelineRun) { run.Labels[pac.QueueLabel] = "" },
			result{"", map[string]string{pac.QueueLabel: "", "team": "infra"}, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, namespace := range held {
				run := labelled(namespace, "labelled")
				c.change(run)
				made, err := clientsOf(t, tenant()).Tekton.TektonV1().PipelineRuns(namespace).
					Create(t.Context(), run, metav1.CreateOptions{DryRun: all})
				if err != nil {
					t.Errorf("%s: %v", namespace, err)
					continue
				}
				if diff := cmp.Diff(c.want, result{string(made.Spec.Status), made.Labels, made.Annotations}); diff != "" {
					t.Errorf("%s (-want +got):\n%s", namespace, diff)
				}
			}
		})
	}
}

// TestLabelledRunIsGuarded: nobody starts it by hand, or takes it out of its queue, until it is
// done; and the add-on may do with it what it does.
func TestLabelledRunIsGuarded(t *testing.T) {
	needsCluster(t)
	users := map[string]*rest.Config{
		"a tenant": tenant(), "PAC": thePAC(),
		"the add-on": fixture.AsServiceAccount(cluster.Config(stack.Admin), "pac-lease-queue", "pac-lease-queue"),
	}
	const waiting = "waits-for-deploy"
	const ours = byWebhook // where the add-on's own account is the guarded one
	for _, namespace := range []string{guarded, ours, returned} {
		waits := labelled(namespace, waiting)
		waits.Spec.Status, waits.Annotations = tektonv1.PipelineRunSpecStatusPending, map[string]string{pac.HeldOrder: pac.Itself}
		free := labelled(namespace, "free")
		delete(free.Labels, pac.QueueLabel)
		for _, run := range []*tektonv1.PipelineRun{waits, free} {
			fixture.Must(t, clientsOf(t, tenant()).CreateRun(t.Context(), namespace, run))
		}
	}
	for i, c := range []struct {
		by, namespace, run, patch, refused string
	}{
		{"a tenant", guarded, waiting, `{"spec":{"status":null}}`, "is queued by pac-lease-queue for RunQueue deploy and starts by itself"},
		{"PAC", guarded, waiting, `{"spec":{"status":null}}`, "is queued by pac-lease-queue for RunQueue deploy"},
		{"a tenant", guarded, waiting, `{"metadata":{"labels":{"pac-lease-queue.dev/queue":null}}}`, "the limit of RunQueue deploy"},
		{"a tenant", guarded, waiting, `{"metadata":{"labels":{"pac-lease-queue.dev/queue":"x"}}}`, "it keeps pac-lease-queue.dev/queue"},
		{"a tenant", guarded, waiting, `{"metadata":{"labels":{"pac-lease-queue.dev/finished":"true"}}}`, "it keeps pac-lease"},
		{"a tenant", guarded, waiting, `{"metadata":{"annotations":{"pac-lease-queue.dev/claim":"0/1/0"}}}`, "only pac-lease-queue writes"},
		{"a tenant", guarded, waiting, `{"spec":{"status":"Cancelled"}}`, ""},
		{"a tenant", guarded, waiting, `{"metadata":{"labels":{"team":"other"},"annotations":{"note":"x"}}}`, ""},
		{"a tenant", guarded, "free", `{"metadata":{"labels":{"pac-lease-queue.dev/queue":"deploy"}}}`, ""},
		{"a tenant", guarded, "free", `{"spec":{"status":"Cancelled"}}`, ""},
		{"a tenant", returned, waiting, `{"spec":{"status":null}}`, ""}, // nobody else would
		{"the add-on", ours, waiting, `{"spec":{"status":null},"metadata":{"annotations":{"pac-lease-queue.dev/claim":"0/1/0"}}}`, ""},
		{"the add-on", ours, waiting, `{"metadata":{"labels":{"pac-lease-queue.dev/finished":"true"}}}`, ""},
		{"the add-on", ours, waiting, `{"metadata":{"labels":{"pac-lease-queue.dev/queue":null}}}`, "changes no metadata but its own"},
		{"the add-on", ours, "free", `{"metadata":{"annotations":{"pac-lease-queue.dev/status":"x"}}}`, "nor is it labelled for a queue"},
		{"the add-on", ours, "free", `{"metadata":{"labels":{"pac-lease-queue.dev/finished":"true"}}}`, "nor is it labelled for a queue"},
	} {
		_, err := clientsOf(t, users[c.by]).Tekton.TektonV1().PipelineRuns(c.namespace).
			Patch(t.Context(), c.run, types.MergePatchType, []byte(c.patch), metav1.PatchOptions{DryRun: all})
		what := fmt.Sprintf("%d, %s patches %s with %s", i, c.by, c.run, c.patch)
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.refused != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), c.refused)):
			t.Errorf("%s: error %v, want %q", what, err, c.refused)
		}
	}
}

// TestUnheldLabel: a run that would not wait for the queue that it names is refused, whoever has
// added the label after the hold has looked.
func TestUnheldLabel(t *testing.T) {
	needsCluster(t)
	create := func(change func(*tektonv1.PipelineRun)) error {
		run := labelled(guarded, "unheld")
		change(run)
		_, err := clientsOf(t, tenant()).Tekton.TektonV1().PipelineRuns(guarded).
			Create(t.Context(), run, metav1.CreateOptions{DryRun: all})
		return err
	}
	err := create(func(*tektonv1.PipelineRun) {})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "is labelled for the queue deploy, and would not wait for it") {
		t.Errorf("a run that is not held: error %v", err)
	}
	for _, status := range []tektonv1.PipelineRunSpecStatus{
		tektonv1.PipelineRunSpecStatusPending, tektonv1.PipelineRunSpecStatusCancelled,
	} {
		if err := create(func(run *tektonv1.PipelineRun) { run.Spec.Status = status }); err != nil {
			t.Errorf("status %s: %v", status, err)
		}
	}
	if err := create(func(run *tektonv1.PipelineRun) { delete(run.Labels, pac.QueueLabel) }); err != nil {
		t.Errorf("without the label: %v", err)
	}
}

// TestLabelOfPACsRun: one of PAC's runs is in the queue of its Repository, whatever its label says.
func TestLabelOfPACsRun(t *testing.T) {
	needsCluster(t)
	for _, namespace := range held {
		run := labelled(namespace, "both")
		run.Labels[managedBy] = "pipelinesascode.tekton.dev"
		run.Annotations = map[string]string{keys.Repository: "shop"}
		made, err := clientsOf(t, thePAC()).Tekton.TektonV1().PipelineRuns(namespace).
			Create(t.Context(), run, metav1.CreateOptions{DryRun: all})
		fixture.Must(t, err)
		if key, _ := pac.KeyOf(made); key.Repository != "shop" || made.Spec.Status != "" {
			t.Errorf("%s: it is of queue %s, with status %q", namespace, key, made.Spec.Status)
		}
	}
}
