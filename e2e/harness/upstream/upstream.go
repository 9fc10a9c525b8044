// Package upstream plays Tekton and Pipelines-as-Code where neither runs: it ends the runs that are
// started and those that are cancelled, and marks the ones that are over, by the requests that the
// two make.
//
// Guaranteed: a run that is started ends, however often a request fails, until the context ends.
// Not guaranteed: that nobody else plays. Where a real PAC watcher runs, leave the marks to it.
package upstream

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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

const (
	// cancelTime is how long Tekton takes to end a cancelled run.
	cancelTime = 200 * time.Millisecond
	// retryPause is before a failed request is repeated.
	retryPause = 100 * time.Millisecond
	// completed is PAC's mark on a run that it is done with.
	completed = "completed"

	managedBy = "app.kubernetes.io/managed-by"
)

// Config says what is played.
type Config struct {
	// Namespace is the one in which upstream plays. Empty means all.
	Namespace string
	// RunTime is how long a started run takes, and the finally tasks of one that is stopped. Zero
	// means that none ends.
	RunTime time.Duration
	// Players is how many runs are attended to at a time.
	Players int
	// Tekton and PAC are the clients of the two. Without clients of PAC nothing is marked.
	Tekton fixture.Clients
	PAC    *fixture.Clients
	// Observe hears of each change of a run, and of the end of one, before it is attended to. It
	// may be nil.
	Observe func(pr *tektonv1.PipelineRun, gone bool)
}

// Upstream plays in one namespace or in all.
type Upstream struct {
	Config
	informer cache.SharedIndexInformer
	due      workqueue.TypedDelayingInterface[cache.ObjectName]

	mu    sync.Mutex
	since map[types.UID]time.Time // when a run was first seen to run or to be cancelled
}

// New returns an upstream that does not play yet.
func New(c Config) *Upstream {
	factory := tektoninformers.NewSharedInformerFactoryWithOptions(c.Tekton.Tekton, 0,
		tektoninformers.WithNamespace(c.Namespace), tektoninformers.WithTransform(lighten))
	return &Upstream{
		Config:   c,
		informer: factory.Tekton().V1().PipelineRuns().Informer(),
		due:      workqueue.NewTypedDelayingQueue[cache.ObjectName](),
		since:    map[types.UID]time.Time{},
	}
}

// longestKept is the longest text of an annotation that is kept, in bytes.
const longestKept = 256

// lighten keeps what is played by and what observers read: attackers write large objects.
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

// Play plays until the context ends.
func (u *Upstream) Play(ctx context.Context) error {
	seen := func(obj any, gone bool) {
		if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = unknown.Obj
		}
		pr, ok := obj.(*tektonv1.PipelineRun)
		if !ok {
			return
		}
		if u.Observe != nil {
			u.Observe(pr, gone)
		}
		if gone {
			u.forget(pr)
		}
		u.due.Add(cache.MetaObjectToName(pr))
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
	for range u.Players {
		all.Go(func() {
			for {
				name, over := u.due.Get()
				if over {
					return
				}
				if pr := u.Run(name.Namespace, name.Name); pr != nil && u.attend(ctx, pr) != nil {
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

// Run returns a run as it was last seen, without long annotations and most of its spec, or nil.
func (u *Upstream) Run(namespace, name string) *tektonv1.PipelineRun {
	obj, exists, err := u.informer.GetStore().GetByKey(cache.NewObjectName(namespace, name).String())
	if err != nil || !exists {
		return nil
	}
	return obj.(*tektonv1.PipelineRun)
}

// UnderWay is how many runs have begun, or are being cancelled, and have not ended.
func (u *Upstream) UnderWay() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.since)
}

// attend does what is next for a run.
func (u *Upstream) attend(ctx context.Context, pr *tektonv1.PipelineRun) error {
	switch {
	case pr.IsDone():
		u.forget(pr)
		if u.PAC != nil && pac.IsPACs(pr) && pr.Labels[keys.State] != completed {
			marks := map[string]any{keys.State: completed}
			return ignoreGone(u.PAC.PatchRun(ctx, pr.Namespace, pr.Name,
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
	case u.RunTime > 0 && u.after(pr, u.RunTime):
		if pr.Spec.Status == "" {
			return u.end(ctx, pr, corev1.ConditionTrue, "Succeeded")
		}
		return u.end(ctx, pr, corev1.ConditionFalse, "Cancelled")
	}
	return nil
}

// after reports whether a time has passed since the run was first seen so, and otherwise sees to it
// that the run is attended to then.
func (u *Upstream) after(pr *tektonv1.PipelineRun, pause time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, known := u.since[pr.UID]
	if !known {
		since = time.Now()
		u.since[pr.UID] = since
	}
	if left := pause - time.Since(since); left > 0 {
		u.due.AddAfter(cache.MetaObjectToName(pr), left)
		return false
	}
	return true
}

func (u *Upstream) forget(pr *tektonv1.PipelineRun) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.since, pr.UID)
}

func (u *Upstream) end(ctx context.Context, pr *tektonv1.PipelineRun, status corev1.ConditionStatus, reason string) error {
	now := metav1.Now()
	return u.setStatus(ctx, pr, tektonv1.PipelineRunStatus{
		Status:                  duckv1.Status{Conditions: condition(status, reason)},
		PipelineRunStatusFields: tektonv1.PipelineRunStatusFields{StartTime: &now, CompletionTime: &now},
	})
}

func (u *Upstream) setStatus(ctx context.Context, pr *tektonv1.PipelineRun, status tektonv1.PipelineRunStatus) error {
	return ignoreGone(u.Tekton.PatchRun(ctx, pr.Namespace, pr.Name, map[string]any{"status": status}, "status"))
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
