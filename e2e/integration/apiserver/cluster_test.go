package apiserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// cluster is the API server as one test uses it, with a record of what happens.
type cluster struct {
	*testing.T
	*history.Recorder
	kube   kubernetes.Interface
	tekton tektonclient.Interface
	pac    pacclient.Interface
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	if server == nil {
		t.Skip("runs on a real API server")
	}
	config := server.Config(stack.Admin)
	c := &cluster{T: t, kube: server.Kubernetes()}
	var err error
	if c.tekton, err = tektonclient.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if c.pac, err = pacclient.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if c.Recorder, err = history.Record(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// in is the same cluster for a subtest.
func (c *cluster) in(t *testing.T) *cluster {
	sub := *c
	sub.T = t
	return &sub
}

var namespaces atomic.Int32

// newQueue makes a Repository with a limit, in a namespace of its own.
func (c *cluster) newQueue(limit int) queue.Key {
	c.Helper()
	key := queue.Key{Namespace: fmt.Sprintf("queue-%d", namespaces.Add(1)), Repository: "shop"}
	if err := server.NewNamespace(c.Context(), key.Namespace); err != nil {
		c.Fatal(err)
	}
	_, err := c.pac.PipelinesascodeV1alpha1().Repositories(key.Namespace).Create(c.Context(), &pacv1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: key.Repository},
		Spec:       pacv1alpha1.RepositorySpec{URL: "https://git.example.com/" + key.String(), ConcurrencyLimit: &limit},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return key
}

func (c *cluster) setLimit(key queue.Key, limit int) {
	c.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"concurrency_limit":%d}}`, limit)
	if _, err := c.pac.PipelinesascodeV1alpha1().Repositories(key.Namespace).Patch(c.Context(), key.Repository, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		c.Fatal(err)
	}
}

// push makes the runs of one event as PAC leaves them.
func (c *cluster) push(key queue.Key, event string, n int) []string {
	c.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%02d", event, i+1))
	}
	// PAC creates them in no particular order.
	for _, i := range rand.Perm(n) {
		c.create(key, names[i], names)
	}
	return names
}

// create makes a run of an event with these runs, held: pending, with its order
// moved by the hold.
func (c *cluster) create(key queue.Key, name string, event []string) {
	c.Helper()
	var order []string
	for _, n := range event {
		order = append(order, key.Namespace+"/"+n)
	}
	pr := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev", keys.Repository: key.Repository, keys.State: "queued"},
			Annotations: map[string]string{
				keys.Repository: key.Repository, keys.State: "queued", pac.HeldOrder: strings.Join(order, ","),
			},
		},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef: &tektonv1.PipelineRef{Name: "build"},
			Status:      tektonv1.PipelineRunSpecStatusPending,
		},
	}
	if _, err := c.tekton.TektonV1().PipelineRuns(key.Namespace).Create(c.Context(), pr, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
}

// annotate changes annotations of a run as a person with kubectl would; an empty
// value removes one.
func (c *cluster) annotate(key queue.Key, name string, annotations map[string]string) {
	c.Helper()
	values := map[string]any{}
	for k, v := range annotations {
		if values[k] = v; v == "" {
			values[k] = nil
		}
	}
	c.patch(key, name, map[string]any{"metadata": map[string]any{"annotations": values}})
}

func (c *cluster) patch(key queue.Key, name string, patch any, subresources ...string) {
	c.Helper()
	if err := c.tryPatch(c.Context(), key, name, patch, subresources...); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) tryPatch(ctx context.Context, key queue.Key, name string, patch any, subresources ...string) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = c.tekton.TektonV1().PipelineRuns(key.Namespace).Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{}, subresources...)
	return err
}

// waitFor waits until a queue is as wanted.
func (c *cluster) waitFor(key queue.Key, what string, within time.Duration, condition func(history.View) bool) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), within)
	defer cancel()
	if err := c.Wait(ctx, key, condition); err != nil {
		c.Fatalf("%s: no %s within %s; %s", key, what, within, describe(c.View(key)))
	}
}

func describe(v history.View) string {
	var s strings.Builder
	fmt.Fprintf(&s, "limit %d, %d done, started:", v.Limit, len(v.In(queue.Done)))
	for _, r := range v.In(queue.Started) {
		fmt.Fprintf(&s, " %s", r.Name)
	}
	s.WriteString("; pending:")
	for _, r := range v.In(queue.Pending) {
		fmt.Fprintf(&s, " %s", r.Name)
	}
	for _, slot := range v.Slots {
		fmt.Fprintf(&s, "; slot %d: ", slot.Index)
		switch {
		case slot.Damaged != "":
			s.WriteString(slot.Damaged)
		case slot.Holder == nil:
			s.WriteString("free")
		default:
			s.WriteString(slot.Holder.Name)
		}
	}
	return s.String()
}

func viewHas(runs int) func(history.View) bool {
	return func(v history.View) bool { return len(v.Runs) == runs }
}

func viewStarted(runs int) func(history.View) bool {
	return func(v history.View) bool { return len(v.In(queue.Started)) == runs }
}

// over: every run is done and every slot is free.
func over(v history.View) bool {
	return len(v.In(queue.Done)) == len(v.Runs) && len(v.Runs) > 0 &&
		!slices.ContainsFunc(v.Slots, func(s queue.Slot) bool { return s.Holder != nil || s.Damaged != "" })
}

func (c *cluster) waitOver(keys ...queue.Key) {
	c.Helper()
	for _, key := range keys {
		c.waitFor(key, "end", queueDeadline, over)
	}
}

// audit returns what the audit of a queue has to say at the end.
func (c *cluster) audit(key queue.Key) audit.Report {
	c.Helper()
	auditor, err := c.Audit(key)
	if err != nil {
		c.Fatal(err)
	}
	return auditor.Finish(time.Now())
}

// wantSound wants that queues kept every invariant and finished so many runs.
func (c *cluster) wantSound(runs int, keys ...queue.Key) {
	c.Helper()
	for _, key := range keys {
		c.wantSoundBut("", runs, key)
	}
}

// wantSoundBut is wantSound but for one invariant.
func (c *cluster) wantSoundBut(invariant string, runs int, key queue.Key) {
	c.Helper()
	report := c.audit(key)
	for _, v := range report.Violations {
		if v.Invariant != invariant {
			c.Errorf("%s: %s", key, v)
		}
	}
	if report.Done != runs || len(report.Starts) > runs {
		c.Errorf("%s: %d runs done after %d starts, want %d", key, report.Done, len(report.Starts), runs)
	}
}

// wantNoWarnings wants no Warning events.
func (c *cluster) wantNoWarnings(keys ...queue.Key) {
	c.Helper()
	for _, key := range keys {
		for _, e := range c.events(key) {
			if e.Type == corev1.EventTypeWarning {
				c.Errorf("%s: Warning %s on %s: %s", key, e.Reason, e.InvolvedObject.Name, e.Message)
			}
		}
	}
}

func (c *cluster) events(key queue.Key) []corev1.Event {
	c.Helper()
	list, err := c.kube.CoreV1().Events(key.Namespace).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return list.Items
}

// waitEvent waits for an event of that reason on an object and returns it.
func (c *cluster) waitEvent(key queue.Key, reason report.Reason, object string) corev1.Event {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), stepDeadline)
	defer cancel()
	w, err := c.kube.CoreV1().Events(key.Namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	defer w.Stop()
	for change := range w.ResultChan() {
		e, ok := change.Object.(*corev1.Event)
		if ok && change.Type != watch.Deleted && e.Reason == string(reason) && e.InvolvedObject.Name == object {
			return *e
		}
	}
	var there []string
	for _, e := range c.events(key) {
		there = append(there, fmt.Sprintf("%s on %s: %s", e.Reason, e.InvolvedObject.Name, e.Message))
	}
	c.Fatalf("%s: no event %s on %s within %s; there are %q", key, reason, object, stepDeadline, there)
	return corev1.Event{}
}

// labelled is when PAC says that a run is completed.
type labelled int

const (
	// soon: before the replicas have had time to give its slot away, or after.
	soon labelled = iota
	// handedOver: when no slot names it any longer.
	handedOver
)

// play plays the others: PAC notices that a run was started, Tekton runs it for
// a random time of at most longest, PAC reports it and labels it completed. It
// ends with the test.
func (c *cluster) play(longest time.Duration, when labelled) {
	c.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(c.Context()))
	var all sync.WaitGroup
	factory := tektoninformers.NewSharedInformerFactory(c.tekton, 0)
	informer := factory.Tekton().V1().PipelineRuns().Informer()
	played := map[types.UID]bool{}
	see := func(obj any) {
		pr := obj.(*tektonv1.PipelineRun)
		key, ok := pac.KeyOf(pr)
		if !ok || played[pr.UID] || pac.ReadRun(pr).Phase != queue.Started {
			return
		}
		played[pr.UID] = true
		all.Go(func() {
			if err := c.playRun(ctx, key, pr, rand.N(longest), when); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
				c.Errorf("%s: playing %s: %v", key, pr.Name, err)
			}
		})
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, obj any) { see(obj) }}); err != nil {
		c.Fatal(err)
	}
	factory.Start(ctx.Done())
	c.Cleanup(func() {
		stop()
		factory.Shutdown()
		all.Wait()
	})
}

func (c *cluster) playRun(ctx context.Context, key queue.Key, pr *tektonv1.PipelineRun, takes time.Duration, when labelled) error {
	if err := c.tryPatch(ctx, key, pr.Name, state("started")); err != nil {
		return err
	}
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.finish(ctx, key, pr.Name); err != nil {
		return err
	}
	if when == handedOver {
		if err := c.Wait(ctx, key, func(v history.View) bool {
			return !slices.ContainsFunc(v.Slots, func(s queue.Slot) bool { return s.Holder != nil && s.Holder.UID == string(pr.UID) })
		}); err != nil {
			return err
		}
	}
	return c.tryPatch(ctx, key, pr.Name, state("completed"))
}

// state is how PAC says how far a run is.
func state(value string) any {
	said := map[string]string{keys.State: value}
	return map[string]any{"metadata": map[string]any{"labels": said, "annotations": said}}
}

// finish is Tekton saying that a run succeeded.
func (c *cluster) finish(ctx context.Context, key queue.Key, name string) error {
	now := metav1.Now()
	return c.tryPatch(ctx, key, name, map[string]any{"status": tektonv1.PipelineRunStatus{
		Status: duckv1.Status{Conditions: duckv1.Conditions{{
			Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded",
			LastTransitionTime: apis.VolatileTime{Inner: now},
		}}},
		PipelineRunStatusFields: tektonv1.PipelineRunStatusFields{StartTime: &now, CompletionTime: &now},
	}}, "status")
}
