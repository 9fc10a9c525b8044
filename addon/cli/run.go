package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

// run shows one run.
func (p *plugin) run(cmd *cobra.Command, name string) error {
	clients, namespace, err := p.connect()
	if err != nil {
		return err
	}
	pr, key, err := readRun(cmd.Context(), clients, namespace, name)
	if err != nil {
		return err
	}
	if pac.ReadRun(pr).Phase != queue.Done {
		q, err := p.queue(cmd, clients, key)
		if errors.As(err, &errNoQueue{}) {
			return fmt.Errorf("PipelineRun %s/%s is in no queue: %w", namespace, name, err)
		}
		if err != nil {
			return err
		}
		if is, stands := q.Standing(name); stands {
			if structured(p.output) {
				return p.encodeRun(cmd.OutOrStdout(), key, q.ViewRun(is))
			}
			return describeRun(cmd.OutOrStdout(), q, is, p.events(cmd, clients, pr))
		}
		// It may have ended between the two looks.
		if pr, key, err = readRun(cmd.Context(), clients, namespace, name); err != nil {
			return err
		}
		switch {
		case pac.ReadRun(pr).Phase == queue.Done:
		case q.Limit == queue.Unlimited:
			return fmt.Errorf("PipelineRun %s/%s is in no queue: Repository %s has no concurrency_limit, and Pipelines-as-Code did "+
				"not queue the run", namespace, name, key.Repository)
		default:
			return fmt.Errorf("PipelineRun %s/%s is in no queue any more: Pipelines-as-Code has finished with it, and Tekton is "+
				"still ending it", namespace, name)
		}
	}
	done := inspect.Done{Run: pac.ReadRun(pr), Outcome: inspect.OutcomeOf(pr)}
	if structured(p.output) {
		return p.encodeRun(cmd.OutOrStdout(), key, view.OfRun(done.Run, queue.StateDone, string(done.Outcome)))
	}
	return describeDone(cmd.OutOrStdout(), key, done, p.now(), p.events(cmd, clients, pr))
}

// readRun reads a run and the key of its queue.
func readRun(ctx context.Context, c inspect.Clients, namespace, name string) (*tektonv1.PipelineRun, queue.Key, error) {
	pr, err := c.Tekton.TektonV1().PipelineRuns(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, queue.Key{}, fmt.Errorf("there is no PipelineRun %s in namespace %s; is it in another --namespace, or has "+
			"Pipelines-as-Code pruned it?", name, namespace)
	}
	if err != nil {
		return nil, queue.Key{}, inspect.Explain(err, "PipelineRuns", namespace)
	}
	key, err := queueOf(pr)
	return pr, key, err
}

func (p *plugin) encodeRun(out io.Writer, key queue.Key, v view.Run) error {
	v.TypeMeta, v.Namespace, v.Repository = view.Kind("Run"), key.Namespace, key.Repository
	return p.encode(out, v, runName(v.Name))
}

// queueOf returns the queue of a run; the error says why it has none.
func queueOf(pr *tektonv1.PipelineRun) (queue.Key, error) {
	key, ok := pac.KeyOf(pr)
	switch {
	case !pac.IsPACs(pr) && !pac.IsLabelled(pr):
		return key, fmt.Errorf("PipelineRun %s/%s is in no queue: it is not one of Pipelines-as-Code, and has no label %s",
			pr.Namespace, pr.Name, pac.QueueLabel)
	case !ok:
		return key, fmt.Errorf("PipelineRun %s/%s names no Repository, so it is in no queue", pr.Namespace, pr.Name)
	default:
		return key, nil
	}
}

// mostEvents is how many events of a run are shown.
const mostEvents = 10

// events are the add-on's last events on a run, oldest first; none if the user may not read
// them.
func (p *plugin) events(cmd *cobra.Command, c inspect.Clients, pr *tektonv1.PipelineRun) []corev1.Event {
	list, err := c.Kube.CoreV1().Events(pr.Namespace).List(cmd.Context(), metav1.ListOptions{FieldSelector: fields.Set{
		"involvedObject.name": pr.Name, "involvedObject.uid": string(pr.UID), "source": config.Component,
	}.String()})
	if err != nil {
		tell(cmd.ErrOrStderr(), []string{"Cannot read Events: " + err.Error()})
		return nil
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int {
		return cmp.Or(a.LastTimestamp.Compare(b.LastTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return list.Items[max(0, len(list.Items)-mostEvents):]
}
