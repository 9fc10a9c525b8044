package pac

import (
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// mostEnds bounds how many ends are remembered. One is needed until the run's slot is handed over,
// and one that is forgotten costs a read.
const mostEnds = 16384

// ends are the UIDs of the runs that an informer has shown to be done, which is final. PAC marks a
// run as finished soon after its end, and the informer drops it: what it was then, the event still
// says. That a run is dropped proves nothing by itself, since PAC also marks runs that Tekton is
// still ending.
type ends struct{ uids *lru.Cache }

func newEnds() ends { return ends{lru.New(mostEnds)} }

func (e ends) have(uid types.UID) bool {
	_, over := e.uids.Get(uid)
	return over
}

// follow notes what the informer shows from now on.
func (e ends) follow(informer cache.SharedIndexInformer) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    e.note,
		UpdateFunc: func(_, is any) { e.note(is) },
		DeleteFunc: e.note,
	})
	return err
}

// note notes a run that is done. The last state that is known of a run whose deletion was missed is
// as final as any.
func (e ends) note(obj any) {
	if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
		obj = tombstone.Obj
	}
	if pr, ok := obj.(*tektonv1.PipelineRun); ok && phase(pr) == queue.Done {
		e.uids.Add(pr.UID, nil)
	}
}
