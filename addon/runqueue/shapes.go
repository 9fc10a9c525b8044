package runqueue

import (
	"fmt"
	"maps"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Shapes are those of the RunQueues in an informer. A spec is compiled when its queue is first
// looked at. They are safe for concurrent use.
type Shapes struct {
	store cache.Store

	mu       sync.Mutex
	compiled map[queue.Key]*compiled
}

var _ pac.Shapes = (*Shapes)(nil)

// compiled is what a RunQueue has been compiled to.
type compiled struct {
	from       *v1alpha1.RunQueue // as the cache had it; objects of a cache never change
	uid        types.UID
	generation int64
	texts      map[string]string // annotations
	shape      *Shape
	problem    error
}

// NewShapes reads the RunQueues of a store, which must have been trimmed by a [Trimmer].
func NewShapes(store cache.Store) *Shapes {
	return &Shapes{store: store, compiled: map[queue.Key]*compiled{}}
}

// Keys lists the queues that have a RunQueue.
func (s *Shapes) Keys() []queue.Key {
	var keys []queue.Key
	for _, name := range s.store.ListKeys() {
		keys = append(keys, queue.ParseKey(name))
	}
	return keys
}

// Of implements pac.Shapes. A queue without a RunQueue has no shape.
func (s *Shapes) Of(key queue.Key) pac.Shape {
	if _, is, exists := s.get(key); exists {
		return is.shape
	}
	return nil
}

// Known is what is known of a RunQueue.
type Known struct {
	UID        types.UID
	Generation int64
	// Problem says what of the spec cannot be used; nil if all can.
	Problem error
	// Conditions and Hash are of its status.
	Conditions []metav1.Condition
	Hash       string
}

// Get returns what is known of the RunQueue of a queue; false if there is none.
func (s *Shapes) Get(key queue.Key) (Known, bool) {
	rq, is, exists := s.get(key)
	if !exists {
		return Known{}, false
	}
	return Known{
		UID: rq.UID, Generation: rq.Generation, Problem: is.problem, Conditions: rq.Status.Conditions, Hash: rq.Annotations[statusHash],
	}, true
}

// get returns the RunQueue, trimmed, and what it has been compiled to.
func (s *Shapes) get(key queue.Key) (*v1alpha1.RunQueue, *compiled, bool) {
	obj, exists, err := s.store.GetByKey(key.String())
	rq, ok := obj.(*v1alpha1.RunQueue)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || !exists || !ok {
		delete(s.compiled, key)
		return nil, nil, false
	}
	was := s.compiled[key]
	if was == nil || was.uid != rq.UID {
		was = &compiled{}
	}
	if was.from == rq {
		return rq, was, true
	}
	if was.uid == rq.UID && was.generation == rq.Generation && maps.Equal(was.texts, textsOf(rq)) {
		was.from = rq
		return rq, was, true
	}
	is := compile(rq, was.shape)
	s.compiled[key] = is
	return rq, is, true
}

// compile compiles a RunQueue. If its priorities cannot be used, those count that did before.
func compile(rq *v1alpha1.RunQueue, before *Shape) *compiled {
	is := &compiled{from: rq, uid: rq.UID, generation: rq.Generation, texts: textsOf(rq)}
	is.shape, is.problem = Compile(rq.Spec)
	if rq.Annotations[noRoom] != "" {
		is.problem = fmt.Errorf("the RunQueues of namespace %s have more than %d KiB of conditions: the priorities of this one "+
			"are not used. Make them fewer or shorter", rq.Namespace, namespaceBudget>>10)
	}
	if len(is.shape.rules) == 0 && before != nil && (len(rq.Spec.Priorities) > 0 || rq.Annotations[noRoom] != "") {
		is.shape.rules = before.rules
	}
	if is.shape.spec.Paused {
		is.shape.spec.PausedBy = pausedBy(rq.Annotations)
	}
	return is
}

// textsOf are the annotations that a shape has something of.
func textsOf(rq *v1alpha1.RunQueue) map[string]string {
	texts := maps.Clone(rq.Annotations)
	delete(texts, statusHash)
	return texts
}

// pausedBy says who paused a queue, and why, as far as that is known.
func pausedBy(annotations map[string]string) string {
	by, why := annotations[PausedBy], annotations[PauseReason]
	switch {
	case by != "" && why != "":
		return fmt.Sprintf("by %s: %s", by, why)
	case by != "":
		return "by " + by
	default:
		return why
	}
}

// IsNews reports whether a later version of a RunQueue, as the cache keeps it, wants anything else
// of its queue than the earlier one: its status is this product's own.
func IsNews(was, is any) bool {
	earlier, existed := was.(*v1alpha1.RunQueue)
	later, ok := is.(*v1alpha1.RunQueue)
	return !existed || !ok || earlier.UID != later.UID || earlier.Generation != later.Generation ||
		!maps.Equal(textsOf(earlier), textsOf(later))
}

// KeyOf returns the queue of a RunQueue.
func KeyOf(o metav1.Object) queue.Key {
	return queue.Key{Namespace: o.GetNamespace(), Repository: o.GetName()}
}
