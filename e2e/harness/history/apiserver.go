package history

import (
	"context"
	"fmt"
	"time"

	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Record starts to record through the API server and returns once everything that exists is
// recorded. The record has a hole if something changes while no API server is there to watch.
func Record(ctx context.Context, config *rest.Config) (*Recorder, error) {
	tekton, err := tektonclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	paas, err := pacclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	runQueues, err := runqueue.NewClient(config)
	if err != nil {
		return nil, err
	}
	r, ctx := newRecorder(ctx)
	for _, source := range []cache.ListWatch{
		listWatch(paas.PipelinesascodeV1alpha1().Repositories(""), ""),
		listWatch(tekton.TektonV1().PipelineRuns(""), ""),
		listWatch(kube.CoordinationV1().Leases(""), lease.Selector),
		listWatch(runQueues.In(""), ""),
	} {
		err := r.follow(ctx, &source)
		if apierrors.IsNotFound(err) { // the CRD may come later, as that of RunQueues does with the chart
			r.done.Go(func() { r.goOn(ctx, &source) })
		} else if err != nil {
			r.Stop()
			return nil, err
		}
	}
	return r, nil
}

// listWatch returns the source of one kind's events, restricted to a label selector.
func listWatch[L runtime.Object](client interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}, selector string,
) cache.ListWatch {
	return cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return client.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return client.Watch(ctx, o)
		},
	}
}

// follow records what exists and then every event. The API server ends a watch when it sets up the
// storage of a custom resource anew, and cannot resume it from a version before that. What exists
// is then compared with the record, and only a difference is a hole.
func (r *Recorder) follow(ctx context.Context, source *cache.ListWatch) error {
	version, err := r.list(ctx, source)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	r.done.Go(func() {
		if err := r.watch(ctx, source, version); err != nil {
			r.problem(err)
		}
		r.goOn(ctx, source)
	})
	return nil
}

// goOn records what exists as soon as it can be listed, and then every event, again and again.
func (r *Recorder) goOn(ctx context.Context, source *cache.ListWatch) {
	for ctx.Err() == nil {
		version, err := r.list(ctx, source)
		if err != nil {
			select { // the API server is away, or has no such thing
			case <-time.After(relistPause):
			case <-ctx.Done():
			}
			continue
		}
		if err := r.watch(ctx, source, version); err != nil {
			r.problem(err)
		}
	}
}

// relistPause is between attempts to reach an API server that is away.
const relistPause = 200 * time.Millisecond

// list records what exists and differs from the record, and returns the version to watch from.
func (r *Recorder) list(ctx context.Context, source *cache.ListWatch) (string, error) {
	list, err := source.ListWithContext(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	listMeta, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	kind := fmt.Sprintf("%T", list)
	exists := map[string]bool{}
	err = meta.EachListItem(list, func(o runtime.Object) error {
		object, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		id := identity(o, object)
		exists[id] = true
		r.mu.Lock()
		known, ok := r.current[id]
		again := r.listed[kind]
		r.mu.Unlock()
		if ok && known.object.GetResourceVersion() == object.GetResourceVersion() {
			return nil
		}
		if again {
			r.problem(fmt.Errorf("the record has a hole: a change of %s was missed", id))
		}
		return r.add(o, false)
	})
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, known := range r.current {
		if o, ok := known.object.(runtime.Object); ok && !exists[id] && fmt.Sprintf("%T", o)+"List" == kind {
			r.problems = append(r.problems, fmt.Errorf("the record has a hole: the deletion of %s was missed", id))
			delete(r.current, id)
		}
	}
	r.listed[kind] = true
	return listMeta.GetResourceVersion(), nil
}

// watch records every event from a version on, until the watch cannot be resumed.
func (r *Recorder) watch(ctx context.Context, source *cache.ListWatch, version string) error {
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, version, source)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	defer watcher.Stop()
	for e := range watcher.ResultChan() {
		switch e.Type {
		case watch.Bookmark:
		case watch.Error:
			if err := apierrors.FromObject(e.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				return fmt.Errorf("record: %w", err)
			}
			return nil
		default:
			if err := r.add(e.Object, e.Type == watch.Deleted); err != nil {
				return err
			}
		}
	}
	return nil
}
