package watches

import (
	"fmt"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// canWait says whether what an event says anew can wait for a moment: a start and what follows it
// are then looked at together. Nothing can that may make room.
func canWait(was, is any) bool { return pac.CanWait(was, is) || lease.CanWait(is) }

// Listener is told what the watches show. No function of it may wait; those that are nil are not
// told.
type Listener struct {
	// Changed is called for a queue of which an event says anything new, and with whether that can
	// wait.
	Changed func(key queue.Key, canWait bool)
	// AllChanged is called for an event that may concern every queue, and one before all.
	AllChanged func(first queue.Key)
	// Progress is called for a write of a replica to a queue. The replica is empty if the write
	// does not tell.
	Progress func(key queue.Key, replica string)
	// Shown is called for a queue whose RunQueue has another status.
	Shown func(key queue.Key)
}

// Follow has the listener told of every event. PAC is in the namespace.
func (l Listener) Follow(w *Watches, pacNamespace func() string) error {
	ofRun := func(obj any, canWait bool) {
		if key, ok := pac.KeyOfCached(obj); ok {
			l.Changed(key, canWait)
		}
	}
	ofLease := func(obj any, canWait bool) {
		if key, ok := lease.KeyOf(obj); ok {
			l.Changed(key, canWait)
		}
	}
	ofSettings := func(any, bool) { l.AllChanged(queue.Key{}) }
	ofRepository := func(obj any, _ bool) {
		o, ok := obj.(*pacv1alpha1.Repository)
		if !ok {
			return
		}
		key := queue.Key{Namespace: o.GetNamespace(), Repository: o.GetName()}
		if o.GetNamespace() == pacNamespace() {
			l.AllChanged(key) // perhaps the global one, whose limit is the default of every queue
			return
		}
		l.Changed(key, false)
	}
	type watch struct {
		informer cache.SharedIndexInformer
		tell     func(obj any, canWait bool)
	}
	watched := []watch{{w.Leases, ofLease}}
	for _, runs := range []cache.SharedIndexInformer{w.Runs, w.Labelled} {
		if runs != nil {
			watched = append(watched, watch{runs, ofRun})
		}
	}
	for _, repositories := range w.Repositories() {
		watched = append(watched, watch{repositories, ofRepository})
	}
	for _, s := range w.settings {
		watched = append(watched, watch{s.Informer(), ofSettings})
	}
	if w.Pods != nil {
		watched = append(watched, watch{w.Pods, ofRun})
	}
	for _, watch := range watched {
		tell := func(obj any, canWait bool) {
			if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
				obj = tombstone.Obj
			}
			watch.tell(obj, canWait)
		}
		if _, err := watch.informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(is any, listed bool) {
				if !listed {
					l.Moved(nil, is)
				}
				tell(is, canWait(nil, is))
			},
			UpdateFunc: func(was, is any) {
				if !pac.IsNews(was, is) {
					return
				}
				l.Moved(was, is)
				tell(is, canWait(was, is))
				if left(was, is) {
					tell(was, false)
				}
			},
			DeleteFunc: func(obj any) { tell(obj, false) },
		}); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	if w.RunQueues != nil {
		return l.followRunQueues(w.RunQueues)
	}
	return nil
}

// left says that an object has gone from the queue that it was in.
func left(was, is any) bool {
	before, queued := keyOf(was)
	now, still := keyOf(is)
	return queued && !(still && before == now)
}

// keyOf is the queue that a slot, a run or a pod of one is in.
func keyOf(obj any) (queue.Key, bool) {
	if key, ours := lease.KeyOf(obj); ours {
		return key, true
	}
	return pac.KeyOfCached(obj)
}

// Moved tells of a write by a replica, if that is what lies between two versions of an object. was
// is nil for a new one.
func (l Listener) Moved(was, is any) {
	if l.Progress == nil {
		return
	}
	replica, moved := lease.Moved(was, is)
	if _, isRun := is.(*pac.Cached); isRun {
		replica, moved = pac.Moved(was, is)
	}
	if key, ours := keyOf(is); moved && ours {
		l.Progress(key, replica)
	}
}

// followRunQueues has the listener told of every event of a RunQueue.
func (l Listener) followRunQueues(runQueues cache.SharedIndexInformer) error {
	changed := func(obj any) {
		if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
			obj = tombstone.Obj
		}
		if rq, ok := obj.(*runqueue.Cached); ok {
			l.Changed(rq.Key(), false)
		}
	}
	_, err := runQueues.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed,
		UpdateFunc: func(was, is any) {
			if runqueue.IsNews(was, is) {
				changed(is)
			} else if rq, ok := is.(*runqueue.Cached); ok && l.Shown != nil {
				l.Shown(rq.Key())
			}
		},
		DeleteFunc: changed,
	})
	if err != nil {
		return fmt.Errorf("watch RunQueues: %w", err)
	}
	return nil
}
