package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

// fieldManager is who owns the fields that the plugin writes.
const fieldManager = "kubectl-pac-queue"

func (p *plugin) pauseCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "pause REPOSITORY",
		Short: "Pause a queue: nothing starts until you resume it",
		Long: `Pause a queue: nothing starts until you resume it. What runs goes on, and what waits keeps its
place. The pause is paused: true in the spec of the queue's RunQueue, which is made if there is none.`,
		Args:              exactly("a Repository"),
		ValidArgsFunction: p.completeRepositories,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.shape(cmd, args[0], func(ctx context.Context, clients inspect.Clients) map[string]any {
				return pausing(true, whoAmI(ctx, clients), reason)
			}, "paused: nothing starts until you resume it, and what runs goes on")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for all who look at the queue")
	return c
}

func (p *plugin) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "resume REPOSITORY",
		Short:             "End the pause of a queue",
		Args:              exactly("a Repository"),
		ValidArgsFunction: p.completeRepositories,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.shape(cmd, args[0], func(context.Context, inspect.Clients) map[string]any {
				return pausing(false, "", "")
			}, "not paused")
		},
	}
}

// pausing is the patch that pauses a queue, or ends its pause. Of what is empty, nothing is said.
func pausing(is bool, by, reason string) map[string]any {
	annotations := map[string]any{runqueue.PausedBy: nil, runqueue.PauseReason: nil}
	for key, text := range map[string]string{runqueue.PausedBy: by, runqueue.PauseReason: reason} {
		if text != "" {
			annotations[key] = text
		}
	}
	return map[string]any{"metadata": map[string]any{"annotations": annotations}, "spec": map[string]any{"paused": is}}
}

// shape patches the RunQueue of a queue, which it makes if there is none.
func (p *plugin) shape(
	cmd *cobra.Command, repository string, patch func(context.Context, inspect.Clients) map[string]any, done string,
) error {
	clients, namespace, err := p.connect()
	if err != nil {
		return err
	}
	ctx, key := cmd.Context(), queue.Key{Namespace: namespace, Repository: repository}
	may := right{Verb: "patch", Group: v1alpha1.GroupVersion.Group, Resource: "runqueues", Namespace: namespace, Name: repository}
	if err := may.check(ctx, clients); err != nil {
		return err
	}
	if err := p.heeded(ctx, clients, namespace); err != nil {
		return err
	}
	body, err := json.Marshal(patch(ctx, clients))
	if err != nil {
		return err
	}
	write := func() error {
		_, err := clients.RunQueues.In(namespace).Patch(ctx, repository, types.MergePatchType, body,
			metav1.PatchOptions{FieldManager: fieldManager})
		return err
	}
	if err = write(); apierrors.IsNotFound(err) {
		if err = makeRunQueue(ctx, clients, key); err == nil {
			err = write()
		}
	}
	if err != nil {
		return fmt.Errorf("RunQueue %s: %w", key, err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Queue %s is %s.\n", key, done)
	return err
}

// heeded returns an error if no replica that works on the queues of a namespace heeds RunQueues, as
// far as the user may see that.
func (p *plugin) heeded(ctx context.Context, clients inspect.Clients, namespace string) error {
	installations, err := inspect.ReadInstallations(ctx, clients.Kube, p.addon)
	if err != nil {
		return err
	}
	for _, i := range installations {
		if i.Environment.Watched.Contains(namespace) && !i.Environment.RunQueues {
			return fmt.Errorf("the add-on in Deployment %s has RunQueues turned off: set its value runQueues.enabled to true", i.Name())
		}
	}
	return nil
}

// makeRunQueue makes a RunQueue that its Repository owns.
func makeRunQueue(ctx context.Context, clients inspect.Clients, key queue.Key) error {
	repository, err := clients.PAC.PipelinesascodeV1alpha1().Repositories(key.Namespace).Get(ctx, key.Repository, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is neither a RunQueue nor a Repository of that name; is it in another --namespace?")
	}
	if err != nil {
		return inspect.Explain(err, "Repositories", key.Namespace)
	}
	made := metav1.CreateOptions{FieldManager: fieldManager}
	_, err = clients.RunQueues.In(key.Namespace).Create(ctx, runqueue.Of(key, repository.UID), made)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p *plugin) prioritizeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "prioritize RUN [PRIORITY]",
		Short: "Have a run that waits start before others",
		Long: fmt.Sprintf(`Have a run that waits start before others: it gets a priority from %d to %d, the highest if you name
none. Runs of a higher priority start first, after what the queue itself says about them. No run is
stopped for another.`, queue.MinPriority, queue.MaxPriority),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("name a PipelineRun, and perhaps a priority: %s", cmd.UseLine())
			}
			return nil
		},
		ValidArgsFunction: p.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			priority := queue.MaxPriority
			if len(args) == 2 {
				n, err := strconv.Atoi(args[1])
				if err != nil || n < queue.MinPriority || n > queue.MaxPriority {
					return fmt.Errorf("%q is no priority: want a number from %d to %d", args[1], queue.MinPriority, queue.MaxPriority)
				}
				priority = n
			}
			return p.patchRun(cmd, args[0], func(pr *tektonv1.PipelineRun) (map[string]any, string, error) {
				if !pr.IsPending() {
					return nil, "", errors.New("it does not wait any more, so a priority has no effect on it")
				}
				return map[string]any{"metadata": map[string]any{"annotations": map[string]any{pac.Priority: strconv.Itoa(priority)}}},
					fmt.Sprintf("has priority %d", priority), nil
			})
		},
	}
}

func (p *plugin) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "cancel RUN",
		Short:             "Cancel a run, whether it waits or runs",
		Args:              exactly("a PipelineRun"),
		ValidArgsFunction: p.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.patchRun(cmd, args[0], func(pr *tektonv1.PipelineRun) (map[string]any, string, error) {
				if pac.ReadRun(pr).Phase == queue.Done {
					return nil, "", errors.New("it is done")
				}
				return map[string]any{"spec": map[string]any{"status": tektonv1.PipelineRunSpecStatusCancelled}}, "is cancelled", nil
			})
		},
	}
}

// patchRun patches a run of a queue as it was read. If it has changed since, the patch is made
// anew of what it is now.
func (p *plugin) patchRun(
	cmd *cobra.Command, name string, patch func(*tektonv1.PipelineRun) (patch map[string]any, done string, err error),
) error {
	clients, namespace, err := p.connect()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	may := right{Verb: "patch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace, Name: name}
	if err := may.check(ctx, clients); err != nil {
		return err
	}
	const tries = 5
	for try := 1; ; try++ {
		pr, key, err := readRun(ctx, clients, namespace, name)
		if err != nil {
			return err
		}
		change, done, err := patch(pr)
		if err != nil {
			return fmt.Errorf("PipelineRun %s/%s: %w", namespace, name, err)
		}
		meta, _ := change["metadata"].(map[string]any)
		if meta == nil {
			meta = map[string]any{}
			change["metadata"] = meta
		}
		meta["uid"], meta["resourceVersion"] = pr.UID, pr.ResourceVersion
		body, err := json.Marshal(change)
		if err != nil {
			return err
		}
		_, err = clients.Tekton.TektonV1().PipelineRuns(namespace).Patch(ctx, name, types.MergePatchType, body,
			metav1.PatchOptions{FieldManager: fieldManager})
		switch {
		case apierrors.IsConflict(err) && try < tries:
			continue
		case err != nil:
			return fmt.Errorf("PipelineRun %s/%s: %w", namespace, name, err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "PipelineRun %s/%s of queue %s %s.\n", namespace, name, key.Repository, done)
		return err
	}
}

// right is one that the user needs.
type right authorizationv1.ResourceAttributes

// check returns an error for a right that the user lacks. One that cannot be asked for counts as
// there: the API server has the last word anyway.
func (r right) check(ctx context.Context, clients inspect.Clients) error {
	review := &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: (*authorizationv1.ResourceAttributes)(&r)},
	}
	answer, err := clients.Kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil || answer.Status.Allowed {
		return nil
	}
	return fmt.Errorf("you may not %s %s.%s in namespace %s; ask for that verb, which the stock roles edit and admin have", r.Verb,
		r.Resource, r.Group, r.Namespace)
}

// whoAmI is the user's name; empty if the API server does not tell.
func whoAmI(ctx context.Context, clients inspect.Clients) string {
	reviews := clients.Kube.AuthenticationV1().SelfSubjectReviews()
	answer, err := reviews.Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(answer.Status.UserInfo.Username, "system:serviceaccount:")
}
