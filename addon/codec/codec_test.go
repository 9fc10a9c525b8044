package codec

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// object is a run as the API server writes it: the keys are sorted.
func object(name string) string {
	task := tektonv1.PipelineTask{Name: "build", TaskSpec: &tektonv1.EmbeddedTask{TaskSpec: tektonv1.TaskSpec{
		Steps: []tektonv1.Step{{Name: "make", Image: "example.com/builder", Script: strings.Repeat("make \"all\"\n", 40)}},
	}}}
	run := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", UID: "uid", ResourceVersion: "7", Labels: map[string]string{}, Annotations: map[string]string{},
		},
		Spec: tektonv1.PipelineRunSpec{
			Status: tektonv1.PipelineRunSpecStatusPending, PipelineSpec: &tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{task, task}},
		},
	}
	for i := range 30 {
		run.Labels[fmt.Sprintf("pipelinesascode.tekton.dev/label-%d", i)] = "value"
		run.Annotations[fmt.Sprintf("pipelinesascode.tekton.dev/annotation-%d", i)] = strings.Repeat("value ", 8)
	}
	var sorted map[string]any
	text, err := json.Marshal(run)
	if err == nil {
		err = json.Unmarshal(text, &sorted)
	}
	if err == nil {
		text, err = json.Marshal(sorted)
	}
	if err != nil {
		panic(err)
	}
	return string(text)
}

func event(kind, object string) string { return fmt.Sprintf(`{"type":%q,"object":%s}`, kind, object) }

const (
	mark = `{"kind":"PipelineRun","apiVersion":"tekton.dev/v1","metadata":{"resourceVersion":"9","creationTimestamp":null}}`
	list = `{"apiVersion":"tekton.dev/v1","items":[%s],"kind":"PipelineRunList","metadata":{"resourceVersion":"9"}}`
	gone = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Expired","code":410}`
)

// TestInterpret: the kind is that which client-go reads, or what cannot be read is refused by both.
func TestInterpret(t *testing.T) {
	long := strings.Repeat("x", mostText)
	for name, data := range map[string]string{
		"a run":                       object("build-1"),
		"an event":                    event("ADDED", object("build-1")),
		"a bookmark":                  event("BOOKMARK", mark),
		"an error":                    event("ERROR", gone),
		"a status":                    gone,
		"a list":                      fmt.Sprintf(list, ""),
		"of the core group":           `{"apiVersion":"v1","kind":"Pod"}`,
		"with spaces":                 `{ "apiVersion": "tekton.dev/v1", "kind": "PipelineRun" }`,
		"with something escaped":      `{"apiVersion":"tekton.dev\/v1","kind":"Pipeline\u0052un"}`,
		"with a long version":         `{"apiVersion":"` + long + `/v1","kind":"PipelineRun"}`,
		"without a kind":              `{"apiVersion":"tekton.dev/v1","metadata":{}}`,
		"with a kind that is no text": `{"apiVersion":"tekton.dev/v1","kind":7}`,
		"with a type of its own":      `{"type":"Opaque","kind":"Secret","apiVersion":"v1"}`,
		"no version":                  `{"apiVersion":"a/b/c","kind":"PipelineRun"}`,
		"nothing":                     ``,
		"cut in the version":          `{"apiVersion":"tekton.dev`,
		"cut before the kind":         `{"apiVersion":"tekton.dev/v1","kin`,
		"cut in the kind":             `{"apiVersion":"tekton.dev/v1","kind":"Pipeli`,
		"cut in the type":             `{"type":"ADD`,
	} {
		t.Run(name, func(t *testing.T) {
			want, wrong := kjson.DefaultMetaFactory.Interpret([]byte(data))
			got, err := kinds{}.Interpret([]byte(data))
			if (err != nil) != (wrong != nil) {
				t.Fatalf("error %v, want %v", err, wrong)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("kind (-client-go +got):\n%s", diff)
			}
		})
	}
}

// FuzzInterpret: whatever an object is called, its kind is that which client-go reads.
func FuzzInterpret(f *testing.F) {
	f.Add("tekton.dev/v1", "PipelineRun", "build-1")
	f.Add(`a"b/v1`, `Pipeline\Run`, "\x00\xff")
	f.Fuzz(func(t *testing.T, version, kind, name string) {
		text, err := json.Marshal(map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}})
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range []string{string(text), event(name, string(text))} {
			want, wrong := kjson.DefaultMetaFactory.Interpret([]byte(data))
			got, err := kinds{}.Interpret([]byte(data))
			if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (wrong != nil) {
				t.Errorf("%s: error %v, want %v; kind (-client-go +got):\n%s", data, err, wrong, diff)
			}
		}
	})
}

// serve is an API server that answers every request with the same.
func serve(t testing.TB, answer string) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

// clients are client-go's and one that decodes as this package does.
func clients(t testing.TB, config *rest.Config) map[string]tektonclient.Interface {
	t.Helper()
	usual, err := tektonclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	own, err := rest.RESTClientFor(For(config, tektonv1.SchemeGroupVersion, scheme.Scheme))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]tektonclient.Interface{"client-go": usual, "codec": tektonclient.New(own)}
}

// TestWatch: a watch shows the same events as client-go's, and a list and a refusal are the same.
func TestWatch(t *testing.T) {
	stream := strings.Join([]string{
		event("ADDED", object("build-1")), event("MODIFIED", object("build-2")), event("DELETED", object("build-3")),
		event("BOOKMARK", mark),
		event("ERROR", gone),
	}, "\n")
	seen := map[string][]watch.Event{}
	for name, client := range clients(t, serve(t, stream)) {
		w, err := client.TektonV1().PipelineRuns("shop").Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for e := range w.ResultChan() {
			seen[name] = append(seen[name], e)
		}
	}
	if diff := cmp.Diff(seen["client-go"], seen["codec"]); diff != "" || len(seen["codec"]) != 5 {
		t.Errorf("%d events (-client-go +got):\n%s", len(seen["codec"]), diff)
	}
	lists := map[string]*tektonv1.PipelineRunList{}
	for name, client := range clients(t, serve(t, fmt.Sprintf(list, object("build-1")))) {
		var err error
		if lists[name], err = client.TektonV1().PipelineRuns("shop").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(lists["client-go"], lists["codec"]); diff != "" || len(lists["codec"].Items) != 1 {
		t.Errorf("list (-client-go +got):\n%s", diff)
	}
}

// BenchmarkWatch decodes the runs of a watch, beside client-go.
func BenchmarkWatch(b *testing.B) {
	const runs = 500
	stream := strings.Repeat(event("ADDED", object("build-1"))+"\n", runs)
	for name, client := range clients(b, serve(b, stream)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w, err := client.TektonV1().PipelineRuns("shop").Watch(b.Context(), metav1.ListOptions{})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for range w.ResultChan() {
					n++
				}
				if n != runs {
					b.Fatalf("%d events, want %d", n, runs)
				}
			}
		})
	}
}
