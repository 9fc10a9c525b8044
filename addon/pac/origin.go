package pac

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/params/triggertype"
	corev1 "k8s.io/api/core/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// origins are the annotations that say where a run comes from.
var origins = []string{keys.OriginalPRName, keys.EventType, keys.PullRequest, keys.SourceBranch}

// origin reads the annotations in which PAC records where a run comes from
// (pkg/kubeinteraction/labels.go, AddLabelsAndAnnotations).
func (f Features) origin(annotations map[string]string) queue.Origin {
	o := queue.Origin{
		Definition:  annotations[keys.OriginalPRName],
		Trigger:     trigger(annotations),
		PullRequest: annotations[keys.PullRequest],
		Branch:      branch(annotations[keys.SourceBranch]),
		Sender:      annotations[keys.Sender],
		Settings:    f.CancelInProgress,
	}
	if value, said := annotations[keys.CancelInProgress]; said {
		o.CancelInProgress = queue.No // PAC reads every value but "true" as false
		if value == "true" {
			o.CancelInProgress = queue.Yes
		}
	}
	return o
}

// trigger derives what PAC calls the trigger target. PAC does not record the target, only the type
// of the event, which each provider spells in its own way (pkg/provider/*/parse_payload.go): "push"
// or "Push", GitLab's "Tag Push", "pull_request" or "Merge Request". An incoming webhook is a push
// to PAC (pkg/adapter/incoming.go). For a run that a user requested in a comment, the type is the
// kind of comment (pkg/opscomments/comments.go), and the target is a push if the comment is on a
// commit. A push may name the pull request that its commit belongs to.
func trigger(annotations map[string]string) queue.Trigger {
	event := annotations[keys.EventType]
	switch {
	case strings.EqualFold(event, "push"), strings.EqualFold(event, "tag push"), event == incoming:
		return queue.PushTrigger
	case event == labeled:
		return queue.LabelTrigger
	case annotations[keys.PullRequest] != "":
		return queue.PullRequestTrigger
	case strings.HasSuffix(event, "-comment"):
		return queue.PushTrigger
	default:
		return queue.OtherTrigger
	}
}

// Types of events (pkg/params/triggertype/types.go).
const (
	incoming = string(triggertype.Incoming)
	labeled  = string(triggertype.PullRequestLabeled)
)

// Features are the settings of one of PAC's controllers that queues depend on. The zero value has
// PAC's defaults.
type Features struct {
	// CancelInProgress is for the runs without a setting of their own.
	CancelInProgress queue.CancelInProgress
	// NoSecrets says that PAC makes no git secrets (secret-auto-create: "false"), so that no run
	// waits for one (pkg/reconciler/reconciler.go, ReconcileKind).
	NoSecrets bool
}

// Keys of PAC's ConfigMap.
const (
	cancelPullRequests = "enable-cancel-in-progress-on-pull-requests"
	cancelPushes       = "enable-cancel-in-progress-on-push"
	secrets            = "secret-auto-create"
)

// ReadFeatures reads the ConfigMap of a controller (pkg/params/settings/config.go). A value that
// cannot be read counts as PAC's default.
func ReadFeatures(settings *corev1.ConfigMap) Features {
	is := func(key string, want bool) bool {
		value, err := strconv.ParseBool(strings.TrimSpace(settings.Data[key]))
		return err == nil && value == want
	}
	return Features{
		CancelInProgress: queue.CancelInProgress{
			OnPullRequest: is(cancelPullRequests, true), OnPush: is(cancelPushes, true),
			Since: lastSet(settings, cancelPullRequests, cancelPushes),
		},
		NoSecrets: is(secrets, false),
	}
}

// lastSet returns when one of the keys was last set, at the latest, according to the record that
// the API server keeps of who owns which field, in seconds; zero if it has none.
func lastSet(cm *corev1.ConfigMap, keys ...string) time.Time {
	var last time.Time
	for _, owner := range cm.ManagedFields {
		var fields struct {
			Data map[string]json.RawMessage `json:"f:data"`
		}
		if owner.Time == nil || owner.FieldsV1 == nil || json.Unmarshal(owner.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		for _, key := range keys {
			if _, owned := fields.Data["f:"+key]; owned && last.Before(owner.Time.Time) {
				last = owner.Time.Time
			}
		}
	}
	return last
}
