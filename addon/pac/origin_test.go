package pac_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func TestOrigin(t *testing.T) {
	event := func(eventType string, more ...change) []change {
		return append([]change{annotated(keys.EventType, eventType)}, more...)
	}
	number := annotated(keys.PullRequest, "7")
	for name, tc := range map[string]struct {
		changes []change
		want    queue.Origin
	}{
		"nothing":              {nil, queue.Origin{}},
		"a push":               {event("push"), queue.Origin{Trigger: queue.PushTrigger}},
		"a push to GitLab":     {event("Push"), queue.Origin{Trigger: queue.PushTrigger}},
		"a pull request":       {event("pull_request", number), queue.Origin{Trigger: queue.PullRequestTrigger, PullRequest: "7"}},
		"a merge request":      {event("Merge Request", number), queue.Origin{Trigger: queue.PullRequestTrigger, PullRequest: "7"}},
		"/retest of one":       {event("retest-all-comment", number), queue.Origin{Trigger: queue.PullRequestTrigger, PullRequest: "7"}},
		"/retest of a commit":  {event("retest-all-comment"), queue.Origin{Trigger: queue.PushTrigger}},
		"an incoming webhook":  {event("incoming"), queue.Origin{}},
		"the definition":       {[]change{annotated(keys.OriginalPRName, "build")}, queue.Origin{Definition: "build"}},
		"a branch":             {[]change{annotated(keys.SourceBranch, "main")}, queue.Origin{Branch: "main"}},
		"a branch, in full":    {[]change{annotated(keys.SourceBranch, "refs/heads/main")}, queue.Origin{Branch: "main"}},
		"it cancels":           {[]change{annotated(keys.CancelInProgress, "true")}, queue.Origin{CancelInProgress: queue.Yes}},
		"it does not":          {[]change{annotated(keys.CancelInProgress, "false")}, queue.Origin{CancelInProgress: queue.No}},
		"neither true nor not": {[]change{annotated(keys.CancelInProgress, "True")}, queue.Origin{CancelInProgress: queue.No}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, pac.ReadRun(pipelineRun("build", tc.changes...)).Origin); diff != "" {
				t.Errorf("origin (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnding(t *testing.T) {
	for status, want := range map[tektonv1.PipelineRunSpecStatus]bool{
		"": false, tektonv1.PipelineRunSpecStatusPending: false, tektonv1.PipelineRunSpecStatusCancelled: true,
		tektonv1.PipelineRunSpecStatusCancelledRunFinally: true, tektonv1.PipelineRunSpecStatusStoppedRunFinally: true,
	} {
		if got := pac.ReadRun(pipelineRun("build", specStatus(status))).Ending; got != want {
			t.Errorf("with spec.status %q ending is %t", status, got)
		}
	}
}

func TestReadCancelInProgress(t *testing.T) {
	for name, tc := range map[string]struct {
		settings map[string]string
		want     queue.CancelInProgress
	}{
		"nothing": {nil, queue.CancelInProgress{}},
		"pull requests": {
			map[string]string{"enable-cancel-in-progress-on-pull-requests": "true"},
			queue.CancelInProgress{OnPullRequest: true},
		},
		"pushes": {map[string]string{"enable-cancel-in-progress-on-push": " True\n"}, queue.CancelInProgress{OnPush: true}},
		"neither": {map[string]string{
			"enable-cancel-in-progress-on-pull-requests": "false",
			"enable-cancel-in-progress-on-push":          "yes",
		}, queue.CancelInProgress{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pac.ReadCancelInProgress(tc.settings); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}
