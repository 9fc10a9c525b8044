package watches

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

// watchRunQueues watches the RunQueues of a namespace, too.
func (w *Watches) watchRunQueues(c Clients, namespace string) error {
	in, trimmer := c.RunQueues.In(namespace), runqueue.NewTrimmer()
	w.RunQueues = cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return in.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return in.Watch(ctx, o)
		},
	}, &v1alpha1.RunQueue{}, 0, cache.Indexers{})
	if err := w.RunQueues.SetTransform(trimmer.Cache); err != nil {
		return fmt.Errorf("trim RunQueues: %w", err)
	}
	if err := trimmer.Follow(w.RunQueues); err != nil {
		return fmt.Errorf("trim RunQueues: %w", err)
	}
	w.served = func(ctx context.Context) (bool, error) { return c.RunQueues.Served(ctx, namespace) }
	w.start = append(w.start, func(stop <-chan struct{}) { go w.RunQueues.Run(stop) })
	return nil
}

// servedEvery is how often the API server is asked whether it has RunQueues, until it answers.
const servedEvery = time.Second

// runQueuesKnown returns once the cache has the RunQueues, or the API server has none: its CRD may
// come later, and the watch then shows them. As long as neither is known, no queue is worked on,
// since one of them may be paused.
func (w *Watches) runQueuesKnown(ctx context.Context) error {
	told := ""
	return wait.PollUntilContextCancel(ctx, servedEvery, true, func(ctx context.Context) (bool, error) {
		if w.RunQueues.HasSynced() {
			return true, nil
		}
		served, err := w.served(ctx)
		if err != nil && err.Error() != told {
			told = err.Error()
			klog.FromContext(ctx).Info("Waiting for RunQueues", "error", err)
		}
		return err == nil && !served, nil
	})
}
