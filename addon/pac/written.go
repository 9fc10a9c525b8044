package pac

import (
	"maps"
	"slices"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/types"
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
	runs   map[types.UID]ownWrite
	queues map[queue.Key]map[types.UID]bool
	// inOrder are all writes that are remembered, and some that are not any more, the oldest first.
	inOrder []ownWrite
}

// ownWrite is a run as the answer to a write showed it.
type ownWrite struct {
	queue queue.Key
	run   *tektonv1.PipelineRun
	until time.Time
}

func newWritten(c clock.PassiveClock) *written {
	return &written{clock: c, runs: map[types.UID]ownWrite{}, queues: map[queue.Key]map[types.UID]bool{}}
}

func (w *written) note(key queue.Key, pr *tektonv1.PipelineRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	for len(w.inOrder) > 0 && (len(w.inOrder) >= mostWrites || now.After(w.inOrder[0].until)) {
		if oldest := w.inOrder[0]; w.runs[oldest.run.UID] == oldest {
			w.forget(oldest.run.UID)
		}
		w.inOrder = w.inOrder[1:]
	}
	if was, known := w.runs[pr.UID]; known && newer(was.run, pr) {
		return // a later answer was faster
	}
	w.forget(pr.UID)
	is := ownWrite{key, pr, now.Add(ownWrites)}
	w.inOrder, w.runs[pr.UID] = append(w.inOrder, is), is
	if w.queues[key] == nil {
		w.queues[key] = map[types.UID]bool{}
	}
	w.queues[key][pr.UID] = true
}

func (w *written) forget(uid types.UID) {
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
func (w *written) latest(observed *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	w.mu.Lock()
	defer w.mu.Unlock()
	own, known := w.runs[observed.UID]
	if !known {
		return observed
	}
	if !newer(own.run, observed) || w.clock.Now().After(own.until) {
		w.forget(observed.UID)
		return observed
	}
	return own.run
}

// newer compares two versions of a run. It is false if they cannot be compared.
func newer(pr, than *tektonv1.PipelineRun) bool {
	order, err := resourceversion.CompareResourceVersion(pr.ResourceVersion, than.ResourceVersion)
	return err == nil && order > 0
}

// in lists the runs that were written in the queue, in any order.
func (w *written) in(key queue.Key) []types.UID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.queues[key]))
}
