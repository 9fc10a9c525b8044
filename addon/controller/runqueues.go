package controller

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

// watchRunQueues watches the RunQueues of a namespace, too.
func (w *watches) watchRunQueues(client *runqueue.Client, namespace string) error {
	in, trimmer := client.In(namespace), runqueue.NewTrimmer()
	w.runQueues = cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return in.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return in.Watch(ctx, o)
		},
	}, &v1alpha1.RunQueue{}, 0, cache.Indexers{})
	if err := w.runQueues.SetTransform(trimmer.Cache); err != nil {
		return fmt.Errorf("trim RunQueues: %w", err)
	}
	if err := trimmer.Follow(w.runQueues); err != nil {
		return fmt.Errorf("trim RunQueues: %w", err)
	}
	w.served = func(ctx context.Context) (bool, error) { return client.Served(ctx, namespace) }
	w.start = append(w.start, func(stop <-chan struct{}) { go w.runQueues.Run(stop) })
	return nil
}

// servedEvery is how often the API server is asked whether it has RunQueues, until it answers.
const servedEvery = time.Second

// runQueuesKnown returns once the cache has the RunQueues, or the API server has none: its CRD may
// come later, and the watch then shows them. As long as neither is known, no queue is worked on,
// since one of them may be paused.
func (w *watches) runQueuesKnown(ctx context.Context) error {
	told := ""
	return wait.PollUntilContextCancel(ctx, servedEvery, true, func(ctx context.Context) (bool, error) {
		if w.runQueues.HasSynced() {
			return true, nil
		}
		served, err := w.served(ctx)
		if err != nil && err.Error() != told {
			told = err.Error()
			logging.FromContext(ctx).Warnw("Waiting for RunQueues", "error", err)
		}
		return err == nil && !served, nil
	})
}

// eachRunQueue tells a listener of every event of a RunQueue.
func (w *watches) eachRunQueue(l listener) error {
	changed := func(obj any) {
		if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
			obj = tombstone.Obj
		}
		if rq, ok := obj.(*runqueue.Cached); ok {
			l.changed(rq.Key(), false)
		}
	}
	_, err := w.runQueues.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed,
		UpdateFunc: func(was, is any) {
			if runqueue.IsNews(was, is) {
				changed(is)
			} else if rq, ok := is.(*runqueue.Cached); ok {
				l.shown(rq.Key())
			}
		},
		DeleteFunc: changed,
	})
	if err != nil {
		return fmt.Errorf("watch RunQueues: %w", err)
	}
	return nil
}
