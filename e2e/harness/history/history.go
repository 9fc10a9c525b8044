package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Lag is how far behind the cluster a replica may normally be without being blamed for an
// overtaking: watch events of different kinds reach it at different times.
const Lag = time.Second

// GlobalRepository is the Repository whose settings all others inherit.
var GlobalRepository = queue.Key{Namespace: "pipelines-as-code", Repository: "pipelines-as-code"}

// Recorder records the history of every queue of a cluster. It is safe for concurrent use.
type Recorder struct {
	// Lag is how far behind the cluster audits let a replica be. Raise it before the first audit if
	// a test slows the replicas' way to the API server.
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

// newRecorder returns an empty record and the context for what fills it, which Stop ends.
func newRecorder(ctx context.Context) (*Recorder, context.Context) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &Recorder{
		Lag: Lag, stop: stop, current: map[string]change{}, listed: map[string]bool{}, notify: make(chan struct{}),
	}, ctx
}

// Stop ends the recording and keeps the record.
func (r *Recorder) Stop() {
	r.stop()
	r.done.Wait()
}

// Err returns what went wrong with the recording, or nil.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.problems...)
}

func (r *Recorder) problem(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, err)
}

// add records one change.
func (r *Recorder) add(o runtime.Object, gone bool) error {
	object, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	version, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return fmt.Errorf("resourceVersion of %T %s: %w", o, object.GetName(), err)
	}
	c := read(object)
	c.version, c.at, c.gone = version, time.Now(), gone
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

// inOrder returns all changes in the order of their resourceVersions.
func (r *Recorder) inOrder() []change {
	r.mu.Lock()
	changes := slices.Clone(r.changes)
	r.mu.Unlock()
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	return changes
}

// change is one watch event. What it says of a run or a slot is read once: whoever waits looks at
// all that exists at every change.
type change struct {
	version uint64
	at      time.Time
	gone    bool
	object  metav1.Object

	key  queue.Key // of the run or slot
	run  *queue.Run
	slot *queue.Slot
}

// read returns a change with what the object itself tells.
func read(object metav1.Object) change {
	c := change{object: object}
	switch o := object.(type) {
	case *tektonv1.PipelineRun:
		if key, ok := pac.KeyOf(o); ok {
			run := pac.ReadRun(o)
			c.key, c.run = key, &run
		}
	case *coordinationv1.Lease:
		if key, slot, ok := lease.Decode(o); ok {
			c.key, c.slot = key, &slot
		}
	}
	return c
}

// runOf returns what the change says of a run, if it is one of the queue.
func (c change) runOf(key queue.Key) (queue.Run, bool) {
	if c.run == nil || c.key != key {
		return queue.Run{}, false
	}
	return *c.run, true
}

// slotOf returns what the change says of a slot, if it is one of the queue.
func (c change) slotOf(key queue.Key) (queue.Slot, bool) {
	if c.slot == nil || c.key != key {
		return queue.Slot{}, false
	}
	return *c.slot, true
}

func identity(o runtime.Object, object metav1.Object) string {
	return fmt.Sprintf("%T %s/%s %s", o, object.GetNamespace(), object.GetName(), object.GetUID())
}

func keyOf(o metav1.Object) queue.Key {
	return queue.Key{Namespace: o.GetNamespace(), Repository: o.GetName()}
}
