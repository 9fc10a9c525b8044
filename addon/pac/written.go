package pac

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// ownWrites is how long Runs remembers its own writes, and what refused ones have shown, in case
// the informer has not seen them yet, and mostWrites how many. That only saves refused writes.
const ownWrites, mostWrites = 30 * time.Second, 4096

// written has each run as the last own write left it, or as it was when one was refused. A look at
// a queue asks only for those that were written in it. It is safe for concurrent use.
type written struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	runs   map[string]ownWrite
	queues map[queue.Key]map[string]bool
	// inOrder are all writes that are remembered, and some that are not any more, the oldest first.
	inOrder []ownWrite
}

// ownWrite is a run as the answer to a write showed it.
type ownWrite struct {
	queue queue.Key
	run   *Cached
	until time.Time
}

func newWritten(c clock.PassiveClock) *written {
	return &written{clock: c, runs: map[string]ownWrite{}, queues: map[queue.Key]map[string]bool{}}
}

func (w *written) note(key queue.Key, run *Cached) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	for len(w.inOrder) > 0 && (len(w.inOrder) >= mostWrites || now.After(w.inOrder[0].until)) {
		if oldest := w.inOrder[0]; w.runs[oldest.run.uid] == oldest {
			w.forget(oldest.run.uid)
		}
		w.inOrder = w.inOrder[1:]
	}
	if was, known := w.runs[run.uid]; known && newer(was.run, run) {
		return // a later answer was faster
	}
	w.forget(run.uid)
	is := ownWrite{key, run, now.Add(ownWrites)}
	w.inOrder, w.runs[run.uid] = append(w.inOrder, is), is
	if w.queues[key] == nil {
		w.queues[key] = map[string]bool{}
	}
	w.queues[key][run.uid] = true
}

func (w *written) forget(uid string) {
	is, known := w.runs[uid]
	if !known {
		return
	}
	delete(w.runs, uid)
	delete(w.queues[is.queue], uid)
	if len(w.queues[is.queue]) == 0 {
		delete(w.queues, is.queue)
	}
}

// latest returns the run as it was observed, or as it became by a write since.
func (w *written) latest(observed *Cached) *Cached {
	w.mu.Lock()
	defer w.mu.Unlock()
	own, known := w.runs[observed.uid]
	if !known {
		return observed
	}
	if !newer(own.run, observed) || w.clock.Now().After(own.until) {
		w.forget(observed.uid)
		return observed
	}
	return own.run
}

// newer compares two versions of a run. It is false if they cannot be compared.
func newer(run, than *Cached) bool {
	order, err := resourceversion.CompareResourceVersion(run.version, than.version)
	return err == nil && order > 0
}

// in lists the runs that were written in the queue, in any order.
func (w *written) in(key queue.Key) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.queues[key]))
}
