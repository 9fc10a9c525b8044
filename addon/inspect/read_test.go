package inspect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacfake "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned/fake"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
)

// TestReadKeepsLittle: of a run, a look keeps what a replica's cache does, and how it ended,
// whatever else a tenant has written.
func TestReadKeepsLittle(t *testing.T) {
	const much = 200 << 10
	run := func(name, state string) *tektonv1.PipelineRun {
		pr := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ci", Name: name, UID: types.UID("uid-" + name),
			Labels: map[string]string{
				"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev", keys.State: state, keys.Repository: "shop",
			},
			Annotations: map[string]string{keys.Repository: "shop", "example.com/text": strings.Repeat("x", much)},
		}}
		pr.Spec.PipelineSpec = &tektonv1.PipelineSpec{Description: strings.Repeat("x", much)}
		return pr
	}
	waiting, ended := run("waiting", "queued"), run("ended", "completed")
	waiting.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	ended.Status.Conditions = duckv1.Conditions{{
		Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: "PipelineRunTimeout", Message: strings.Repeat("x", much),
	}}
	clients := inspect.Clients{
		Kube: fake.NewClientset(), PAC: pacfake.NewSimpleClientset(),
		Tekton: tektonfake.NewSimpleClientset([]runtime.Object{waiting, ended}...),
	}
	r, err := inspect.Read(t.Context(), clients, inspect.Scope{Namespace: "ci", FinishedOf: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 1 || len(r.Finished) != 1 {
		t.Fatalf("%d runs and %d finished ones were read, want one each", len(r.Runs), len(r.Finished))
	}
	for _, pr := range []*tektonv1.PipelineRun{&r.Runs[0], &r.Finished[0]} {
		if bytes := len(fmt.Sprint(pr)); bytes > much {
			t.Errorf("%d bytes are kept of %s", bytes, pr.Name)
		}
	}
	if outcome := inspect.OutcomeOf(&r.Finished[0]); outcome != "pipelineruntimeout" {
		t.Errorf("the outcome of a run that timed out is %q", outcome)
	}
}
