package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

const (
	pacNamespace = "pipelines-as-code"
	mostWaiting  = 5  // of a queue
	mostRuns     = 40 // of a queue, over time
)

// push is an event with some runs, which PAC patches one by one, later.
func (c *Cluster) push(key queue.Key, n int) {
	for _, create := range c.event(key, n) {
		create()
	}
}

// pushTwice is two events at a time, whose runs PAC creates in any order.
func (c *Cluster) pushTwice(key queue.Key, n, m int) {
	creations := append(c.event(key, n), c.event(key, m)...)
	c.rnd.Shuffle(len(creations), func(i, j int) { creations[i], creations[j] = creations[j], creations[i] })
	for _, create := range creations {
		create()
	}
}

// event returns what creates the runs of one event.
func (c *Cluster) event(key queue.Key, n int) []func() {
	if n == 0 || c.named[key] >= mostRuns || len(c.pending(key)) >= mostWaiting {
		return nil
	}
	var names []string
	for range n {
		c.named[key]++
		names = append(names, fmt.Sprintf("%s-%02d", key.Repository, c.named[key]*37%100))
	}
	slices.Sort(names)
	listed := make([]string, n)
	for i, name := range names {
		listed[i] = key.Namespace + "/" + name
	}
	order := strings.Join(listed, ",")
	if c.chance(8) {
		order = strings.ReplaceAll(order, "/", " ")
	}
	if c.labelled && c.chance(50) {
		return c.labelledRuns(key, names)
	}
	limited := c.limit(key) != queue.Unlimited
	var creations []func()
	position := map[string]int{}
	for i, name := range names {
		position[name] = i
	}
	c.rnd.Shuffle(n, func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		pr := newRun(key, name)
		if c.traceable {
			c.trackOrigin(pr, position[name])
		}
		if c.kueue && c.chance(70) {
			labelForKueue(pr)
		}
		if limited {
			pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
			c.promise(pr, "queues", state("queued"))
		}
		if c.chance(30) {
			pr.Annotations[keys.SecretCreated] = "false"
			if c.named[key]%2 == 0 {
				useSecret(pr)
			}
			c.promise(pr, "has a secret for", annotate(keys.SecretCreated, "true"))
		}
		if c.chance(20) {
			pr.Annotations[keys.InstallationID] = "7"
			c.promise(pr, "has a check run for", annotate(keys.CheckRunID, "8"))
		}
		if limited && !c.chance(8) { // or PAC dies before it gets there
			annotation := pac.HeldOrder
			if !c.held {
				annotation = keys.ExecutionOrder
			}
			c.promise(pr, "orders", annotate(annotation, order))
		}
		creations = append(creations, func() { c.server.create(runs, pr, nil) })
	}
	c.trace("%d runs of %s are pushed: %v, in order %q", n, key.Repository, names, order)
	return creations
}

// newRun is a PipelineRun as PAC creates it for a Repository without a limit.
func newRun(key queue.Key, name string) *tektonv1.PipelineRun {
	return &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: name,
			Labels:      map[string]string{"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev", keys.Repository: key.Repository},
			Annotations: map[string]string{keys.Repository: key.Repository},
		},
		Spec: tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{Name: "ci"}},
	}
}

// labelledRuns are as the hold leaves those that name a queue, and of which PAC knows nothing.
func (c *Cluster) labelledRuns(key queue.Key, names []string) []func() {
	var creations []func()
	for _, name := range names {
		pr := newRun(key, name)
		pr.Labels = map[string]string{pac.QueueLabel: key.Repository}
		pr.Annotations = map[string]string{pac.HeldOrder: pac.Itself}
		pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
		creations = append(creations, func() { c.server.create(runs, pr, nil) })
	}
	c.trace("%d runs are labelled for %s: %v", len(names), key.Repository, names)
	return creations
}

// useSecret has the spec of a run name its git secret, so that its pods cannot start without.
func useSecret(pr *tektonv1.PipelineRun) {
	name := "pac-gitauth-" + pr.Name
	pr.Annotations[keys.GitAuthSecret] = name
	pr.Spec.Workspaces = []tektonv1.WorkspaceBinding{{
		Name: "basic-auth", Secret: &corev1.SecretVolumeSource{SecretName: name},
	}}
}

// makeSecrets is PAC's watcher when nothing fails it any more: no run is left without its secret.
func (c *Cluster) makeSecrets() {
	for _, pr := range c.everywhere(c.pending) {
		if run := c.read(pr); run.Lacks() {
			c.editRun(pr, "has its secret at last", annotate(keys.SecretCreated, "true"))
		}
	}
}

// trackOrigin has a run say which definition and branch it was made of, so that a newer run may
// supersede it.
func (c *Cluster) trackOrigin(pr *tektonv1.PipelineRun, definition int) {
	annotate(keys.OriginalPRName, fmt.Sprintf("build-%d", definition))(pr)
	annotate(keys.EventType, "push")(pr)
	annotate(keys.SourceBranch, []string{"main", "topic"}[c.rnd.IntN(2)])(pr)
	if said := c.rnd.IntN(4); said < 2 {
		annotate(keys.CancelInProgress, []string{"true", "false"}[said])(pr)
	}
	if c.shaped {
		annotate(keys.Sender, []string{"ann", "bob", "eve"}[c.rnd.IntN(3)])(pr)
	}
}

func annotate(key, value string) func(*tektonv1.PipelineRun) {
	return func(pr *tektonv1.PipelineRun) { pr.Annotations[key] = value }
}

func state(s string) func(*tektonv1.PipelineRun) {
	return func(pr *tektonv1.PipelineRun) { pr.Labels[keys.State], pr.Annotations[keys.State] = s, s }
}

func start(pr *tektonv1.PipelineRun) { pr.Spec.Status = "" }

// promise is something that PAC will do with a run, if it does not die before.
func (c *Cluster) promise(pr *tektonv1.PipelineRun, what string, edit func(*tektonv1.PipelineRun)) {
	if c.chance(5) {
		return
	}
	c.promises = append(c.promises, func() {
		if is, ok := c.server.objects[runs][id(pr)].(*tektonv1.PipelineRun); ok && is.UID == pr.UID {
			c.trace("PAC %s %s", what, pr.Name)
			c.editRun(is, "", edit)
		}
	})
}

func (c *Cluster) keepPromise() {
	if len(c.promises) > 0 {
		i := c.rnd.IntN(len(c.promises))
		kept := c.promises[i]
		c.promises = slices.Delete(c.promises, i, i+1)
		kept()
	}
}

// editRun writes a run as PAC, Tekton or a user does.
func (c *Cluster) editRun(was *tektonv1.PipelineRun, what string, edit func(*tektonv1.PipelineRun)) {
	if was == nil {
		return
	}
	if what != "" {
		c.trace("%s %s", was.Name, what)
	}
	is := was.DeepCopy()
	edit(is)
	c.server.replace(runs, was, is, nil)
}

// runsOf lists the runs of a queue, by name.
func (c *Cluster) runsOf(key queue.Key, which func(*tektonv1.PipelineRun) bool) []*tektonv1.PipelineRun {
	var list []*tektonv1.PipelineRun
	for _, o := range c.server.list(runs, key.Namespace, everything) {
		pr := o.(*tektonv1.PipelineRun)
		if k, _ := pac.KeyOf(pr); k == key && which(pr) {
			list = append(list, pr)
		}
	}
	return list
}

func (c *Cluster) pending(key queue.Key) []*tektonv1.PipelineRun {
	return c.runsOf(key, func(pr *tektonv1.PipelineRun) bool {
		return pr.IsPending() && pr.DeletionTimestamp == nil && !waitsForKueue(pr)
	})
}

// unfinished lists what Tekton works on.
func (c *Cluster) unfinished(key queue.Key) []*tektonv1.PipelineRun {
	return c.runsOf(key, func(pr *tektonv1.PipelineRun) bool { return !pr.IsPending() && !pr.IsDone() })
}

func (c *Cluster) one(list []*tektonv1.PipelineRun) *tektonv1.PipelineRun {
	if len(list) == 0 {
		return nil
	}
	return list[c.rnd.IntN(len(list))]
}

func (c *Cluster) someQueue() queue.Key { return c.queues[c.rnd.IntN(len(c.queues))] }

// reconcile is Tekton at work on a run: it notes that it has begun, or ends it.
func (c *Cluster) reconcile(pr *tektonv1.PipelineRun) {
	switch {
	case pr == nil:
	case !pr.HasStarted() && c.chance(50) && !pr.IsCancelled() && pr.DeletionTimestamp == nil:
		c.editRun(pr, "is begun by Tekton", func(pr *tektonv1.PipelineRun) {
			pr.Status.StartTime = &metav1.Time{Time: c.now.Truncate(time.Second)}
			pr.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: corev1.ConditionUnknown}}
		})
	default:
		c.finish(pr)
	}
}

func (c *Cluster) finish(pr *tektonv1.PipelineRun) {
	if pr.DeletionTimestamp != nil { // Tekton leaves it alone
		c.trace("%s is gone at last", pr.Name)
		c.server.remove(runs, pr, nil)
		return
	}
	c.outlive(pr)
	c.editRun(pr, "is done", func(pr *tektonv1.PipelineRun) {
		status := corev1.ConditionTrue
		if pr.IsCancelled() {
			status = corev1.ConditionFalse
		}
		pr.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: status}}
	})
}

// label is PAC's watcher: it reports what it sees, sooner or later, and takes
// a cancelled run for finished while Tekton is still at it.
func (c *Cluster) label(pr *tektonv1.PipelineRun) {
	switch {
	case pr == nil, pac.IsLabelled(pr): // none of PAC's
	case pr.IsDone(), pr.IsCancelled():
		if pr.Labels[keys.State] != "completed" {
			c.editRun(pr, "is labelled completed", state("completed"))
		}
	case !pr.IsPending() && pr.Labels[keys.State] != "started":
		c.editRun(pr, "is labelled started", state("started"))
	}
}

// createRepository makes a Repository; a limit of 0 is none.
func (c *Cluster) createRepository(key queue.Key, limit int) {
	r := &pacv1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Repository}}
	setLimit(limit)(r)
	c.trace("Repository %s is created, limit %d", key.Repository, limit)
	c.server.create(repositories, r, nil)
}

func setLimit(limit int) func(*pacv1alpha1.Repository) {
	return func(r *pacv1alpha1.Repository) {
		r.Spec.ConcurrencyLimit = &limit
		if limit == 0 {
			r.Spec.ConcurrencyLimit = nil
		}
	}
}

func (c *Cluster) repository(key queue.Key) *pacv1alpha1.Repository {
	r, _ := c.server.objects[repositories][key.String()].(*pacv1alpha1.Repository)
	return r
}

// limit is what the Repository says now; Unlimited if there is none.
func (c *Cluster) limit(key queue.Key) queue.Limit {
	r := c.repository(key)
	if r == nil {
		return queue.Unlimited
	}
	l, _ := pac.ReadLimit(r, c.repository(global))
	return l
}

var global = queue.Key{Namespace: pacNamespace, Repository: "pipelines-as-code"}
