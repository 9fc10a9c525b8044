package admission

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

func ask(object string) *admissionv1.AdmissionResponse {
	return hold{}.Admit(context.Background(), &admissionv1.AdmissionRequest{Object: runtime.RawExtension{Raw: []byte(object)}})
}

// written is what the API server makes of an object with the answer.
func written(t *testing.T, object string, answer *admissionv1.AdmissionResponse) string {
	t.Helper()
	if answer.Patch == nil {
		return object
	}
	patch, err := jsonpatch.DecodePatch(answer.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply([]byte(object))
	if err != nil {
		t.Fatalf("the patch %s does not apply: %v", answer.Patch, err)
	}
	return string(patched)
}

func parsed(t *testing.T, object string) (o map[string]any) {
	t.Helper()
	if err := utiljson.Unmarshal([]byte(object), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAdmit(t *testing.T) {
	for name, c := range map[string]struct{ object, want string }{
		"an order is moved": {
			`{"metadata":{"name":"r","annotations":{"a/b":"~1","pipelinesascode.tekton.dev/execution-order":"ns/a,ns/b"}},"spec":{"status":"PipelineRunPending"}}`,
			`{"metadata":{"name":"r","annotations":{"a/b":"~1","pac-lease-queue.dev/execution-order":"ns/a,ns/b"}},"spec":{"status":"PipelineRunPending"}}`,
		},
		"a newer one replaces the held one": {
			`{"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":"ns/a","pipelinesascode.tekton.dev/execution-order":"ns/b"}}}`,
			`{"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":"ns/b"}}}`,
		},
		"a started run is no exception": {
			`{"metadata":{"annotations":{"pipelinesascode.tekton.dev/execution-order":""}},"spec":{},"status":{"startTime":"2026-01-01T00:00:00Z"}}`,
			`{"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":""}},"spec":{},"status":{"startTime":"2026-01-01T00:00:00Z"}}`,
		},
		"what nobody knows stays": {
			`{"x":{"y":[1,2.5,null]},"metadata":{"annotations":{"pipelinesascode.tekton.dev/execution-order":"ns/a"},"future":9007199254740993}}`,
			`{"x":{"y":[1,2.5,null]},"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":"ns/a"},"future":9007199254740993}}`,
		},
		"a held run stays as it is":      {`{"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":"ns/a"}}}`, ""},
		"a run without annotations too":  {`{"metadata":{"name":"r"}}`, ""},
		"names tell upper from lower":    {`{"metadata":{"Annotations":{"pipelinesascode.tekton.dev/execution-order":"ns/a"}}}`, ""},
		"an annotation elsewhere is not": {`{"spec":{"annotations":{"pipelinesascode.tekton.dev/execution-order":"ns/a"}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer := ask(c.object)
			if !answer.Allowed {
				t.Fatalf("refused: %v", answer.Result)
			}
			got := written(t, c.object, answer)
			if c.want == "" {
				c.want = c.object
			}
			if diff := cmp.Diff(parsed(t, c.want), parsed(t, got)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			if again := ask(got); again.Patch != nil {
				t.Errorf("asked again it changes more: %s", again.Patch)
			}
		})
	}
}

func TestAdmitRefusesWhatItCannotRead(t *testing.T) {
	for _, object := range []string{``, `[]`, `{"metadata":{"annotations":{"a":1}}}`, `{"metadata":`} {
		answer := hold{}.Admit(t.Context(), &admissionv1.AdmissionRequest{Namespace: "ns", Name: "r", Object: runtime.RawExtension{Raw: []byte(object)}})
		if answer.Allowed || !strings.Contains(answer.Result.Message, "annotations of") || !strings.Contains(answer.Result.Message, "ns/r") {
			t.Errorf("%q: %+v, want a refusal that names the run", object, answer)
		}
	}
}

// FuzzAdmit checks the answer against the policy of the chart, spelled out.
func FuzzAdmit(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"annotations":{"pipelinesascode.tekton.dev/execution-order":"ns/a","k":"v"}}}`,
		`{"metadata":{"annotations":{"pipelinesascode.tekton.dev/execution-order":"a","pac-lease-queue.dev/execution-order":"b"}},"x":[{}]}`,
		`{"metadata":{"annotations":null}}`, `{"metadata":{}}`, `{}`, `{"metadata":{"Annotations":{}}}`,
		`{"metadata":{"annotations":{"pipelinesascode.tekton.dev~1execution-order":"ns/a"}}}`,
		"{\"metadata\":{\"annotations\":{\"pipelinesascode.tekton.dev/execution-order\":\"\u2028\\u0000<&>\"}}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, object string) {
		answer := ask(object)
		if !answer.Allowed {
			if answer.Patch != nil || answer.Result.Message == "" {
				t.Errorf("a refusal with a patch or without a reason: %+v", answer)
			}
			return
		}
		want := parsed(t, object)
		policy(want)
		if diff := cmp.Diff(want, parsed(t, written(t, object, answer))); diff != "" {
			t.Errorf("not what the policy makes of it (-policy +webhook):\n%s", diff)
		}
	})
}

// policy is the MutatingAdmissionPolicy of the chart.
func policy(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if order, present := annotations[keys.ExecutionOrder]; present {
		moved := maps.Clone(annotations)
		moved[pac.HeldOrder] = order
		delete(moved, keys.ExecutionOrder)
		metadata["annotations"] = moved
	}
}

func BenchmarkAdmit(b *testing.B) {
	order := strings.Repeat("a-namespace-of-usual-length/a-run-of-usual-length-x7k2p,", 40)
	object := `{"metadata":{"annotations":{"` + keys.ExecutionOrder + `":"` + order + `"}},"spec":{"pipelineSpec":"` + strings.Repeat("x", 10<<10) + `"}}`
	for b.Loop() {
		if answer := ask(object); answer.Patch == nil {
			b.Fatal("not held")
		}
	}
}
