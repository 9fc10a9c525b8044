package admission

import (
	"context"
	"fmt"
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

func served(path string) hold {
	for _, h := range holds() {
		if h := h.(hold); h.Path() == path {
			return h
		}
	}
	panic(path + " is not served")
}

func admit(object string) *admissionv1.AdmissionResponse {
	return served(Path).Admit(context.Background(), &admissionv1.AdmissionRequest{Object: runtime.RawExtension{Raw: []byte(object)}})
}

// patched is the object as the API server stores it after the response.
func patched(t *testing.T, object string, response *admissionv1.AdmissionResponse) string {
	t.Helper()
	if response.Patch == nil {
		return object
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	result, err := patch.Apply([]byte(object))
	if err != nil {
		t.Fatalf("the patch %s does not apply: %v", response.Patch, err)
	}
	return string(result)
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
			`{"metadata":{"name":"r","annotations":{"a/b":"~1","pipelinesascode.tekton.dev/execution-order":"ns/a,ns/b"}},
			"spec":{"status":"PipelineRunPending"}}`,
			`{"metadata":{"name":"r","annotations":{"a/b":"~1","pac-lease-queue.dev/execution-order":"ns/a,ns/b"}},
			"spec":{"status":"PipelineRunPending"}}`,
		},
		"a newer order replaces the held one": {
			`{"metadata":{"annotations":{
			"pac-lease-queue.dev/execution-order":"ns/a","pipelinesascode.tekton.dev/execution-order":"ns/b"}}}`,
			`{"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":"ns/b"}}}`,
		},
		"a started run is treated alike": {
			`{"metadata":{"annotations":{"pipelinesascode.tekton.dev/execution-order":""}},
			"spec":{},"status":{"startTime":"2026-01-01T00:00:00Z"}}`,
			`{"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":""}},
			"spec":{},"status":{"startTime":"2026-01-01T00:00:00Z"}}`,
		},
		"unknown fields stay": {
			`{"x":{"y":[1,2.5,null]},"metadata":{"annotations":{
			"pipelinesascode.tekton.dev/execution-order":"ns/a"},"future":9007199254740993}}`,
			`{"x":{"y":[1,2.5,null]},"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":"ns/a"},"future":9007199254740993}}`,
		},
		"a held run stays as it is":       {`{"metadata":{"annotations":{"pac-lease-queue.dev/execution-order":"ns/a"}}}`, ""},
		"a run without annotations":       {`{"metadata":{"name":"r"}}`, ""},
		"field names are case-sensitive":  {`{"metadata":{"Annotations":{"pipelinesascode.tekton.dev/execution-order":"ns/a"}}}`, ""},
		"an annotation elsewhere is kept": {`{"spec":{"annotations":{"pipelinesascode.tekton.dev/execution-order":"ns/a"}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response := admit(c.object)
			if !response.Allowed {
				t.Fatalf("refused: %v", response.Result)
			}
			got := patched(t, c.object, response)
			if c.want == "" {
				c.want = c.object
			}
			if diff := cmp.Diff(parsed(t, c.want), parsed(t, got)); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
			if again := admit(got); again.Patch != nil {
				t.Errorf("a second call changes more: %s", again.Patch)
			}
		})
	}
}

func TestAdmitRefusesUnreadableObjects(t *testing.T) {
	for _, object := range []string{``, `[]`, `{"metadata":{"annotations":{"a":1}}}`, `{"metadata":`} {
		bad, good := runtime.RawExtension{Raw: []byte(object)}, runtime.RawExtension{Raw: []byte(`{}`)}
		requests := []*admissionv1.AdmissionRequest{{Object: bad}}
		if object != "" { // that of a new run
			requests = append(requests, &admissionv1.AdmissionRequest{Object: good, OldObject: bad})
		}
		for _, request := range requests {
			request.Namespace, request.Name = "ns", "r"
			for _, path := range []string{Path, CopyPath} {
				response := served(path).Admit(t.Context(), request)
				for _, want := range []string{"the metadata and the status of", "ns/r"} {
					if response.Allowed || !strings.Contains(response.Result.Message, want) {
						t.Errorf("%s of %q: %+v, want a refusal that says %q", path, object, response, want)
					}
				}
			}
		}
	}
}

// Each path decides as its part of the hold: see the tests of package pac.
func TestAdmitByPath(t *testing.T) {
	const run = `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"pipelinesascode.tekton.dev"},
		"annotations":{"pipelinesascode.tekton.dev/repository":"shop","pac-lease-queue.dev/claim":"0/1/0"}},"spec":{"status":"%s"}}`
	request := &admissionv1.AdmissionRequest{
		Object:    runtime.RawExtension{Raw: fmt.Appendf(nil, run, "CancelledRunFinally")},
		OldObject: runtime.RawExtension{Raw: fmt.Appendf(nil, run, "PipelineRunPending")},
	}
	for path, want := range map[string]string{
		Path:     `[{"op":"add","path":"/spec/status","value":"Cancelled"}]`,
		CopyPath: `{"op":"remove","path":"/metadata/annotations/pac-lease-queue.dev~1claim"}`,
	} {
		if response := served(path).Admit(t.Context(), request); !response.Allowed || !strings.Contains(string(response.Patch), want) {
			t.Errorf("%s: %s, want a patch with %s", path, response.Patch, want)
		}
	}
}

// FuzzAdmit compares the webhook with the chart's policy, re-implemented here.
func FuzzAdmit(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"annotations":{"pipelinesascode.tekton.dev/execution-order":"ns/a","k":"v"}}}`,
		`{"metadata":{"annotations":{"pipelinesascode.tekton.dev/execution-order":"a","pac-lease-queue.dev/execution-order":"b"}},
			"x":[{}]}`,
		`{"metadata":{"annotations":null}}`, `{"metadata":{}}`, `{}`, `{"metadata":{"Annotations":{}}}`,
		`{"metadata":{"annotations":{"pipelinesascode.tekton.dev~1execution-order":"ns/a"}}}`,
		"{\"metadata\":{\"annotations\":{\"pipelinesascode.tekton.dev/execution-order\":\"\u2028\\u0000<&>\"}}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, object string) {
		response := admit(object)
		if !response.Allowed {
			if response.Patch != nil || response.Result.Message == "" {
				t.Errorf("a refusal with a patch or without a message: %+v", response)
			}
			return
		}
		want := parsed(t, object)
		policy(want)
		if diff := cmp.Diff(want, parsed(t, patched(t, object, response))); diff != "" {
			t.Errorf("policy and webhook differ (-policy +webhook):\n%s", diff)
		}
	})
}

// policy is the chart's MutatingAdmissionPolicy.
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
	object := `{"metadata":{"annotations":{"` + keys.ExecutionOrder + `":"` + order + `"}},` +
		`"spec":{"pipelineSpec":"` + strings.Repeat("x", 10<<10) + `"}}`
	for b.Loop() {
		if response := admit(object); response.Patch == nil {
			b.Fatal("not held")
		}
	}
}
