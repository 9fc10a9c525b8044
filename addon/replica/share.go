package replica

import (
	"maps"
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// shares divides the workers among namespaces, so that the queues of one tenant do not keep those
// of the others waiting: a namespace has half of the workers at most, and no more than its part if
// more than two want some. A worker that is busy is not interrupted, so a namespace that wants its
// first one waits for a pass at most.
type shares struct {
	workers int
	busy    map[string]int         // passes, by namespace
	waiting map[string][]queue.Key // for a pass of their namespace to end, in order
}

func newShares(workers int) shares {
	return shares{workers: workers, busy: map[string]int{}, waiting: map[string][]queue.Key{}}
}

// enter begins a pass over the queue, or has the queue wait.
func (s *shares) enter(key queue.Key) bool {
	if s.busy[key.Namespace] < s.most() {
		s.busy[key.Namespace]++
		return true
	}
	if !slices.Contains(s.waiting[key.Namespace], key) {
		s.waiting[key.Namespace] = append(s.waiting[key.Namespace], key)
	}
	return false
}

// leave ends a pass over the queue. It returns the queues that can begin one now.
func (s *shares) leave(key queue.Key) (next []queue.Key) {
	if s.busy[key.Namespace]--; s.busy[key.Namespace] == 0 {
		delete(s.busy, key.Namespace)
	}
	for _, namespace := range slices.Sorted(maps.Keys(s.waiting)) {
		waiting := s.waiting[namespace]
		n := min(len(waiting), max(0, s.most()-s.busy[namespace]))
		next = append(next, waiting[:n]...)
		if n == len(waiting) {
			delete(s.waiting, namespace)
		} else {
			s.waiting[namespace] = waiting[n:]
		}
	}
	return next
}

// most is how many workers a namespace may have now.
func (s *shares) most() int {
	namespaces := len(s.busy)
	for namespace := range s.waiting {
		if s.busy[namespace] == 0 {
			namespaces++
		}
	}
	return max(1, s.workers/max(2, namespaces))
}
