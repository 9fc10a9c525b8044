package pac

import (
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/types"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// ownWrites is how long Runs remembers its own writes, in case the informer has not seen them yet,
// and mostWrites how many. That only saves refused writes.
const ownWrites, mostWrites = 30 * time.Second, 4096

// written has each run as the last own write left it, by UID.
type written struct{ runs *utilcache.LRUExpireCache }

func newWritten(c clock.PassiveClock) written {
	return written{utilcache.NewLRUExpireCacheWithClock(mostWrites, c)}
}

func (w written) note(pr *tektonv1.PipelineRun) { w.runs.Add(pr.UID, pr, ownWrites) }

// latest returns the run as it was observed, or as it became by a write since.
func (w written) latest(observed *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	own, known := w.runs.Get(observed.UID)
	if !known {
		return observed
	}
	pr := own.(*tektonv1.PipelineRun)
	if order, err := resourceversion.CompareResourceVersion(pr.ResourceVersion, observed.ResourceVersion); err != nil || order <= 0 {
		w.runs.Remove(observed.UID)
		return observed
	}
	return pr
}

// readings keep what each run of the cache was read as, so that a run is read once for each of its
// versions and not at each look at its queue. An object of an informer never changes, so a reader
// always reads it alike. Of a queue, they keep a quarter more than it has runs at most.
type readings struct{ queues sync.Map } // of *reading, by queue.Key

type reading struct {
	mu   sync.Mutex
	by   reader
	runs map[types.UID]asRead
}

type asRead struct {
	object *tektonv1.PipelineRun
	run    *queue.Run
}

// read reads all objects of a queue.
func (r *readings) read(key queue.Key, objects []any, by reader) []*queue.Run {
	if len(objects) == 0 {
		r.queues.Delete(key)
		return []*queue.Run{}
	}
	kept, _ := r.queues.LoadOrStore(key, &reading{})
	return kept.(*reading).read(objects, by)
}

func (r *reading) read(objects []any, by reader) []*queue.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if enough := len(objects) + len(objects)/4; r.by != by || len(r.runs) > enough {
		r.by, r.runs = by, make(map[types.UID]asRead, enough)
	}
	runs := make([]*queue.Run, len(objects))
	for i, obj := range objects {
		pr := obj.(*tektonv1.PipelineRun)
		was, known := r.runs[pr.UID]
		if !known || was.object != pr {
			run := by.read(pr)
			was = asRead{pr, &run}
			r.runs[pr.UID] = was
		}
		runs[i] = was.run
	}
	return runs
}
