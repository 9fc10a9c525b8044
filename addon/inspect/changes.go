package inspect

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// source is one kind of objects that queues are made of.
type source struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// again is how long after a watch that ended, or was refused, the next one begins. Something may
// have changed in between.
const again = 2 * time.Second

// Changes tells when something of the queues of a namespace (all, if it is empty) may have changed,
// until the context ends. It says neither what nor how often: whoever is told reads again. Where
// the user may not watch, that is every few seconds.
func Changes(ctx context.Context, c Clients, namespace string) <-chan struct{} {
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // it is known already
		}
	}
	for _, s := range sourcesOf(c, namespace) {
		go func() {
			for ctx.Err() == nil {
				s.follow(ctx, tell)
				select {
				case <-ctx.Done():
				case <-time.After(again):
					tell()
				}
			}
		}()
	}
	return changed
}

func sourcesOf(c Clients, namespace string) []source {
	runs := c.Tekton.TektonV1().PipelineRuns(namespace)
	repositories := c.PAC.PipelinesascodeV1alpha1().Repositories(namespace)
	leases := c.Kube.CoordinationV1().Leases(namespace)
	sources := []source{
		selected(pac.Selector, runs.List, runs.Watch),
		selected(lease.Selector, leases.List, leases.Watch),
		selected("", repositories.List, repositories.Watch),
	}
	if c.RunQueues != nil {
		in := c.RunQueues.In(namespace)
		sources = append(sources, selected("", in.List, in.Watch), selected(pac.LabelledSelector, runs.List, runs.Watch))
	}
	return sources
}

// selected restricts a source to a label selector.
func selected[L runtime.Object](
	selector string, list func(context.Context, metav1.ListOptions) (L, error),
	follow func(context.Context, metav1.ListOptions) (watch.Interface, error),
) source {
	return source{
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return list(ctx, o)
		},
		watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return follow(ctx, o)
		},
	}
}

// follow watches from now on, until the watch ends. An error is no reason to tell anybody: reading
// meets the same.
func (s source) follow(ctx context.Context, tell func()) {
	first, err := s.list(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return
	}
	list, err := meta.ListAccessor(first)
	if err != nil {
		return
	}
	events, err := s.watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion(), AllowWatchBookmarks: true})
	if err != nil {
		return
	}
	defer events.Stop()
	tell()
	for e := range events.ResultChan() {
		switch e.Type {
		case watch.Bookmark:
		case watch.Error:
			return
		case watch.Added, watch.Modified, watch.Deleted:
			tell()
		}
	}
}
