package main

import (
	"context"
	"fmt"
	"sync"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

// floorWorkers is how many hand-overs the floor makes at a time.
const floorWorkers = 16

// floor is the least that any queue in Leases must do: for every run that ends it writes one Lease
// and starts the next run. It remembers everything and checks nothing, so it survives nothing.
type floor struct {
	clients fixture.Clients
	due     workqueue.TypedInterface[step]
	// before is what is done besides, before a run is started; nil for nothing.
	before func(context.Context, step) error

	mu     sync.Mutex
	limit  int
	queues map[queue.Key]*line
}

// line is what the floor remembers of a queue.
type line struct {
	known   map[string]bool // runs by name: false until they are done
	waiting []string
	leases  []*coordinationv1.Lease // by slot
	free    []int                   // slots
	slots   map[string]int          // by the run that has it
}

// step is one hand-over.
type step struct {
	key  queue.Key
	slot int
	run  string
}

func newFloor(clients fixture.Clients, limit int) *floor {
	return &floor{clients: clients, due: workqueue.NewTyped[step](), limit: limit, queues: map[queue.Key]*line{}}
}

// play plays until the context ends.
func (f *floor) play(ctx context.Context) error {
	informer := tektoninformers.NewSharedInformerFactory(f.clients.Tekton, 0).Tekton().V1().PipelineRuns().Informer()
	if err := informer.SetTransform(func(obj any) (any, error) {
		if pr, ok := obj.(*tektonv1.PipelineRun); ok {
			pr.ManagedFields, pr.Spec.PipelineSpec = nil, nil
		}
		return obj, nil
	}); err != nil {
		return err
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { f.see(obj.(*tektonv1.PipelineRun)) },
		UpdateFunc: func(_, obj any) { f.see(obj.(*tektonv1.PipelineRun)) },
	}); err != nil {
		return err
	}
	var all sync.WaitGroup
	all.Go(func() { informer.RunWithContext(ctx) })
	failed := make(chan error, floorWorkers)
	for range floorWorkers {
		all.Go(func() {
			for {
				s, over := f.due.Get()
				if over {
					return
				}
				if err := f.take(ctx, s); err != nil && ctx.Err() == nil {
					failed <- fmt.Errorf("the floor, %s, %s: %w", s.key, s.run, err)
					return
				}
				f.due.Done(s)
			}
		})
	}
	defer all.Wait()
	defer f.due.ShutDown()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// see notes a run that waits or is done.
func (f *floor) see(pr *tektonv1.PipelineRun) {
	key, ok := pac.KeyOf(pr)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.queues[key]
	if l == nil {
		l = &line{known: map[string]bool{}, slots: map[string]int{}}
		f.queues[key] = l
	}
	done, known := l.known[pr.Name]
	switch {
	case !known && pr.IsPending():
		l.known[pr.Name] = false
		l.waiting = append(l.waiting, pr.Name)
	case known && !done && pr.IsDone():
		l.known[pr.Name] = true
		if slot, has := l.slots[pr.Name]; has {
			l.free = append(l.free, slot)
		}
	}
	f.fill(key, l)
}

// raise changes the limit of every queue.
func (f *floor) raise(limit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = limit
	for key, l := range f.queues {
		f.fill(key, l)
	}
}

// fill hands free slots to the runs that wait.
func (f *floor) fill(key queue.Key, l *line) {
	for len(l.leases) < f.limit {
		l.free = append(l.free, len(l.leases))
		l.leases = append(l.leases, nil)
	}
	for len(l.free) > 0 && len(l.waiting) > 0 {
		s := step{key: key, slot: l.free[0], run: l.waiting[0]}
		l.free, l.waiting = l.free[1:], l.waiting[1:]
		l.slots[s.run] = s.slot
		f.due.Add(s)
	}
}

// take writes the Lease and starts the run.
func (f *floor) take(ctx context.Context, s step) error {
	f.mu.Lock()
	lease := f.queues[s.key].leases[s.slot]
	f.mu.Unlock()
	leases := f.clients.Kube.CoordinationV1().Leases(s.key.Namespace)
	var err error
	if lease == nil {
		lease, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("floor-%s-%d", s.key.Repository, s.slot)},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &s.run},
		}, metav1.CreateOptions{})
	} else {
		lease.Spec.HolderIdentity = &s.run
		lease, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.queues[s.key].leases[s.slot] = lease
	f.mu.Unlock()
	if f.before != nil {
		if err := f.before(ctx, s); err != nil {
			return err
		}
	}
	return f.clients.PatchRun(ctx, s.key.Namespace, s.run, map[string]any{"spec": map[string]any{"status": nil}})
}
