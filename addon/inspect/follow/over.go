package follow

import (
	"slices"
	"sync"

	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

const (
	// remembers is how many runs of a queue that are over are kept, and mostQueues of how many
	// queues: of those with the latest ends.
	remembers, mostQueues = 20, 2000
)

// deleted is the outcome of a run that was taken away before its end.
const deleted report.Outcome = "deleted"

// over has the last runs that were seen to end. It is safe for concurrent use.
type over struct {
	mu     sync.Mutex // of a change
	queues *lru.Cache // of []inspect.Done by queue.Key, each in the order in which their ends were seen
	names  *lru.Cache // of queue.Key by inspect.Done's namespace/name
}

func newOver() *over {
	return &over{queues: lru.New(mostQueues), names: lru.New(mostQueues * remembers)}
}

// of returns the runs of a queue. They are the caller's.
func (o *over) of(key queue.Key) []inspect.Done {
	done, _ := o.queues.Get(key)
	runs, _ := done.([]inspect.Done)
	return slices.Clone(runs)
}

// add says whether the run was new.
func (o *over) add(key queue.Key, d inspect.Done) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	runs := o.of(key)
	if slices.ContainsFunc(runs, func(known inspect.Done) bool { return known.UID == d.UID }) {
		return false
	}
	runs = append(runs, d)
	o.queues.Add(key, runs[max(0, len(runs)-remembers):])
	o.names.Add(cache.NewObjectName(key.Namespace, d.Name), key)
	return true
}

// locate finds the queue of a run.
func (o *over) locate(namespace, name string) (queue.Key, bool) {
	key, known := o.names.Get(cache.NewObjectName(namespace, name))
	if !known {
		return queue.Key{}, false
	}
	return key.(queue.Key), true
}

// lived notes what two versions of a run say of its life; nil for none.
func (f *Follower) lived(was, is any) {
	if tombstone, gone := was.(cache.DeletedFinalStateUnknown); gone {
		was = tombstone.Obj
	}
	before, existed := was.(*pac.Cached)
	after, exists := is.(*pac.Cached)
	latest := after
	if !exists {
		latest = before
	}
	if !existed && !exists {
		return
	}
	key, queued := latest.Key()
	if !queued {
		return
	}
	pr := latest.Run()
	run := pac.ReadRun(pr)
	if exists && !run.Began.IsZero() && (!existed || pac.ReadRun(before.Run()).Began.IsZero()) {
		f.Began(key, run)
	}
	if exists && run.Phase != queue.Done {
		return
	}
	done := inspect.Done{Run: run, Outcome: inspect.OutcomeOf(pr)}
	if run.Phase != queue.Done {
		done.Outcome = deleted
	}
	if f.over.add(key, done) {
		f.Ended(key, done)
	}
}
