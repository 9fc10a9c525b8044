// Package history records what happened to the queues of a cluster, from watch
// events in the order of their resourceVersions, and has it audited. Nothing is
// sampled: a state that lasted a millisecond is in the record.
package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Lag is how far behind the cluster a replica may be without being blamed for the
// order, normally: watch events of different kinds reach it at different times.
const Lag = time.Second

// GlobalRepository is where PAC looks for the settings that all inherit.
var GlobalRepository = queue.Key{Namespace: "pipelines-as-code", Repository: "pipelines-as-code"}

// Recorder records the history of every queue of a cluster. It is safe for
// concurrent use.
type Recorder struct {
	// Lag is how far behind the cluster audits let a replica be. Change it before
	// the first one, for replicas whose way to the API server is made worse.
	Lag time.Duration

	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	changes  []change
	current  map[string]change // the latest of each object that exists
	listed   map[string]bool   // kinds of lists that were recorded once
	notify   chan struct{}     // closed and replaced at every change
	problems []error
}

// change is one watch event.
type change struct {
	version uint64
	at      time.Time
	gone    bool
	object  metav1.Object
}

// Record starts recording, through the API server, and returns once what exists
// has been recorded. The record has a hole if something changed while there was no
// API server to watch.
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
	r, ctx := newRecorder(ctx)
	runs, repositories, leases := tekton.TektonV1().PipelineRuns(""), paas.PipelinesascodeV1alpha1().Repositories(""), kube.CoordinationV1().Leases("")
	for _, source := range []cache.ListWatch{
		{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return repositories.List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return repositories.Watch(ctx, o)
			},
		},
		{
			ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return runs.List(ctx, o) },
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return runs.Watch(ctx, o) },
		},
		{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.LabelSelector = lease.Selector
				return leases.List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.LabelSelector = lease.Selector
				return leases.Watch(ctx, o)
			},
		},
	} {
		if err := r.follow(ctx, &source); err != nil {
			r.Stop()
			return nil, err
		}
	}
	return r, nil
}

// newRecorder returns an empty record and the context for what fills it, which
// ends with Stop.
func newRecorder(ctx context.Context) (*Recorder, context.Context) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &Recorder{Lag: Lag, stop: stop, current: map[string]change{}, listed: map[string]bool{}, notify: make(chan struct{})}, ctx
}

// Stop ends the recording. What was recorded stays.
func (r *Recorder) Stop() {
	r.stop()
	r.done.Wait()
}

// follow records what exists and then every event. The API server ends a watch
// when it sets the storage of a custom resource up anew, and cannot resume it
// from before that: then what exists is compared with the record, and only a
// difference is a hole.
func (r *Recorder) follow(ctx context.Context, source *cache.ListWatch) error {
	version, err := r.list(ctx, source)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	r.done.Go(func() {
		for ctx.Err() == nil {
			if err := r.watch(ctx, source, version); err != nil {
				r.problem(err)
			}
			for ctx.Err() == nil {
				if version, err = r.list(ctx, source); err == nil {
					break
				}
				select { // the API server is away: ask again soon
				case <-time.After(relist):
				case <-ctx.Done():
				}
			}
		}
	})
	return nil
}

// relist is the pause between attempts to reach an API server that is away.
const relist = 200 * time.Millisecond

// list records what exists and differs from the record, and returns the version
// to watch from.
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
			r.problem(fmt.Errorf("the record has a hole: %s changed unseen", id))
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
			r.problems = append(r.problems, fmt.Errorf("the record has a hole: %s went unseen", id))
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

func (r *Recorder) problem(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, err)
}

// Err says what is wrong with the record, if anything.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.problems...)
}

func identity(o runtime.Object, object metav1.Object) string {
	return fmt.Sprintf("%T %s/%s %s", o, object.GetNamespace(), object.GetName(), object.GetUID())
}

func (r *Recorder) add(o runtime.Object, gone bool) error {
	object, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	version, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return fmt.Errorf("resourceVersion of %T %s: %w", o, object.GetName(), err)
	}
	c := change{version: version, at: time.Now(), gone: gone, object: object}
	id := identity(o, object)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
	if gone {
		delete(r.current, id)
	} else {
		r.current[id] = c
	}
	close(r.notify)
	r.notify = make(chan struct{})
	return nil
}

// View is a queue as it is now.
type View struct {
	Key          queue.Key
	Limit        queue.Limit
	Runs         []queue.Run // in queue order
	PipelineRuns map[string]*tektonv1.PipelineRun
	Slots        []queue.Slot // by index
	Changed      time.Time    // when anything of this was last seen to change
}

// In returns the runs in the given phase, in queue order.
func (v View) In(p queue.Phase) []queue.Run {
	var runs []queue.Run
	for _, r := range v.Runs {
		if r.Phase == p {
			runs = append(runs, r)
		}
	}
	return runs
}

// View returns the queue as it is now.
func (r *Recorder) View(key queue.Key) View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view(key)
}

func (r *Recorder) view(key queue.Key) View {
	v := View{Key: key, PipelineRuns: map[string]*tektonv1.PipelineRun{}}
	var runs []queue.Run
	var local, global *pacv1alpha1.Repository
	for _, c := range r.current {
		changed := func() {
			if c.at.After(v.Changed) {
				v.Changed = c.at
			}
		}
		switch o := c.object.(type) {
		case *tektonv1.PipelineRun:
			if k, ok := pac.KeyOf(o); ok && k == key {
				changed()
				runs = append(runs, pac.ReadRun(o))
				v.PipelineRuns[o.Name] = o
			}
		case *coordinationv1.Lease:
			if k, slot, ok := lease.Decode(o); ok && k == key {
				changed()
				v.Slots = append(v.Slots, slot)
			}
		case *pacv1alpha1.Repository:
			switch keyOf(o) {
			case key:
				local = o
			case GlobalRepository:
				global = o
			}
		}
	}
	if local != nil {
		v.Limit, _ = pac.ReadLimit(local, global)
	}
	v.Runs = queue.InOrder(runs, v.Slots)
	slices.SortFunc(v.Slots, func(a, b queue.Slot) int { return cmp.Compare(a.Index, b.Index) })
	return v
}

// Changed returns a channel that is closed at the next change.
func (r *Recorder) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notify
}

// Wait returns as soon as the queue is as the condition wants it, which it asks
// at every change.
func (r *Recorder) Wait(ctx context.Context, key queue.Key, condition func(View) bool) error {
	for {
		r.mu.Lock()
		v, next := r.view(key), r.notify
		r.mu.Unlock()
		if condition(v) {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Audit replays the history of one queue, from the beginning until now. It fails
// if the record has a hole.
func (r *Recorder) Audit(key queue.Key) (*audit.Auditor, error) {
	r.mu.Lock()
	changes := slices.Clone(r.changes)
	r.mu.Unlock()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("no audit of %s: %w", key, err)
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	auditor := audit.New(r.Lag)
	var local, global *pacv1alpha1.Repository
	for _, c := range changes {
		switch o := c.object.(type) {
		case *tektonv1.PipelineRun:
			k, ok := pac.KeyOf(o)
			switch {
			case !ok || k != key:
			case c.gone:
				auditor.Gone(string(o.UID), c.at)
			default:
				auditor.Run(pac.ReadRun(o), c.at)
			}
		case *coordinationv1.Lease:
			k, slot, ok := lease.Decode(o)
			switch {
			case !ok || k != key:
			case c.gone:
				auditor.SlotGone(slot.Index)
			default:
				auditor.Slot(slot, c.at)
			}
		case *pacv1alpha1.Repository:
			switch keyOf(o) {
			case key:
				local = o
			case GlobalRepository:
				global = o
				if c.gone {
					global = nil
				}
			default:
				continue
			}
			if local != nil && !c.gone {
				limit, _ := pac.ReadLimit(local, global)
				auditor.SetLimit(limit, c.at)
			}
		}
	}
	return auditor, nil
}

// Text is the record of one queue for people, a line per change.
func (r *Recorder) Text(key queue.Key) string {
	r.mu.Lock()
	changes := slices.Clone(r.changes)
	r.mu.Unlock()
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	var text strings.Builder
	for _, c := range changes {
		line := ""
		switch o := c.object.(type) {
		case *tektonv1.PipelineRun:
			if k, ok := pac.KeyOf(o); ok && k == key {
				run := pac.ReadRun(o)
				line = fmt.Sprintf("run %s %s, attempt %d, claim %v, ordered %t, owed %q", run.Name, run.Phase, run.Attempt, run.Claim, run.Order != nil, run.Owed)
			}
		case *coordinationv1.Lease:
			if k, slot, ok := lease.Decode(o); ok && k == key {
				line = fmt.Sprintf("slot %d free, transition %d", slot.Index, slot.Transition)
				if h := slot.Holder; h != nil {
					line = fmt.Sprintf("slot %d holds %s, attempt %d, transition %d", slot.Index, h.Name, h.Attempt, slot.Transition)
				}
			}
		case *pacv1alpha1.Repository:
			if keyOf(o) == key {
				line = "Repository " + o.Name
			}
		}
		if line != "" && c.gone {
			line += ", gone"
		}
		if line != "" {
			fmt.Fprintf(&text, "%s %d %s\n", c.at.Format("15:04:05.000"), c.version, line)
		}
	}
	return text.String()
}

func keyOf(o metav1.Object) queue.Key {
	return queue.Key{Namespace: o.GetNamespace(), Repository: o.GetName()}
}
