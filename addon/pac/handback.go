package pac

import (
	"context"
	"errors"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/typed/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Held is a queued run whose order PAC does not see, with no more of it than a hand-back needs.
type Held struct {
	Namespace, Name string
	// Malformed says that the order would stop PAC's watcher, so that the run stays as it is.
	Malformed bool

	run   queue.Run
	patch map[string]any
}

// HandBack makes the run PAC's again if it is still as observed, and returns [engine.ErrStale] if
// not.
func (h Held) HandBack(ctx context.Context, runs tektonclient.PipelineRunsGetter) error {
	written, err := patchRun(ctx, runs, h.Namespace, h.run, h.patch)
	if err != nil {
		return err
	}
	return stillHeld(written)
}

// EachHeld calls do for each of them in a namespace ("" is all), page by page, until it returns
// false. kueue says that the cluster has Kueue, which then gets the runs that are labelled for it.
func EachHeld(ctx context.Context, runs tektonclient.PipelineRunsGetter, namespace string, kueue bool, do func(Held) bool) error {
	list, more := pages(runs, namespace), true
	next := list.Read
	list.Read = func(ctx context.Context, o metav1.ListOptions) ([]tektonv1.PipelineRun, string, error) {
		if !more {
			return nil, "", nil
		}
		return next(ctx, o)
	}
	reader := By{Kueue: func() bool { return kueue }}.reader(queue.Key{})
	return paged.Each(ctx, nil, list, func(pr *tektonv1.PipelineRun) {
		run := reader.read(pr)
		if !more || run.Phase != queue.Pending || !run.Held() {
			return
		}
		h := Held{Namespace: pr.Namespace, Name: pr.Name, Malformed: run.Order.Malformed() && !run.Kueue.Admits, run: run}
		if !h.Malformed {
			h.patch = handedBack(pr, run)
		}
		more = do(h)
	})
}

// handedBack returns the patch that makes a run PAC's again, or Kueue's if Kueue is to start it.
// The run has not been trimmed, and its order is not malformed unless it goes to Kueue: PAC does
// not see the order of such a run, because it would start the run without Kueue's admission, and
// Kueue would stop it.
//
// PAC queues everything that an order lists for the Repository of the run that carries it
// (pkg/reconciler/queue_pipelineruns.go, queuePipelineRun) and takes a run that is over out of its
// own queue only. So the runs that target-namespace has put elsewhere are left out: their own
// orders list them.
func handedBack(pr *tektonv1.PipelineRun, run queue.Run) map[string]any {
	annotations := map[string]any{HeldOrder: nil, Attempt: nil, NotBefore: nil, Arrived: nil}
	for _, name := range waiting {
		annotations[name] = nil
	}
	if run.Kueue.Admits {
		return map[string]any{"metadata": toKueue(run, queue.Token{Slot: queue.NoSlot}, annotations)}
	}
	metadata := map[string]any{"annotations": annotations}
	if order, held := pr.Annotations[HeldOrder]; held {
		var entries []string
		for entry := range strings.SplitSeq(spelled(order, pr.Namespace, pr.Name), ",") {
			if entry = strings.TrimSpace(entry); strings.HasPrefix(entry, pr.Namespace+"/") {
				entries = append(entries, entry)
			}
		}
		annotations[keys.ExecutionOrder] = strings.Join(entries, ",")
	}
	if run.Kueue.Hidden {
		annotations[HeldQueueName] = nil
		metadata["labels"] = map[string]any{QueueName: run.Kueue.Queue}
	}
	return map[string]any{"metadata": metadata}
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
