package main

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

const (
	// runTime is how long a started run takes, and the finally tasks of one that is stopped.
	runTime = 200 * time.Millisecond
	// hostileTime is the same for the tenants' runs: long enough for two that were started by hand
	// to overlap, however slow the machine.
	hostileTime = 2 * time.Second
	// cancelTime is how long Tekton takes to end a cancelled run.
	cancelTime = 200 * time.Millisecond
	// players is how many runs of a namespace upstream attends to at a time.
	players = 4
	// retryPause is before upstream tries again.
	retryPause = 100 * time.Millisecond
)

// upstream plays Tekton and PAC in one namespace: started runs end, cancelled ones as well, and PAC
// marks those that are over.
type upstream struct {
	namespace   string
	runTime     time.Duration
	tekton, pac fixture.Clients
	informer    cache.SharedIndexInformer
	due         workqueue.TypedDelayingInterface[string]

	mu    sync.Mutex
	since map[string]time.Time // when a run was first seen to run or to be cancelled, by UID
}

func newUpstream(namespace string, runTime time.Duration, tekton, pac fixture.Clients) *upstream {
	factory := tektoninformers.NewSharedInformerFactoryWithOptions(tekton.Tekton, 0,
		tektoninformers.WithNamespace(namespace), tektoninformers.WithTransform(lighten))
	return &upstream{
		namespace: namespace, runTime: runTime, tekton: tekton, pac: pac,
		informer: factory.Tekton().V1().PipelineRuns().Informer(),
		due:      workqueue.NewTypedDelayingQueue[string](),
		since:    map[string]time.Time{},
	}
}

// longest text of an annotation that upstream keeps.
const longestKept = 256

// lighten keeps what upstream and the judge read: attackers write large objects.
func lighten(obj any) (any, error) {
	pr, ok := obj.(*tektonv1.PipelineRun)
	if !ok {
		return obj, nil
	}
	long := func(_, value string) bool { return len(value) > longestKept }
	maps.DeleteFunc(pr.Annotations, long)
	light := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Name: pr.Name, Namespace: pr.Namespace, UID: pr.UID, ResourceVersion: pr.ResourceVersion,
		CreationTimestamp: pr.CreationTimestamp, DeletionTimestamp: pr.DeletionTimestamp, Annotations: pr.Annotations,
		Labels: map[string]string{keys.State: pr.Labels[keys.State]},
	}}
	if pac.IsPACs(pr) {
		light.Labels[managedBy] = pr.Labels[managedBy]
	}
	light.Spec.Status = pr.Spec.Status
	light.Status.StartTime, light.Status.CompletionTime = pr.Status.StartTime, pr.Status.CompletionTime
	light.Status.Conditions = pr.Status.Conditions
	return light, nil
}

// play plays until the context ends.
func (u *upstream) play(ctx context.Context, observe func(*tektonv1.PipelineRun, bool)) error {
	seen := func(obj any, gone bool) {
		if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = unknown.Obj
		}
		pr, ok := obj.(*tektonv1.PipelineRun)
		if !ok {
			return
		}
		if observe != nil {
			observe(pr, gone)
		}
		u.due.Add(pr.Name)
	}
	if _, err := u.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { seen(obj, false) },
		UpdateFunc: func(_, obj any) { seen(obj, false) },
		DeleteFunc: func(obj any) { seen(obj, true) },
	}); err != nil {
		return err
	}
	var all sync.WaitGroup
	all.Go(func() { u.informer.RunWithContext(ctx) })
	for range players {
		all.Go(func() {
			for {
				name, over := u.due.Get()
				if over {
					return
				}
				if pr := u.run(name); pr != nil && u.attend(ctx, pr) != nil {
					u.due.AddAfter(name, retryPause)
				}
				u.due.Done(name)
			}
		})
	}
	<-ctx.Done()
	u.due.ShutDown()
	all.Wait()
	return nil
}

// run returns a run as it was last seen, or nil.
func (u *upstream) run(name string) *tektonv1.PipelineRun {
	obj, exists, err := u.informer.GetStore().GetByKey(u.namespace + "/" + name)
	if err != nil || !exists {
		return nil
	}
	return obj.(*tektonv1.PipelineRun)
}

// attend does what is next for a run.
func (u *upstream) attend(ctx context.Context, pr *tektonv1.PipelineRun) error {
	switch {
	case pr.IsDone():
		u.forget(pr)
		if pac.IsPACs(pr) && pr.Labels[keys.State] != completed {
			marks := map[string]any{keys.State: completed}
			return ignoreGone(u.pac.PatchRun(ctx, u.namespace, pr.Name,
				map[string]any{"metadata": map[string]any{"labels": marks, "annotations": marks}}))
		}
	case pr.IsPending() || pr.DeletionTimestamp != nil:
	case pr.IsCancelled():
		if u.after(pr, cancelTime) {
			return u.end(ctx, pr, corev1.ConditionFalse, "Cancelled")
		}
	case pr.Status.StartTime == nil:
		now := metav1.Now()
		return u.setStatus(ctx, pr, tektonv1.PipelineRunStatus{
			Status:                  duckv1.Status{Conditions: condition(corev1.ConditionUnknown, "Running")},
			PipelineRunStatusFields: tektonv1.PipelineRunStatusFields{StartTime: &now},
		})
	case u.after(pr, u.runTime):
		if pr.Spec.Status == "" {
			return u.end(ctx, pr, corev1.ConditionTrue, "Succeeded")
		}
		return u.end(ctx, pr, corev1.ConditionFalse, "Cancelled")
	}
	return nil
}

// after reports whether a time has passed since the run was first seen so, and otherwise sees to it
// that the run is attended to then.
func (u *upstream) after(pr *tektonv1.PipelineRun, pause time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, known := u.since[string(pr.UID)]
	if !known {
		since = time.Now()
		u.since[string(pr.UID)] = since
	}
	if left := pause - time.Since(since); left > 0 {
		u.due.AddAfter(pr.Name, left)
		return false
	}
	return true
}

func (u *upstream) forget(pr *tektonv1.PipelineRun) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.since, string(pr.UID))
}

func (u *upstream) end(ctx context.Context, pr *tektonv1.PipelineRun, status corev1.ConditionStatus, reason string) error {
	now := metav1.Now()
	return u.setStatus(ctx, pr, tektonv1.PipelineRunStatus{
		Status:                  duckv1.Status{Conditions: condition(status, reason)},
		PipelineRunStatusFields: tektonv1.PipelineRunStatusFields{StartTime: &now, CompletionTime: &now},
	})
}

func (u *upstream) setStatus(ctx context.Context, pr *tektonv1.PipelineRun, status tektonv1.PipelineRunStatus) error {
	return ignoreGone(u.tekton.PatchRun(ctx, u.namespace, pr.Name, map[string]any{"status": status}, "status"))
}

// ignoreGone drops the error of an object that was deleted meanwhile.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func condition(status corev1.ConditionStatus, reason string) duckv1.Conditions {
	return duckv1.Conditions{{
		Type: apis.ConditionSucceeded, Status: status, Reason: reason, LastTransitionTime: apis.VolatileTime{Inner: metav1.Now()},
	}}
}
