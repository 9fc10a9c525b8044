package pac

import (
	"strconv"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// origin reads what PAC has written about where a run comes from
// (pkg/kubeinteraction/labels.go, AddLabelsAndAnnotations).
func origin(annotations map[string]string) queue.Origin {
	o := queue.Origin{
		Definition:  annotations[keys.OriginalPRName],
		Trigger:     trigger(annotations),
		PullRequest: annotations[keys.PullRequest],
		Branch:      strings.TrimPrefix(annotations[keys.SourceBranch], "refs/heads/"),
	}
	if value, said := annotations[keys.CancelInProgress]; said {
		o.CancelInProgress = queue.No // PAC takes everything but "true" for that
		if value == "true" {
			o.CancelInProgress = queue.Yes
		}
	}
	return o
}

// trigger is what PAC calls the trigger target. It does not write that down, but
// the type of the event, which providers spell differently ("push", "Push"), and
// which is the kind of comment for a run that somebody asked for in one
// (pkg/opscomments/comments.go). A comment on a commit counts as a push.
func trigger(annotations map[string]string) queue.Trigger {
	event := annotations[keys.EventType]
	switch {
	case strings.EqualFold(event, "push"):
		return queue.PushTrigger
	case annotations[keys.PullRequest] != "":
		return queue.PullRequestTrigger
	case strings.HasSuffix(event, "-comment"):
		return queue.PushTrigger
	default:
		return queue.OtherTrigger
	}
}

// SettingsName is the ConfigMap with PAC's own settings, in PAC's namespace.
const SettingsName = "pipelines-as-code"

// ReadCancelInProgress reads what PAC does for runs that say nothing themselves
// (pkg/params/settings/config.go). What cannot be read is off, PAC's default.
func ReadCancelInProgress(settings map[string]string) queue.CancelInProgress {
	on := func(key string) bool {
		value, err := strconv.ParseBool(strings.TrimSpace(settings[key]))
		return err == nil && value
	}
	return queue.CancelInProgress{
		OnPullRequest: on("enable-cancel-in-progress-on-pull-requests"),
		OnPush:        on("enable-cancel-in-progress-on-push"),
	}
}
