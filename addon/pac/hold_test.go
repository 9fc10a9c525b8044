package pac_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// admitted reads a run; an empty text is no run.
func admitted(t *testing.T, object string) *pac.Admitted {
	t.Helper()
	if object == "" {
		return nil
	}
	run := &pac.Admitted{}
	if err := json.Unmarshal([]byte(object), run); err != nil {
		t.Fatal(err)
	}
	return run
}

func TestHold(t *testing.T) {
	const (
		label   = `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"pipelinesascode.tekton.dev"}}`
		waiting = label + `,"spec":{"status":"PipelineRunPending"}}`
		cancel  = `[{"op":"add","path":"/spec/status","value":"Cancelled"}]`
	)
	with := func(annotations map[string]string) string {
		text, err := json.Marshal(annotations)
		if err != nil {
			t.Fatal(err)
		}
		return `{"metadata":{"annotations":` + string(text) + `}}`
	}
	status := func(value string) string { return label + `,"spec":{"status":"` + value + `"}}` }
	moved := func(order string) string {
		return `[{"op":"add","path":"/metadata/annotations/pac-lease-queue.dev~1execution-order","value":"` + order + `"},` +
			`{"op":"remove","path":"/metadata/annotations/pipelinesascode.tekton.dev~1execution-order"}]`
	}
	for name, c := range map[string]struct{ old, run, want string }{
		"no annotations":        {"", with(nil), "null"},
		"others":                {"", with(map[string]string{"a": "b"}), "null"},
		"held already":          {"", with(map[string]string{pac.HeldOrder: "ns/a"}), "null"},
		"an order":              {"", with(map[string]string{keys.ExecutionOrder: "ns/a,ns/b"}), moved("ns/a,ns/b")},
		"an empty order":        {"", with(map[string]string{keys.ExecutionOrder: ""}), moved("")},
		"a malformed order":     {"", with(map[string]string{keys.ExecutionOrder: "no-slash"}), moved("no-slash")},
		"a new order of a held": {"", with(map[string]string{keys.ExecutionOrder: "ns/b", pac.HeldOrder: "ns/a"}), moved("ns/b")},

		"a waiting run is cancelled gracefully":  {waiting, status("CancelledRunFinally"), cancel},
		"a waiting run is stopped gracefully":    {waiting, status("StoppedRunFinally"), cancel},
		"a waiting run is cancelled":             {waiting, status("Cancelled"), "null"},
		"a waiting run is started":               {waiting, label + `,"spec":{}}`, "null"},
		"a running run is cancelled gracefully":  {label + `,"spec":{}}`, status("CancelledRunFinally"), "null"},
		"a run without a spec":                   {label + `}`, status("CancelledRunFinally"), "null"},
		"a waiting run of another product":       {`{"spec":{"status":"PipelineRunPending"}}`, status("CancelledRunFinally"), "null"},
		"a new run that is cancelled gracefully": {"", status("CancelledRunFinally"), "null"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(pac.Hold(admitted(t, c.old), *admitted(t, c.run)))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// P3 and P4: see TestCopyOfARunIsQueued of e2e/integration/admission, which compares policy and
// webhook.
func TestRequeue(t *testing.T) {
	const pacs = `"app.kubernetes.io/managed-by":"pipelinesascode.tekton.dev"`
	for name, c := range map[string]struct{ run, want string }{
		"a copy": {
			`{"metadata":{"labels":{` + pacs + `,"pipelinesascode.tekton.dev/state":"completed"},"annotations":{"other":"stays",
			"pipelinesascode.tekton.dev/repository":"shop","pipelinesascode.tekton.dev/state":"completed",
			"pipelinesascode.tekton.dev/scm-reporting-plr-started":"true","pipelinesascode.tekton.dev/execution-order":"ns/a",
			"pac-lease-queue.dev/claim":"0/1/0","pac-lease-queue.dev/execution-order":"ns/a","pac-lease-queue.dev/a~b":""}},
			"spec":{"params":[]}}`,
			`{"metadata":{"labels":{` + pacs + `,"pipelinesascode.tekton.dev/state":"queued"},"annotations":{"other":"stays",
			"pipelinesascode.tekton.dev/repository":"shop","pipelinesascode.tekton.dev/state":"queued",
			"pac-lease-queue.dev/execution-order":"itself"}},
			"spec":{"params":[],"status":"PipelineRunPending"}}`,
		},
		"a run of another product": {
			`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"tekton"},
			"annotations":{"pipelinesascode.tekton.dev/repository":"shop","pac-lease-queue.dev/claim":"0/1/0"}},"spec":{}}`,
			`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"tekton"},
			"annotations":{"pipelinesascode.tekton.dev/repository":"shop","pac-lease-queue.dev/claim":"0/1/0"}},"spec":{}}`,
		},
		"no Repository": {
			`{"metadata":{"labels":{` + pacs + `},"annotations":{"pac-lease-queue.dev/claim":"0/1/0"}},"spec":{}}`,
			`{"metadata":{"labels":{` + pacs + `},"annotations":{}},"spec":{}}`,
		},
		"no spec": {
			`{"metadata":{"labels":{` + pacs + `},"annotations":{"pipelinesascode.tekton.dev/repository":"shop"}}}`,
			`{"metadata":{"labels":{` + pacs + `},"annotations":{"pipelinesascode.tekton.dev/repository":"shop"}}}`,
		},
		"no annotations": {`{"metadata":{"labels":{` + pacs + `}},"spec":{}}`, `{"metadata":{"labels":{` + pacs + `}},"spec":{}}`},
		"a run that is labelled for a queue": {
			`{"metadata":{"labels":{"pac-lease-queue.dev/queue":"deploy"}},"spec":{}}`,
			`{"metadata":{"labels":{"pac-lease-queue.dev/queue":"deploy"},"annotations":{"pac-lease-queue.dev/execution-order":"itself"}},
			"spec":{"status":"PipelineRunPending"}}`,
		},
		"a rerun of a labelled one": {
			`{"metadata":{"labels":{"pac-lease-queue.dev/queue":"deploy","pac-lease-queue.dev/finished":"true"},
			"annotations":{"pac-lease-queue.dev/claim":"0/1/0","pac-lease-queue.dev/priority":"3"}},"spec":{}}`,
			`{"metadata":{"labels":{"pac-lease-queue.dev/queue":"deploy"},
			"annotations":{"pac-lease-queue.dev/execution-order":"itself","pac-lease-queue.dev/priority":"3"}},
			"spec":{"status":"PipelineRunPending"}}`,
		},
		"a child of a labelled one": {
			`{"metadata":{"labels":{"pac-lease-queue.dev/queue":"deploy"},
			"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","controller":true}]},"spec":{}}`,
			`{"metadata":{"labels":{},"annotations":{},
			"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","controller":true}]},"spec":{}}`,
		},
		"a child": {
			`{"metadata":{"labels":{` + pacs + `},"annotations":{"pipelinesascode.tekton.dev/repository":"shop"},
			"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","controller":true}]},"spec":{}}`,
			`{"metadata":{"labels":{},"annotations":{"pipelinesascode.tekton.dev/repository":"shop"},
			"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","controller":true}]},"spec":{}}`,
		},
		"owned by another kind": {
			`{"metadata":{"labels":{` + pacs + `},"annotations":{"pipelinesascode.tekton.dev/repository":"shop"},
			"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun"},
				{"apiVersion":"x/v1","kind":"PipelineRun","controller":true}]},
			"spec":{"status":"CancelledRunFinally"}}`,
			`{"metadata":{"labels":{` + pacs + `,"pipelinesascode.tekton.dev/state":"queued"},"annotations":{
			"pipelinesascode.tekton.dev/repository":"shop","pipelinesascode.tekton.dev/state":"queued",
			"pac-lease-queue.dev/execution-order":"itself"},
			"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun"},
				{"apiVersion":"x/v1","kind":"PipelineRun","controller":true}]},
			"spec":{"status":"Cancelled"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := []byte(c.run)
			for range 2 { // the API server may ask again after another mutation
				operations := pac.Requeue(*admitted(t, string(got)))
				if len(operations) == 0 {
					break
				}
				text, err := json.Marshal(operations)
				if err != nil {
					t.Fatal(err)
				}
				patch, err := jsonpatch.DecodePatch(text)
				if err != nil {
					t.Fatal(err)
				}
				if got, err = patch.Apply(got); err != nil {
					t.Fatalf("%s does not apply: %v", text, err)
				}
			}
			if diff := cmp.Diff(decoded(t, c.want), decoded(t, string(got))); diff != "" {
				t.Errorf("the run (-want +got):\n%s", diff)
			}
		})
	}
}

func decoded(t *testing.T, object string) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(object), &o); err != nil {
		t.Fatal(err)
	}
	return o
}
