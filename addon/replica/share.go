package replica

import (
	"maps"
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// shares divides the workers among queues, so that those of one tenant do not keep those of the
// others waiting. A worker that is busy is not interrupted.
//
// A namespace has half of the workers at most, and no more than its part if more than two want
// some, so a namespace that wants its first one waits for a pass at most. Long queues, whose last
// pass left something to do at once, have half of the workers at most all together, however many
// namespaces they are in: a queue with little to do does not wait behind them.
type shares struct {
	workers int
	busy    map[string]int // passes, by namespace
	long    int            // passes of long queues
	// What waits for a pass to end, each in order.
	waiting     map[string][]queue.Key // by namespace
	longWaiting []queue.Key
}

// turn is a pass over a queue.
type turn struct {
	key  queue.Key
	long bool
}

func newShares(workers int) shares {
	return shares{workers: workers, busy: map[string]int{}, waiting: map[string][]queue.Key{}}
}

// enter begins a pass, or has the queue wait.
func (s *shares) enter(t turn) bool {
	namespace := t.key.Namespace
	switch {
	case s.busy[namespace] < s.most() && (!t.long || s.long < s.mostLong()):
		s.busy[namespace]++
		if t.long {
			s.long++
		}
		return true
	case t.long:
		s.longWaiting = appendOnce(s.longWaiting, t.key)
	default:
		s.waiting[namespace] = appendOnce(s.waiting[namespace], t.key)
	}
	return false
}

// leave ends a pass that has entered. It returns the queues that can begin one now.
func (s *shares) leave(t turn) (next []queue.Key) {
	if t.long {
		s.long--
	}
	if s.busy[t.key.Namespace]--; s.busy[t.key.Namespace] == 0 {
		delete(s.busy, t.key.Namespace)
	}
	most, begun := s.most(), map[string]int{}
	for _, namespace := range slices.Sorted(maps.Keys(s.waiting)) {
		waiting := s.waiting[namespace]
		n := min(len(waiting), max(0, most-s.busy[namespace]))
		next, begun[namespace] = append(next, waiting[:n]...), n
		if n == len(waiting) {
			delete(s.waiting, namespace)
		} else {
			s.waiting[namespace] = waiting[n:]
		}
	}
	room := s.mostLong() - s.long
	s.longWaiting = slices.DeleteFunc(s.longWaiting, func(key queue.Key) bool {
		if room <= 0 || s.busy[key.Namespace]+begun[key.Namespace] >= most {
			return false
		}
		room--
		begun[key.Namespace]++
		next = append(next, key)
		return true
	})
	return next
}

// most is how many workers a namespace may have now.
func (s *shares) most() int {
	namespaces := maps.Clone(s.busy)
	for namespace := range s.waiting {
		namespaces[namespace]++
	}
	for _, key := range s.longWaiting {
		namespaces[key.Namespace]++
	}
	return max(1, s.workers/max(2, len(namespaces)))
}

// mostLong is how many workers long queues may have.
func (s *shares) mostLong() int { return max(1, s.workers/2) }

// appendOnce leaves a queue that waits already where it is.
func appendOnce(waiting []queue.Key, key queue.Key) []queue.Key {
	if slices.Contains(waiting, key) {
		return waiting
	}
	return append(waiting, key)
}
