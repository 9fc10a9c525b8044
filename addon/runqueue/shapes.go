package runqueue

import (
	"context"
	"fmt"
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
	get   Get

	mu       sync.Mutex
	compiled map[queue.Key]*compiled
}

var _ pac.Shapes = (*Shapes)(nil)

// compiled is what a RunQueue has been compiled to.
type compiled struct {
	from    *Cached // as the cache had it
	shape   *Shape
	problem error
}

// Get reads one RunQueue past every cache; nil if there is none.
type Get func(context.Context, queue.Key) (*v1alpha1.RunQueue, error)

// NewShapes reads the RunQueues of a store, which must have been put there by a [Trimmer]. Without
// get, no answer is fresh.
func NewShapes(store cache.Store, get Get) *Shapes {
	return &Shapes{store: store, get: get, compiled: map[queue.Key]*compiled{}}
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
	if _, is, exists := s.cached(key); exists {
		return is.shape
	}
	return nil
}

// Own implements pac.Shapes: a RunQueue with a limit needs no Repository.
func (s *Shapes) Own(ctx context.Context, key queue.Key, freshness queue.Freshness) (pac.Own, bool, error) {
	if freshness == queue.Fresh && s.get != nil {
		rq, err := s.get(ctx, key)
		if err != nil || rq == nil || rq.DeletionTimestamp != nil || rq.Spec.Limit <= 0 {
			return pac.Own{}, false, err
		}
		return pac.Own{UID: string(rq.UID), Limit: queue.Limit(rq.Spec.Limit)}, true, nil
	}
	rq, _, exists := s.cached(key)
	if !exists || rq.wants.spec.Limit <= 0 {
		return pac.Own{}, false, nil
	}
	return pac.Own{UID: rq.uid, Limit: queue.Limit(rq.wants.spec.Limit)}, true, nil
}

// Known is what is known of a RunQueue.
type Known struct {
	UID        types.UID
	Generation int64
	// Problem says what of the spec cannot be used; nil if all can.
	Problem error
	// Limit is that of its spec; 0 if it says none.
	Limit int32
	// Conditions and Hash are of its status.
	Conditions []metav1.Condition
	Hash       string
}

// Get returns what is known of the RunQueue of a queue; false if there is none.
func (s *Shapes) Get(key queue.Key) (Known, bool) {
	rq, is, exists := s.cached(key)
	if !exists {
		return Known{}, false
	}
	return Known{
		UID: types.UID(rq.uid), Generation: rq.wants.generation, Problem: is.problem, Limit: rq.wants.spec.Limit,
		Conditions: rq.conditions, Hash: rq.hash,
	}, true
}

// cached returns the RunQueue and what it has been compiled to.
func (s *Shapes) cached(key queue.Key) (*Cached, *compiled, bool) {
	obj, exists, err := s.store.GetByKey(key.String())
	rq, ok := obj.(*Cached)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || !exists || !ok {
		delete(s.compiled, key)
		return nil, nil, false
	}
	was := s.compiled[key]
	switch {
	case was == nil || was.from.uid != rq.uid:
		s.compiled[key] = compile(rq, nil)
	case was.from == rq:
	case wantAlike(was.from, rq):
		was.from = rq
	default:
		s.compiled[key] = compile(rq, was.shape)
	}
	return rq, s.compiled[key], true
}

// compile compiles a RunQueue. If its priorities cannot be used, those count that did before.
func compile(rq *Cached, before *Shape) *compiled {
	if rq.wants.spec == &nothing && !rq.wants.noRoom {
		return &compiled{from: rq, shape: plain}
	}
	is := &compiled{from: rq}
	is.shape, is.problem = Compile(*rq.wants.spec)
	if rq.wants.noRoom {
		is.problem = fmt.Errorf("the RunQueues of namespace %s have more than %d KiB of conditions: the priorities of this one "+
			"are not used. Make them fewer or shorter", rq.key.Namespace, namespaceBudget>>10)
	}
	if len(is.shape.rules) == 0 && before != nil && (len(rq.wants.spec.Priorities) > 0 || rq.wants.noRoom) {
		is.shape.rules = before.rules
	}
	if is.shape.spec.Paused {
		is.shape.spec.PausedBy = pausedBy(rq.wants.pausedBy, rq.wants.reason)
	}
	return is
}

// plain is the shape of the RunQueues that want nothing.
var plain = &Shape{}

// wantAlike compares two versions of a RunQueue.
func wantAlike(a, b *Cached) bool {
	return a.uid == b.uid && a.wants.generation == b.wants.generation && a.wants.noRoom == b.wants.noRoom &&
		a.wants.pausedBy == b.wants.pausedBy && a.wants.reason == b.wants.reason
}

// pausedBy says who paused a queue, and why, as far as that is known.
func pausedBy(by, why string) string {
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
	earlier, existed := was.(*Cached)
	later, ok := is.(*Cached)
	return !existed || !ok || !wantAlike(earlier, later)
}

// KeyOf returns the queue of a RunQueue.
func KeyOf(o metav1.Object) queue.Key {
	return queue.Key{Namespace: o.GetNamespace(), Repository: o.GetName()}
}
