package pac_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func labelledForKueue(pr *tektonv1.PipelineRun) {
	pr.Labels = map[string]string{pac.QueueName: "team"}
}

var hiddenFromKueue = annotated(pac.HeldQueueName, "team")

func TestReadKueue(t *testing.T) {
	started := func(pr *tektonv1.PipelineRun) { pr.Spec.Status = "" }
	deleted := func(pr *tektonv1.PipelineRun) { pr.DeletionTimestamp = &metav1.Time{Time: noon} }
	claimed, passed := annotated(pac.Claim, "0/1/0"), queue.Kueue{Queue: "team", Passed: true}
	for name, c := range map[string]struct {
		run  *tektonv1.PipelineRun
		want queue.Kueue
		// phase beside Kueue; without Kueue, all but the started one are pending.
		phase queue.Phase
	}{
		"no label":                  {pipelineRun("build"), queue.Kueue{}, queue.Pending},
		"hidden":                    {pipelineRun("build", hiddenFromKueue), queue.Kueue{Queue: "team", Hidden: true}, queue.Pending},
		"never hidden":              {pipelineRun("build", labelledForKueue), queue.Kueue{Queue: "team"}, queue.Pending},
		"passed":                    {pipelineRun("build", labelledForKueue, claimed), passed, queue.Started},
		"passed and being deleted":  {pipelineRun("build", labelledForKueue, claimed, deleted), passed, queue.Started},
		"hidden and being deleted":  {pipelineRun("build", hiddenFromKueue, deleted), queue.Kueue{}, queue.Done},
		"started by Kueue":          {pipelineRun("build", labelledForKueue, claimed, started), queue.Kueue{Queue: "team"}, queue.Started},
		"passed, with a bad claim":  {pipelineRun("build", labelledForKueue, annotated(pac.Claim, "?")), passed, queue.Started},
		"claimed, without a label":  {pipelineRun("build", claimed), queue.Kueue{}, queue.Pending},
		"hidden and labelled again": {pipelineRun("build", hiddenFromKueue, labelledForKueue), queue.Kueue{Queue: "team"}, queue.Pending},
	} {
		run := pac.ReadRun(c.run)
		if diff := cmp.Diff(c.want, run.Kueue); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if run.Phase == queue.Started && c.run.Spec.Status != "" && c.run.DeletionTimestamp == nil {
			t.Errorf("%s: without Kueue it counts as started", name)
		}
		cached := fromCache(c.run)
		if is := pac.ReadRun(cached); is.Kueue != run.Kueue || is.Phase != run.Phase {
			t.Errorf("%s: from the cache it reads as %+v, %s", name, is.Kueue, is.Phase)
		}
		if got := run.BesideKueue().Phase; got != c.phase {
			t.Errorf("%s: beside Kueue it is %s, want %s", name, got, c.phase)
		}
	}
}

// The writes on a run that Kueue has to do with, and on one that Kueue would have started if it
// were still there.
func TestPatchBesideKueue(t *testing.T) {
	people := func(and map[string]any) map[string]any {
		all := map[string]any{
			pac.Position: nil, pac.QueueLength: nil, pac.Reason: nil, pac.EstimatedStart: nil, pac.Status: nil,
		}
		for key, value := range and {
			all[key] = value
		}
		return all
	}
	passed := []change{labelledForKueue, annotated(pac.Claim, "1/12/2")}
	for name, c := range map[string]struct {
		write  string
		run    *tektonv1.PipelineRun
		beside bool
		want   map[string]any
	}{
		"passed to Kueue": {"start", pipelineRun("build", hiddenFromKueue), true, map[string]any{"metadata": map[string]any{
			"labels": map[string]any{pac.QueueName: "team"},
			"annotations": people(map[string]any{
				pac.Claim: "1/12/2", pac.HeldQueueName: nil, pac.Slot: "1", pac.Replica: "replica-1", pac.Status: "claimed",
				pac.ClaimedAt: "2026-07-01T11:59:58Z", pac.Reason: "waiting for Kueue to admit it",
			}),
		}}},
		"started without Kueue": {"start", pipelineRun("build", hiddenFromKueue), false, map[string]any{
			"metadata": map[string]any{
				"labels": map[string]any{pac.QueueName: nil},
				"annotations": people(map[string]any{
					pac.Claim: "1/12/2", pac.HeldQueueName: nil, pac.Slot: "1", pac.Replica: "replica-1", pac.Status: "started",
					pac.ClaimedAt: "2026-07-01T11:59:58Z", pac.StartedAt: "2026-07-01T12:00:00Z",
				}),
			},
			"spec": map[string]any{"status": nil},
		}},
		"cancelled while it waits for Kueue": {"cancel", pipelineRun("build", passed...), true, map[string]any{
			"metadata": map[string]any{"annotations": people(map[string]any{pac.Reason: "cancelled: superseded by newer"})},
			"spec":     map[string]any{"status": "Cancelled"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			runs, api, _ := newRuns(t, answer(http.StatusOK, c.run))
			run := pac.ReadRun(c.run)
			if c.beside {
				run = run.BesideKueue()
			}
			if err := writes[c.write](t.Context(), runs, run); err != nil {
				t.Fatal(err)
			}
			metadata := c.want["metadata"].(map[string]any)
			metadata["uid"], metadata["resourceVersion"] = "uid-1", "7"
			if diff := cmp.Diff(c.want, api.got()[0].Body); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
}

// Kueue may have been installed since a replica last looked for it, and would stop the run.
func TestStartBesideKueueIsAskedAbout(t *testing.T) {
	timeout := errors.New("timeout")
	for _, c := range []struct {
		is  bool
		err error
		run *tektonv1.PipelineRun
		// want is an error; nil if the run is started.
		want error
	}{
		{run: pipelineRun("build", hiddenFromKueue)},
		{is: true, run: pipelineRun("build", hiddenFromKueue), want: engine.ErrStale},
		{err: timeout, run: pipelineRun("build", hiddenFromKueue), want: timeout},
		{is: true, run: pipelineRun("build")},
	} {
		runs, api, _ := newRunsOf(t, pac.By{
			Clock: clocktesting.NewFakePassiveClock(noon), AskForKueue: func(context.Context) (bool, error) { return c.is, c.err },
		}, answer(http.StatusOK, c.run))
		err := writes["start"](t.Context(), runs, pac.ReadRun(c.run))
		if !errors.Is(err, c.want) || len(api.got()) != map[bool]int{true: 1}[c.want == nil] {
			t.Errorf("Kueue is there: %t, %v: error %v, requests %v", c.is, c.err, err, api.got())
		}
	}
}

// A run that is handed back goes to whoever starts it from then on: PAC would start it without
// Kueue's admission, and Kueue would stop it.
func TestHandBackBesideKueue(t *testing.T) {
	run := pipelineRun("build", annotated(pac.HeldOrder, "shop/build"), hiddenFromKueue)
	gone := map[string]any{
		pac.HeldOrder: nil, pac.Attempt: nil, pac.NotBefore: nil, pac.Arrived: nil, pac.HeldQueueName: nil,
		pac.Status: nil, pac.Position: nil, pac.QueueLength: nil, pac.Reason: nil, pac.EstimatedStart: nil, pac.QueuedAt: nil,
	}
	for _, c := range []struct {
		kueue bool
		key   string
		value string
	}{{true, pac.Claim, "-1/0/0"}, {false, keys.ExecutionOrder, "shop/build"}} {
		runs, api, _ := newRuns(t, inTurn(answer(http.StatusOK, run), answer(http.StatusOK, pipelineRun("build", without(pac.HeldOrder)))))
		read := pac.ReadRun(run)
		if c.kueue {
			read = read.BesideKueue()
		}
		if err := runs.HandBack(t.Context(), shopApp, read); err != nil {
			t.Fatal(err)
		}
		annotations := map[string]any{c.key: c.value}
		for key, value := range gone {
			annotations[key] = value
		}
		want := map[string]any{"metadata": map[string]any{
			"uid": "uid-1", "resourceVersion": "7", "annotations": annotations, "labels": map[string]any{pac.QueueName: "team"},
		}}
		if diff := cmp.Diff(want, api.got()[1].Body); diff != "" {
			t.Errorf("with Kueue: %t (-want +got):\n%s", c.kueue, diff)
		}
	}
}

// P10: see TestKueueStartsWhatHasItsSlot of e2e/integration/admission, which compares policy and
// webhook.
func TestHideFromKueue(t *testing.T) {
	const (
		pacs = `"app.kubernetes.io/managed-by":"pipelinesascode.tekton.dev"`
		team = `"kueue.x-k8s.io/queue-name":"team"`
		shop = `"pipelinesascode.tekton.dev/repository":"shop"`
		held = `"pac-lease-queue.dev/kueue-queue":"team"`
		spec = `"spec":{"status":"PipelineRunPending"}`
	)
	run := func(labels, annotations, rest string) string {
		return `{"metadata":{"labels":{` + labels + `},"annotations":{` + annotations + `}},` + rest + `}`
	}
	for name, c := range map[string]struct{ run, want string }{
		"a queued run":         {run(pacs+","+team, shop, spec), run(pacs, shop+","+held, spec)},
		"no label":             {run(pacs, shop, spec), run(pacs, shop, spec)},
		"one that is hidden":   {run(pacs, shop+","+held, spec), run(pacs, shop+","+held, spec)},
		"one labelled again":   {run(pacs+`,"kueue.x-k8s.io/queue-name":"default"`, shop+","+held, spec), run(pacs, shop+","+held, spec)},
		"one that is to run":   {run(pacs+","+team, shop, `"spec":{}`), run(pacs+","+team, shop, `"spec":{}`)},
		"without a Repository": {run(pacs+","+team, `"a":"b"`, spec), run(pacs+","+team, `"a":"b"`, spec)},
		"of another product":   {run(team, shop, spec), run(team, shop, spec)},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(pac.HideFromKueue(*admitted(t, c.run)))
			if err != nil {
				t.Fatal(err)
			}
			patch, err := jsonpatch.DecodePatch(text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := patch.Apply([]byte(c.run))
			if err != nil {
				t.Fatal(err)
			}
			if !jsonpatch.Equal(got, []byte(c.want)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestHasKueue(t *testing.T) {
	for code, want := range map[int]struct{ has, fails bool }{
		http.StatusOK: {has: true}, http.StatusNotFound: {}, http.StatusForbidden: {fails: true},
		http.StatusServiceUnavailable: {fails: true},
	} {
		path := ""
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path = r.URL.Path
			w.WriteHeader(code)
		}))
		defer server.Close()
		kube, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		has, err := pac.HasKueue(t.Context(), kube.Discovery().RESTClient())
		if has != want.has || (err != nil) != want.fails || path != "/apis/kueue.x-k8s.io" {
			t.Errorf("the API server answers %d to %s: %t, %v", code, path, has, err)
		}
	}
}
