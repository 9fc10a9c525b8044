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

// Held lists, of one namespace or all, the runs that wait where PAC does not see
// them: those that can be handed back, and those whose order nobody can read,
// which would stop PAC's watcher.
func Held(ctx context.Context, runs tektonclient.PipelineRunsGetter, namespace string) (readable, unreadable []tektonv1.PipelineRun, err error) {
	list := func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return runs.PipelineRuns(namespace).List(ctx, o)
	}
	err = pager.New(list).EachListItem(ctx, metav1.ListOptions{LabelSelector: Selector}, func(o runtime.Object) error {
		pr := o.(*tektonv1.PipelineRun)
		switch run := ReadRun(pr); {
		case run.Phase != queue.Pending || !run.Held():
		case run.Order.Malformed():
			unreadable = append(unreadable, *pr)
		default:
			readable = append(readable, *pr)
		}
		return nil
	})
	return readable, unreadable, err
}

// HandBackRun hands one run back, on the condition that it is as observed;
// [engine.ErrStale] if it is not.
func HandBackRun(ctx context.Context, runs tektonclient.PipelineRunsGetter, pr *tektonv1.PipelineRun) error {
	run := ReadRun(pr)
	written, err := patchRun(ctx, runs, pr.Namespace, run, handedBack(pr.Namespace, run.Sequence()))
	if err != nil {
		return err
	}
	return stillHeld(written)
}

// handedBack is the change that makes a run PAC's again.
func handedBack(namespace string, sequence *queue.Sequence) map[string]any {
	var entries []string
	for _, name := range sequence.Names() {
		entries = append(entries, namespace+"/"+name)
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

// stillHeld: with the hold in force the order is moved away again in the same
// request. The answer tells.
func stillHeld(pr *tektonv1.PipelineRun) error {
	if _, held := pr.Annotations[HeldOrder]; held {
		return errors.New("the hold is in force and takes the run out of Pipelines-as-Code's sight again: remove the hold first (admission.hold of the chart)")
	}
	return nil
}
