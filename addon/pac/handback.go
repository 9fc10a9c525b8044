package pac

import (
	"context"
	"errors"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/typed/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Held lists the queued runs of a namespace ("" is all) whose order PAC does not see: those that
// can be handed back, and those with a malformed order, which would stop PAC's watcher.
func Held(
	ctx context.Context, runs tektonclient.PipelineRunsGetter, namespace string,
) (ordered, malformed []tektonv1.PipelineRun, err error) {
	list := func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return runs.PipelineRuns(namespace).List(ctx, o)
	}
	err = pager.New(list).EachListItem(ctx, metav1.ListOptions{LabelSelector: Selector}, func(o runtime.Object) error {
		pr := o.(*tektonv1.PipelineRun)
		switch run := ReadRun(pr); {
		case run.Phase != queue.Pending || !run.Held():
		case run.Order.Malformed():
			malformed = append(malformed, *pr)
		default:
			ordered = append(ordered, *pr)
		}
		return nil
	})
	return ordered, malformed, err
}

// HandBackRun hands one run back if it is still as observed, and returns [engine.ErrStale] if not.
func HandBackRun(ctx context.Context, runs tektonclient.PipelineRunsGetter, pr *tektonv1.PipelineRun) error {
	written, err := patchRun(ctx, runs, pr.Namespace, ReadRun(pr), handedBack(pr))
	if err != nil {
		return err
	}
	return stillHeld(written)
}

// handedBack returns the patch that makes a run PAC's again. The run has not been trimmed, and its
// order is not malformed.
func handedBack(pr *tektonv1.PipelineRun) map[string]any {
	entries := strings.Split(spelled(pr.Annotations[HeldOrder], pr.Namespace, pr.Name), ",")
	for i := range entries {
		entries[i] = strings.TrimSpace(entries[i])
	}
	annotations := map[string]any{
		keys.ExecutionOrder: strings.Join(entries, ","),
		HeldOrder:           nil, Attempt: nil, NotBefore: nil,
	}
	for _, name := range waiting {
		annotations[name] = nil
	}
	return map[string]any{"metadata": map[string]any{"annotations": annotations}}
}

// stillHeld returns an error if the hold moved the order away again in the same request, which the
// answer shows.
func stillHeld(pr *tektonv1.PipelineRun) error {
	if _, held := pr.Annotations[HeldOrder]; held {
		return errors.New("the hold is in force and has taken the order out of Pipelines-as-Code's sight again: remove the " +
			"hold first (admission.hold of the chart)")
	}
	return nil
}
