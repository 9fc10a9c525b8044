package webhooks_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// event is what PAC makes of a webhook, as the program says it.
type event struct {
	Provider, Type, Target, Branch, Sender, Reason string
	PullRequest                                    int
	Runs                                           []map[string]string
}

// What PAC has in memory when it makes a run is what the add-on reads from the run's annotations.
func TestOriginIsWhatPACHasInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Pipelines-as-Code")
	}
	versions, err := build.Pinned(build.ModulePAC)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			webhooks := all()
			for i, is := range parse(t, version, webhooks) {
				w := webhooks[i]
				t.Run(strings.ReplaceAll(w.provider+"/"+w.event+"/"+w.name, " ", "_"), func(t *testing.T) { compare(t, w, is) })
			}
		})
	}
}

func compare(t *testing.T, w webhook, is event) {
	if is.Type != w.want || is.PullRequest != w.of || (len(is.Runs) == 0) != w.none {
		t.Fatalf("PAC makes %d runs of a %q of pull request %d (%s), the table says %q of %d",
			len(is.Runs), is.Type, is.PullRequest, is.Reason, w.want, w.of)
	}
	want := queue.Origin{Branch: strings.TrimPrefix(is.Branch, "refs/heads/"), Sender: is.Sender}
	if is.PullRequest != 0 {
		want.PullRequest = strconv.Itoa(is.PullRequest)
	}
	switch {
	case is.Target == "push":
		want.Trigger = queue.PushTrigger
	case is.Target == "pull_request" && is.Type == "pull_request_labeled":
		want.Trigger = queue.LabelTrigger
	case is.Target == "pull_request":
		want.Trigger = queue.PullRequestTrigger
	}
	for _, annotations := range is.Runs {
		want.Definition = annotations[keys.OriginalPRName]
		run := pac.ReadRun(&tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "run", Annotations: annotations}})
		if diff := cmp.Diff(want, run.Origin); diff != "" {
			t.Errorf("the origin of a run whose event has the target %q in PAC (-want +got):\n%s\nits annotations: %v",
				is.Target, diff, annotations)
		}
	}
}

// definitions are what is in .tekton: a run for every push and pull request, one for a label and
// one for a comment.
func definitions() (all []*tektonv1.PipelineRun) {
	for name, annotations := range map[string]map[string]string{
		"build":  {keys.OnEvent: "[push, pull_request]", keys.OnTargetBranch: "[main, refs/tags/*]"},
		"triage": {keys.OnEvent: "[pull_request]", keys.OnTargetBranch: "[main]", keys.OnLabel: "[bug]"},
		"deploy": {keys.OnComment: "^/deploy"},
	} {
		all = append(all, &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}})
	}
	return all
}

// parse has PAC's code of a version say what it makes of webhooks.
func parse(t *testing.T, version string, webhooks []webhook) (events []event) {
	t.Helper()
	repository := v1alpha1.Repository{
		TypeMeta:   metav1.TypeMeta{APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository"},
		ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "shop"},
		Spec:       v1alpha1.RepositorySpec{URL: projectURL},
	}
	world := httptest.NewServer(world(t, repository))
	defer world.Close()
	in := object{"repository": repository, "pipelineRuns": definitions()}
	var sent []object
	for _, w := range webhooks {
		sent = append(sent, object{"header": object{w.header: w.event}, "payload": w.payload})
	}
	in["webhooks"] = sent
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := build.Versions{PAC: version}.Beside(t.Context(), build.ModulePAC, "run", "./webhooks", "-server", world.URL)
	if err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &problems)
	}
	if err := json.Unmarshal(out.Bytes(), &events); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	if len(events) != len(webhooks) {
		t.Fatalf("%d events of %d webhooks", len(events), len(webhooks))
	}
	return events
}

// world answers what PAC asks of Kubernetes and of GitHub and GitLab, whose webhooks do not say it.
func world(t *testing.T, repository v1alpha1.Repository) http.Handler {
	commit := object{"sha": mainHead, "id": mainHead}
	const gitHub, gitLab = "GET /api/v3/repos/shop/app/", "GET /api/v4/projects/1/repository/"
	mux := http.NewServeMux()
	for pattern, answer := range map[string]any{
		"GET /apis/pipelinesascode.tekton.dev/v1alpha1/repositories": v1alpha1.RepositoryList{
			TypeMeta: metav1.TypeMeta{APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "RepositoryList"},
			Items:    []v1alpha1.Repository{repository},
		},
		"GET /apis/tekton.dev/v1/namespaces/shop/pipelineruns": tektonv1.PipelineRunList{
			TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "PipelineRunList"}, Items: []tektonv1.PipelineRun{},
		},
		gitHub + "pulls/7":                                         gitHubPull(),
		gitHub + "commits/" + mainHead + "/pulls":                  []object{},
		gitHub + "commits/" + merged + "/pulls":                    []object{with(gitHubPull(), object{"state": "closed"})},
		gitHub + "git/commits/" + mainHead:                         commit,
		gitHub + "branches/main":                                   object{"name": "main", "commit": commit},
		gitHub + "commits/{sha}/status":                            object{"statuses": []object{}},
		gitHub + "commits/{sha}/statuses":                          []object{},
		gitHub + "commits/{sha}/check-runs":                        object{"check_runs": []object{}},
		gitLab + "branches/main":                                   object{"name": "main", "commit": commit},
		gitLab + "commits/{sha}/statuses":                          []object{},
		"GET /api/v4/projects/2/repository/commits/{sha}/statuses": []object{},
		"/": nil,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if answer == nil {
				t.Logf("PAC also asks %s %s", r.Method, r.URL)
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				t.Errorf("%s: %v", r.URL, err)
			}
		})
	}
	return mux
}
