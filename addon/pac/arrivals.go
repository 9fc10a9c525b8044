package pac

import (
	"strconv"
	"sync"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Arrivals note, of each run in an informer, the version in which it was first seen. It is that of
// its creation if a watch has shown it, since a watch shows everything and in order: in all
// replicas it is the same. A list shows a run as it is by then, which bounds the version of its
// creation. Arrivals are safe for concurrent use.
type Arrivals struct {
	mu       sync.Mutex
	informer cache.SharedIndexInformer
	// listing says that the informer lists, or has listed, and from is the version up to which it
	// was in sync before.
	listing bool
	from    string
	first   map[string]queue.Arrival
}

// NewArrivals returns Arrivals that have noted nothing yet.
func NewArrivals() *Arrivals { return &Arrivals{first: map[string]queue.Arrival{}} }

// Follow takes the informer, and forgets the runs that it drops.
func (a *Arrivals) Follow(informer cache.SharedIndexInformer) error {
	a.informer = informer
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
			obj = tombstone.Obj
		}
		if run, ok := obj.(*Cached); ok {
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.first, run.uid)
		}
	}})
	return err
}

// NoteRequest takes the options of every list and watch before the informer makes it.
func (a *Arrivals) NoteRequest(o metav1.ListOptions) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// A watch that begins with a list (client-go calls that WatchList) is both.
	if a.listing = !o.AllowWatchBookmarks || ptr.Deref(o.SendInitialEvents, false); a.listing {
		a.from = a.informer.LastSyncResourceVersion()
	}
}

// Note takes every object before the informer has it, in the order of the watch.
func (a *Arrivals) Note(obj any) {
	pr, ok := obj.(*tektonv1.PipelineRun)
	if !ok {
		return // a tombstone
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, again := a.first[string(pr.UID)]; again {
		return
	}
	version, err := strconv.ParseUint(pr.ResourceVersion, 10, 64)
	if err != nil {
		version = 0 // a server that counts otherwise
	}
	// The informer is in sync with a list once it has all of it.
	a.listing = a.listing && a.informer.LastSyncResourceVersion() == a.from
	// A run that a watch shows anew may have been there before, if it is not pending: without PAC's
	// label for unfinished runs.
	a.first[string(pr.UID)] = queue.Arrival{Version: version, AtMost: a.listing || !pr.IsPending()}
}

// of returns the version in which the run of that UID was first seen, if it was.
func (a *Arrivals) of(uid string) (first queue.Arrival, seen bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first, seen = a.first[uid]
	return first, seen
}

// withArrival adds to a run, however it was read, what is known of its creation. It changes a copy.
func withArrival(by []*Arrivals, run *queue.Run) *queue.Run {
	if len(by) == 0 {
		return run
	}
	var first queue.Arrival
	seen := false
	for _, a := range by {
		if first, seen = a.of(run.UID); seen {
			break
		}
	}
	if run.Seen == first && run.Unseen == !seen {
		return run
	}
	is := *run
	is.Seen, is.Unseen = first, !seen
	return &is
}
