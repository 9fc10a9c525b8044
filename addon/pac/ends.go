package pac

import (
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// mostEnds bounds how many ends are remembered. One is needed until the run's slot is handed over,
// and one that is forgotten costs a read.
const mostEnds = 16384

// Ends note the runs that an informer shows to be done, which is final, and when each ended. PAC
// marks a run as finished soon after its end, and the informer drops it: what it was then, the
// event still says. That a run is dropped proves nothing by itself, since PAC also marks runs that
// Tekton is still ending. Ends are safe for concurrent use.
type Ends struct{ times *lru.Cache } // by UID

// NewEnds returns Ends that have noted nothing yet.
func NewEnds() *Ends { return &Ends{lru.New(mostEnds)} }

// Note takes every object before the informer has it, so that no look at the informer precedes it.
func (e *Ends) Note(obj any) {
	if pr, ok := obj.(*tektonv1.PipelineRun); ok && phase(pr) == queue.Done { // a tombstone's has been noted already
		e.times.Add(pr.UID, when(pr.Status.CompletionTime))
	}
}

func (e *Ends) of(uid types.UID) (ended time.Time, over bool) {
	if e == nil {
		return time.Time{}, false
	}
	is, over := e.times.Get(uid)
	ended, _ = is.(time.Time)
	return ended, over
}
