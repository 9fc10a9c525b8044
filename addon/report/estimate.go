package report

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// remembers is how many runs of a queue an estimate goes by.
const remembers = 20

// Recent remembers how long the last runs of each queue took. It is safe for
// concurrent use.
type Recent struct {
	mu     sync.Mutex
	queues map[queue.Key][]ended
}

type ended struct {
	uid  string
	took time.Duration
}

// Note remembers the runs that are done and were not cancelled or stopped: Tekton gives a
// run that is cancelled while it is queued a beginning and an end, too.
func (r *Recent) Note(key queue.Key, runs []*queue.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range runs {
		if run.Phase != queue.Done || run.Ending || run.Began.IsZero() || run.Ended.IsZero() {
			continue
		}
		known := r.queues[key]
		if slices.ContainsFunc(known, func(e ended) bool { return e.uid == run.UID }) {
			continue
		}
		if r.queues == nil {
			r.queues = map[queue.Key][]ended{}
		}
		known = append(known, ended{run.UID, run.Ended.Sub(run.Began)})
		r.queues[key] = known[max(len(known)-remembers, 0):]
	}
}

// Forget drops all it knows of a queue.
func (r *Recent) Forget(key queue.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.queues, key)
}

// Keep drops what it knows of all queues but those that exist.
func (r *Recent) Keep(exists func(queue.Key) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.queues, func(key queue.Key, _ []ended) bool { return !exists(key) })
}

// Typical is the median of how long the last runs took, and the number of these runs.
func (r *Recent) Typical(key queue.Key) (time.Duration, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var took []time.Duration
	for _, e := range r.queues[key] {
		took = append(took, e.took)
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2], len(took)
}

// Turns estimates when each run that waits for a slot, by UID, is started if every run takes
// the typical time. A run that waits for something else as well is overtaken by those behind
// it until then. Without a limit no run waits for a turn.
func Turns(all queue.Standings, typical time.Duration, now time.Time) map[string]time.Time {
	if all.Limit == queue.Unlimited {
		return nil
	}
	var free []time.Time              // when each unit of the limit becomes free, in order
	var ready, later []queue.Standing // runs that wait for a unit alone, and for something else too
	for _, r := range all.Runs {
		switch {
		case r.Why == queue.Unprepared, r.Why == queue.Paused && r.Position > 0: // it is not known when, if ever
		case r.Position > 0 && r.Until.After(now):
			later = append(later, r)
		case r.Position > 0:
			ready = append(ready, r)
		case !r.Occupies():
		case r.Run.Began.IsZero():
			free = append(free, now.Add(typical))
		case now.Sub(r.Run.Began) > typical:
			free = append(free, now) // overdue
		default:
			free = append(free, r.Run.Began.Add(typical))
		}
	}
	slices.SortFunc(free, time.Time.Compare)
	// More may be started than the limit allows: then the first to end free nothing.
	free = free[max(len(free)-int(all.Limit), 0):]
	turns := make(map[string]time.Time, len(ready)+len(later))
	for len(ready)+len(later) > 0 {
		turn := now
		if len(free) == int(all.Limit) {
			turn, free = free[0], free[1:]
		}
		if len(ready) == 0 {
			first := slices.MinFunc(later, func(a, b queue.Standing) int { return a.Until.Compare(b.Until) })
			if first.Until.After(turn) {
				turn = first.Until
			}
		}
		due := slices.IndexFunc(later, func(r queue.Standing) bool { return !r.Until.After(turn) })
		var next queue.Standing
		if due >= 0 && (len(ready) == 0 || later[due].Position < ready[0].Position) {
			next = later[due]
			later = slices.Delete(later, due, due+1)
		} else {
			next, ready = ready[0], ready[1:]
		}
		turns[next.Run.UID] = turn
		ends := turn.Add(typical)
		at, _ := slices.BinarySearchFunc(free, ends, time.Time.Compare)
		free = slices.Insert(free, at, ends)
	}
	return turns
}
