package pac

import (
	"context"
	"fmt"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// KueueGroup is the API group of Kueue. A cluster that serves it has Kueue.
const KueueGroup = "kueue.x-k8s.io"

// QueueName is the label by which Kueue takes a run for its own. Kueue reserves quota for every
// pending run that has it, and stops one that runs without its admission.
const QueueName = KueueGroup + "/queue-name"

// kueue reads what a run has to do with Kueue. While a run is pending, a claim on it says that it
// was passed to Kueue: only a pending run that is Kueue's to start gets one.
func kueue(pr *tektonv1.PipelineRun) queue.Kueue {
	is := queue.Kueue{Queue: pr.Labels[QueueName]}
	if is.Queue == "" {
		is.Queue = pr.Annotations[HeldQueueName]
		is.Hidden = is.Queue != ""
		return is
	}
	is.Passed = pr.IsPending() && pr.Annotations[Claim] != ""
	return is
}

// keepQueueName has a trimmed run without labels keep that one.
func keepQueueName(trimmed, pr *tektonv1.PipelineRun) {
	if name, labelled := pr.Labels[QueueName]; labelled {
		trimmed.Labels = map[string]string{QueueName: name}
	}
}

// toKueue adds to the metadata of a patch what shows the run to Kueue, and lets Kueue start it.
func toKueue(run queue.Run, token queue.Token, annotations map[string]any) map[string]any {
	annotations[Claim], annotations[HeldQueueName] = token.String(), nil
	return map[string]any{"annotations": annotations, "labels": map[string]any{QueueName: run.Kueue.Queue}}
}

// HasKueue says whether the API server serves Kueue's API group, by asking for nothing else. An
// error answers nothing.
func HasKueue(ctx context.Context, discovery rest.Interface) (bool, error) {
	err := discovery.Get().AbsPath("/apis", KueueGroup).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for Kueue: %w", err)
	}
	return true, nil
}
