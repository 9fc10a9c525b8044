package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// way brings an order to a run, and returns the run as it is then.
type way func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error)

// ways are all the ways in which an order may come to a run, and requests that look like one.
var ways = map[string]way{
	"created with an order": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return create(ctx, namespace, newRun(name, map[string]string{keys.ExecutionOrder: "ns/a,ns/b", "other": "stays"}))
	},
	"created without an order": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return create(ctx, namespace, newRun(name, nil))
	},
	"created with an empty order": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return create(ctx, namespace, newRun(name, map[string]string{keys.ExecutionOrder: ""}))
	},
	"created with an order and a held order": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return create(ctx, namespace, newRun(name, map[string]string{keys.ExecutionOrder: "ns/a", pac.HeldOrder: "ns/b"}))
	},
	"merge patch, as PAC sends it": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return patched(ctx, namespace, name, types.MergePatchType, annotate(keys.ExecutionOrder, "ns/a,ns/b"))
	},
	"JSON patch": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return patched(ctx, namespace, name, types.JSONPatchType,
			`[{"op":"add","path":"/metadata/annotations","value":{"`+keys.ExecutionOrder+`":"ns/\"a\" é \\u2028"}}]`)
	},
	"patched twice": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return patched(ctx, namespace, name, types.MergePatchType,
			annotate(keys.ExecutionOrder, "ns/a"), annotate(keys.ExecutionOrder, "ns/b"))
	},
	"patched after its start": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return patched(ctx, namespace, name, types.MergePatchType,
			`{"spec":{"status":null}}`, annotate(keys.ExecutionOrder, "ns/a"))
	},
	"removed again": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return patched(ctx, namespace, name, types.MergePatchType,
			annotate(keys.ExecutionOrder, "ns/a"), `{"metadata":{"annotations":null}}`)
	},
	"another annotation": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		return patched(ctx, namespace, name, types.MergePatchType, annotate("other", "ns/a"))
	},
	"updated": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		run, err := create(ctx, namespace, newRun(name, map[string]string{"other": "stays"}))
		if err != nil {
			return nil, err
		}
		run.Annotations[keys.ExecutionOrder] = "ns/a"
		return tekton.TektonV1().PipelineRuns(namespace).Update(ctx, run, metav1.UpdateOptions{})
	},
	"update of the status": func(ctx context.Context, namespace, name string) (*tektonv1.PipelineRun, error) {
		run, err := create(ctx, namespace, newRun(name, nil))
		if err != nil {
			return nil, err
		}
		run.Annotations = map[string]string{keys.ExecutionOrder: "ns/a"} // dropped by the API server
		run.Status.PipelineSpec = &tektonv1.PipelineSpec{Description: "so"}
		return tekton.TektonV1().PipelineRuns(namespace).UpdateStatus(ctx, run, metav1.UpdateOptions{})
	},
}

func annotate(key, value string) string {
	body, _ := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	return string(body)
}

// patched creates a run without an order and applies patches to it.
func patched(
	ctx context.Context, namespace, name string, kind types.PatchType, patches ...string,
) (run *tektonv1.PipelineRun, err error) {
	if run, err = create(ctx, namespace, newRun(name, nil)); err != nil {
		return nil, err
	}
	runs := tekton.TektonV1().PipelineRuns(namespace)
	for _, patch := range patches {
		if run, err = runs.Patch(ctx, name, kind, []byte(patch), metav1.PatchOptions{}); err != nil {
			return nil, err
		}
	}
	return run, nil
}

func TestWebhookDoesWhatThePolicyDoes(t *testing.T) {
	needsCluster(t)
	if !slices.Contains(held, byPolicy) {
		t.Skip("the API server has no such policies")
	}
	i := 0
	for name, way := range ways {
		i++
		run := fmt.Sprintf("way-%d", i)
		t.Run(name, func(t *testing.T) {
			want, got := outcome(t, way, byPolicy, run), outcome(t, way, byWebhook, run)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the run (-policy +webhook):\n%s", diff)
			}
			if _, exists := got.Annotations[keys.ExecutionOrder]; exists {
				t.Error("the order is where Pipelines-as-Code looks for it")
			}
		})
	}
}

// outcome returns the run without the fields that differ between any two runs.
func outcome(t *testing.T, way way, namespace, name string) *tektonv1.PipelineRun {
	t.Helper()
	run, err := way(t.Context(), namespace, name)
	if err != nil {
		t.Fatalf("%s: %v", namespace, err)
	}
	run = run.DeepCopy()
	run.ObjectMeta = metav1.ObjectMeta{Name: run.Name, Labels: run.Labels, Annotations: run.Annotations, Generation: run.Generation}
	return run
}

func TestDryRunIsHeldAndLeavesNothing(t *testing.T) {
	needsCluster(t)
	run, err := create(t.Context(), byWebhook, newRun("dry", map[string]string{keys.ExecutionOrder: "ns/a"}), metav1.DryRunAll)
	if err != nil {
		t.Fatal(err)
	}
	if run.Annotations[pac.HeldOrder] != "ns/a" {
		t.Errorf("the order is not held: %v", run.Annotations)
	}
	if _, err := tekton.TektonV1().PipelineRuns(byWebhook).Get(t.Context(), "dry", metav1.GetOptions{}); err == nil {
		t.Error("the run was persisted")
	}
}

// BenchmarkOrder measures the cost of an order at admission, by the kind of hold: one PATCH of the
// annotation as PAC sends it, not persisted.
func BenchmarkOrder(b *testing.B) {
	for _, c := range []struct{ name, namespace string }{{"not-held", unheld}, {"policy", byPolicy}, {"webhook", byWebhook}} {
		b.Run(c.name, func(b *testing.B) {
			if c.namespace != unheld && !slices.Contains(held, c.namespace) {
				b.Skip("the API server has no such policies")
			}
			ctx := b.Context()
			name := fmt.Sprintf("bench-%d", b.N)
			if _, err := create(ctx, c.namespace, newRun(name, nil)); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = tekton.TektonV1().PipelineRuns(c.namespace).Delete(ctx, name, metav1.DeleteOptions{}) }()
			patch, dryRun := []byte(annotate(keys.ExecutionOrder, "ns/a,ns/b")), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}
			for b.Loop() {
				_, err := tekton.TektonV1().PipelineRuns(c.namespace).Patch(ctx, name, types.MergePatchType, patch, dryRun)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
