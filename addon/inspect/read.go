package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	pacscheme "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned/scheme"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	tektonscheme "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/scheme"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	api "github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/codec"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Clients are those of one cluster.
type Clients struct {
	Kube kubernetes.Interface
	// Tekton needs v1 only.
	Tekton tektonclient.Interface
	PAC    pacclient.Interface
	// RunQueues reads those; nil if queues have none.
	RunQueues *runqueue.Client
	// Discovery asks which APIs the cluster has. Without it, the cluster counts as one without
	// Kueue.
	Discovery rest.Interface
}

// NewClients returns the clients of a cluster.
func NewClients(config *rest.Config) (Clients, error) {
	var c Clients
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return c, fmt.Errorf("kubernetes client: %w", err)
	}
	tekton, err := rest.RESTClientFor(codec.For(config, tektonv1.SchemeGroupVersion, tektonscheme.Scheme))
	if err != nil {
		return c, fmt.Errorf("tekton client: %w", err)
	}
	paas, err := rest.RESTClientFor(codec.For(config, v1alpha1.SchemeGroupVersion, pacscheme.Scheme))
	if err != nil {
		return c, fmt.Errorf("pipelines-as-code client: %w", err)
	}
	c.Kube, c.Tekton, c.PAC, c.Discovery = kube, tektonclient.New(tekton), pacclient.New(paas), kube.Discovery().RESTClient()
	c.RunQueues, err = runqueue.NewClient(config)
	return c, err
}

// Scope is how far a look goes.
type Scope struct {
	// Namespace of the queues; empty for all.
	Namespace string
	// Addon is the namespace of the installation; empty if it is to be looked for.
	Addon string
	// FinishedOf is the Repository of which runs are read that are over, for
	// estimates; none if empty.
	FinishedOf string
}

// mostFinished is how many finished runs are read, about.
const mostFinished = 2000

// pageSize is how many objects are read at a time. They are whole until they are trimmed, so the
// pages are short.
const pageSize = 100

// Reading is what was read.
type Reading struct {
	Settings
	Repositories []v1alpha1.Repository
	Leases       []coordinationv1.Lease
	// Shapes are those of the RunQueues; nil if there are none, or they could not be read.
	Shapes *runqueue.Shapes
	// Runs that PAC has not finished with, and those that a slot names.
	Runs []tektonv1.PipelineRun
	// Unlisted are the UIDs of runs that only a look at the holders showed.
	Unlisted map[string]bool
	// Finished runs of one Repository, if they were asked for.
	Finished []tektonv1.PipelineRun
	// statuses are what replicas have written of queues.
	statuses map[queue.Key]api.RunQueueStatus
}

// Read reads everything once.
func Read(ctx context.Context, c Clients, scope Scope) (*Reading, error) {
	settings, err := ReadSettings(ctx, c, scope)
	if err != nil {
		return nil, err
	}
	r := &Reading{Settings: *settings, Unlisted: map[string]bool{}, statuses: map[queue.Key]api.RunQueueStatus{}}
	if err := r.readRepositories(ctx, c, scope.Namespace); err != nil {
		return nil, err
	}
	if err := r.readRunQueues(ctx, c.RunQueues, scope.Namespace); err != nil {
		return nil, err
	}
	// Slots before runs: see the package comment.
	err = each(ctx, metav1.ListOptions{LabelSelector: lease.Selector},
		func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return c.Kube.CoordinationV1().Leases(scope.Namespace).List(ctx, o)
		}, func(l *coordinationv1.Lease) { r.Leases = append(r.Leases, *l) })
	if err != nil {
		return nil, Explain(err, "Leases", scope.Namespace)
	}
	listRuns := func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Tekton.TektonV1().PipelineRuns(scope.Namespace).List(ctx, o)
	}
	for _, selector := range r.selectors(pac.Selector, pac.LabelledSelector) {
		err = each(ctx, metav1.ListOptions{LabelSelector: selector}, listRuns,
			func(pr *tektonv1.PipelineRun) { r.Runs = append(r.Runs, *pac.Trim(pr)) })
		if err != nil {
			return nil, Explain(err, "PipelineRuns", scope.Namespace)
		}
	}
	if err := r.readHolders(ctx, c); err != nil {
		return nil, err
	}
	if scope.FinishedOf != "" {
		finished, labelled := pac.FinishedSelector(scope.FinishedOf), pac.FinishedLabelledSelector(scope.FinishedOf)
		for _, selector := range r.selectors(finished, labelled) {
			if err := r.readFinished(ctx, c, scope, selector); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// selectors are that of PAC's runs and, where there are RunQueues, that of the runs that are queued
// by their label.
func (r *Reading) selectors(ofPAC, labelled string) []string {
	if r.Shapes == nil {
		return []string{ofPAC}
	}
	return []string{ofPAC, labelled}
}

func (r *Reading) readFinished(ctx context.Context, c Clients, scope Scope, selector string) error {
	for next := ""; ; {
		list, err := c.Tekton.TektonV1().PipelineRuns(scope.Namespace).List(ctx, metav1.ListOptions{
			LabelSelector: selector, Limit: pageSize, Continue: next,
		})
		if err != nil {
			return Explain(err, "PipelineRuns", scope.Namespace)
		}
		for i := range list.Items {
			r.Finished = append(r.Finished, *pac.Trim(&list.Items[i]))
		}
		if next = list.Continue; next == "" {
			return nil
		}
		if len(r.Finished) >= mostFinished {
			r.note("Repository %s has more than %d finished runs: estimates go by the first of them by name.", scope.FinishedOf,
				mostFinished)
			return nil
		}
	}
}

// ReadEnded says how a run ended that has disappeared from its queue; false if it has not
// ended.
func ReadEnded(ctx context.Context, c Clients, namespace string, run queue.Run) (Done, bool, error) {
	pr, err := c.Tekton.TektonV1().PipelineRuns(namespace).Get(ctx, run.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && string(pr.UID) != run.UID:
		return Done{run, "deleted"}, true, nil
	case err != nil:
		return Done{}, false, Explain(err, "PipelineRuns", namespace)
	}
	is := pac.ReadRun(pr)
	return Done{is, OutcomeOf(pr)}, is.Phase == queue.Done, nil
}

func (r *Reading) readRepositories(ctx context.Context, c Clients, namespace string) error {
	err := each(ctx, metav1.ListOptions{}, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.PAC.PipelinesascodeV1alpha1().Repositories(namespace).List(ctx, o)
	}, func(repository *v1alpha1.Repository) { r.Repositories = append(r.Repositories, *repository) })
	if apierrors.IsNotFound(err) {
		return nil // a cluster without PAC
	}
	if err != nil {
		return Explain(err, "Repositories", namespace)
	}
	return nil
}

// readRunQueues reads what people want of queues besides their limits.
func (r *Reading) readRunQueues(ctx context.Context, client *runqueue.Client, namespace string) error {
	if client == nil {
		return nil
	}
	trimmer, store := runqueue.NewTrimmer(), cache.NewStore(cache.MetaNamespaceKeyFunc)
	var wrong error
	err := each(ctx, metav1.ListOptions{}, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return client.In(namespace).List(ctx, o)
	}, func(rq *api.RunQueue) {
		if rq.Status.State != "" {
			r.statuses[runqueue.KeyOf(rq)] = rq.Status
		}
		cached, err := trimmer.Cache(rq)
		wrong = errors.Join(wrong, err, store.Add(cached))
	})
	switch {
	case apierrors.IsNotFound(err): // the API server has none
		return nil
	case apierrors.IsForbidden(err):
		r.note("%s", RunQueuesHidden(namespace))
		return nil
	case err != nil:
		return Explain(err, "RunQueues", namespace)
	}
	r.Shapes = runqueue.NewShapes(store, nil)
	return wrong
}

// RunQueuesHidden says what a user who may not list RunQueues does not see.
func RunQueuesHidden(namespace string) string {
	return fmt.Sprintf("You may not list RunQueues%s: pauses, orders and priorities are not seen.", in(namespace))
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + namespace
}

// readHolders reads the runs that slots name and no list has: those that PAC has
// finished with.
func (r *Reading) readHolders(ctx context.Context, c Clients) error {
	known := map[string]bool{}
	for _, pr := range r.Runs {
		known[string(pr.UID)] = true
	}
	for i := range r.Leases {
		key, slot, ok := lease.Decode(&r.Leases[i])
		if !ok || slot.Holder == nil || known[slot.Holder.UID] {
			continue
		}
		pr, err := c.Tekton.TektonV1().PipelineRuns(key.Namespace).Get(ctx, slot.Holder.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return Explain(err, "PipelineRuns", key.Namespace)
		}
		if string(pr.UID) == slot.Holder.UID {
			known[slot.Holder.UID], r.Unlisted[slot.Holder.UID] = true, true
			r.Runs = append(r.Runs, *pac.Trim(pr))
		}
	}
	return nil
}

// ReadRefusals reads why starts of runs failed and slots were refused, for those queues of the
// namespace, or of all, in which that may be the case. It reads events only then.
func ReadRefusals(ctx context.Context, c Clients, namespace string, queues []Queue) error {
	starts, slots := map[string]*Queue{}, map[string]*Queue{} // by UID of the run
	for i := range queues {
		q := &queues[i]
		for _, is := range q.Runs {
			if is.Run.Phase != queue.Pending {
				continue
			}
			if q.slotDue(is) {
				slots[is.Run.UID] = q
			}
			if startDue(is) {
				starts[is.Run.UID] = q
			}
		}
	}
	last := map[string]time.Time{}
	for _, wanted := range []struct {
		reason event.Reason
		runs   map[string]*Queue
	}{{event.ReasonClaimExpired, starts}, {event.ReasonSlotRefused, slots}} {
		if len(wanted.runs) == 0 {
			continue
		}
		err := each(ctx, metav1.ListOptions{FieldSelector: "reason=" + string(wanted.reason)},
			func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return c.Kube.CoreV1().Events(namespace).List(ctx, o)
			}, func(e *corev1.Event) {
				uid := string(e.InvolvedObject.UID)
				q, at := wanted.runs[uid], e.LastTimestamp.Time
				if q == nil || at.Before(last[uid]) {
					return
				}
				if q.Refusals == nil {
					q.Refusals = map[string]string{}
				}
				q.Refusals[uid], last[uid] = e.Message, at
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// told says that of every queue with runs a RunQueue tells what follows from the settings.
func (r *Reading) told() bool {
	for key := range byQueue(r.Runs) {
		if _, told := r.statuses[key]; !told && (r.Namespace == "" || key.Namespace == r.Namespace) {
			return false
		}
	}
	return true
}

// each lists page by page.
func each[T any](ctx context.Context, o metav1.ListOptions, list pager.ListPageFunc, do func(*T)) error {
	pages := pager.New(list)
	pages.PageSize, pages.PageBufferSize = pageSize, 0
	return pages.EachListItem(ctx, o, func(obj runtime.Object) error {
		item, ok := any(obj).(*T)
		if !ok {
			return fmt.Errorf("the API server answered with a %T", obj)
		}
		do(item)
		return nil
	})
}

// Explain says what a refused or unanswered read means to people.
func Explain(err error, what, namespace string) error {
	where := "in namespace " + namespace
	if namespace == "" {
		where = "in all namespaces"
	}
	switch {
	case apierrors.IsForbidden(err) && namespace == "":
		return fmt.Errorf("you may not read %s %s; ask for the verbs get and list, or name one namespace with --namespace: %w", what,
			where, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not read %s %s; ask for the verbs get and list: %w", what, where, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not know you; is the kubeconfig's login still good? %w", err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("this cluster has no %s; are Tekton and Pipelines-as-Code installed in it? %w", what, err)
	case errors.As(err, new(*url.Error)) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("the API server does not answer; is it up, and is it the one you mean (--context)? %w", err)
	default:
		return fmt.Errorf("read %s %s: %w", what, where, err)
	}
}
