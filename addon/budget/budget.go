// Package budget bounds what a cache keeps of each namespace.
//
// Guaranteed: the objects of a namespace never have more than the budget, together; what one
// namespace has takes nothing from another; an object that is dropped makes room again.
package budget

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Budget is so many bytes for each namespace. It is safe for concurrent use.
type Budget struct {
	bytes int

	mu     sync.Mutex
	spaces map[string]*space
}

// space is what one namespace has.
type space struct {
	bytes int
	of    map[types.UID]int // of each object that has some
}

// New returns a budget of so many bytes for each namespace, of which nothing is taken yet.
func New(bytes int) *Budget { return &Budget{bytes: bytes, spaces: map[string]*space{}} }

// Take gives an object so many bytes in place of those that it had. It reports false if its
// namespace does not have them; the object then has none.
func (b *Budget) Take(o metav1.Object, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(o)
	if bytes == 0 {
		return true
	}
	s := b.spaces[o.GetNamespace()]
	if s == nil {
		s = &space{of: map[types.UID]int{}}
	}
	if s.bytes+bytes > b.bytes {
		return false
	}
	s.bytes += bytes
	s.of[o.GetUID()] = bytes
	b.spaces[o.GetNamespace()] = s
	return true
}

// Follow makes room again for the objects that the informer drops.
func (b *Budget) Follow(informer cache.SharedIndexInformer) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
			obj = tombstone.Obj
		}
		if o, err := meta.Accessor(obj); err == nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.forget(o)
		}
	}})
	if err != nil {
		return fmt.Errorf("watch what is dropped: %w", err)
	}
	return nil
}

func (b *Budget) forget(o metav1.Object) {
	s := b.spaces[o.GetNamespace()]
	if s == nil {
		return
	}
	s.bytes -= s.of[o.GetUID()]
	if delete(s.of, o.GetUID()); len(s.of) == 0 {
		delete(b.spaces, o.GetNamespace())
	}
}
