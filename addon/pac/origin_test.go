package pac_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestOrigin reads what PAC writes. That this is what PAC means is tested against PAC's own code,
// for the webhooks of each provider, in e2e/integration/webhooks. Incoming webhooks, which are
// pushes to PAC (pkg/adapter/incoming.go), and GitLab's "Push" of older versions are known from
// reading alone.
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
		"a tag of GitLab":      {event("Tag Push"), queue.Origin{Trigger: queue.PushTrigger}},
		"an incoming webhook":  {event("incoming"), queue.Origin{Trigger: queue.PushTrigger}},
		"a push with a number": {event("push", number), queue.Origin{Trigger: queue.PushTrigger, PullRequest: "7"}},
		"a label":              {event("pull_request_labeled", number), queue.Origin{Trigger: queue.LabelTrigger, PullRequest: "7"}},
		"a pull request":       {event("pull_request", number), queue.Origin{Trigger: queue.PullRequestTrigger, PullRequest: "7"}},
		"a merge request":      {event("Merge Request", number), queue.Origin{Trigger: queue.PullRequestTrigger, PullRequest: "7"}},
		"/retest of one":       {event("retest-all-comment", number), queue.Origin{Trigger: queue.PullRequestTrigger, PullRequest: "7"}},
		"/retest of a commit":  {event("retest-all-comment"), queue.Origin{Trigger: queue.PushTrigger}},
		"an unknown event":     {event("deployment"), queue.Origin{}},
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

func TestReadFeatures(t *testing.T) {
	for name, tc := range map[string]struct {
		settings map[string]string
		want     pac.Features
	}{
		"nothing": {nil, pac.Features{}},
		"pull requests": {
			map[string]string{"enable-cancel-in-progress-on-pull-requests": "true"},
			pac.Features{CancelInProgress: queue.CancelInProgress{OnPullRequest: true}},
		},
		"pushes": {
			map[string]string{"enable-cancel-in-progress-on-push": " True\n"},
			pac.Features{CancelInProgress: queue.CancelInProgress{OnPush: true}},
		},
		"git secrets":    {map[string]string{"secret-auto-create": "true"}, pac.Features{}},
		"no git secrets": {map[string]string{"secret-auto-create": "False"}, pac.Features{NoSecrets: true}},
		"who knows":      {map[string]string{"secret-auto-create": "no"}, pac.Features{}},
		"neither": {map[string]string{
			"enable-cancel-in-progress-on-pull-requests": "false",
			"enable-cancel-in-progress-on-push":          "yes",
		}, pac.Features{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pac.ReadFeatures(&corev1.ConfigMap{Data: tc.settings}); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

// P7: the settings count from when they were set, which the API server records for each field.
func TestCancelInProgressSince(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 7, 1, 12, 0, second, 0, time.UTC) }
	owner := func(second int, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: "kubectl-edit", Time: &metav1.Time{Time: at(second)}, FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	onPush := `{"f:data":{"f:enable-cancel-in-progress-on-push":{}}}`
	for name, tc := range map[string]struct {
		owners []metav1.ManagedFieldsEntry
		want   time.Time
	}{
		"no record":     {nil, time.Time{}},
		"one owner":     {[]metav1.ManagedFieldsEntry{owner(5, onPush)}, at(5)},
		"two owners":    {[]metav1.ManagedFieldsEntry{owner(7, onPush), owner(5, onPush)}, at(7)},
		"another key":   {[]metav1.ManagedFieldsEntry{owner(5, onPush), owner(9, `{"f:data":{"f:application-name":{}}}`)}, at(5)},
		"annotations":   {[]metav1.ManagedFieldsEntry{owner(5, onPush), owner(9, `{"f:metadata":{"f:annotations":{}}}`)}, at(5)},
		"unreadable":    {[]metav1.ManagedFieldsEntry{owner(9, `[`), owner(5, onPush)}, at(5)},
		"pull requests": {[]metav1.ManagedFieldsEntry{owner(6, `{"f:data":{"f:enable-cancel-in-progress-on-pull-requests":{}}}`)}, at(6)},
		"nothing known": {[]metav1.ManagedFieldsEntry{{Manager: "kubectl-edit"}}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := pac.ReadFeatures(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ManagedFields: tc.owners}}).CancelInProgress.Since
			if !got.Equal(tc.want) {
				t.Errorf("since %s, want %s", got, tc.want)
			}
		})
	}
}
