package pac

import (
	"sync"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// readings keep what each run of the cache was read as, so that a run is read once for each of its
// versions and not at each look at its queue. An object of an informer never changes, so a reader
// always reads it alike, and what was read is shared by all looks. Of a queue, they keep the runs
// of the last look.
type readings struct {
	written  *written
	arrivals []*Arrivals
	queues   sync.Map // of *reading, by queue.Key
}

// reading has the runs of one queue.
type reading struct {
	mu   sync.Mutex
	by   reader
	look int // the number of the look
	// line has the runs nearly in queue order, which is the order that [queue.Line] is fast with.
	line []*asRead
	// moved is how many were read since the line was put in order.
	moved int
	byUID map[string]*asRead
	// ahead are those of which a write is known that the cache does not show yet.
	ahead []*asRead
}

type asRead struct {
	// cached is what the cache has, and object what was read: that, or as it became by a write.
	cached, object *Cached
	run            *queue.Run
	// seen is the look that saw it last, and written the last one that a write was ahead of.
	seen, written int
	// unseen is the run's own, which comes to an end without a new version of it.
	unseen bool
}

// read reads all objects of a queue.
func (r *readings) read(key queue.Key, objects []any, by reader) []*queue.Run {
	if len(objects) == 0 {
		r.queues.Delete(key)
		return []*queue.Run{}
	}
	kept, _ := r.queues.LoadOrStore(key, &reading{})
	is := kept.(*reading)
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.by != by || is.look == 0 {
		is.by, is.line, is.ahead, is.byUID = by, nil, nil, map[string]*asRead{}
	}
	is.look++
	for _, obj := range objects {
		r.see(is, obj.(*Cached))
	}
	r.lookAhead(is, key)
	return r.runs(is)
}

// see notes what the cache has of a run.
func (r *readings) see(is *reading, cached *Cached) {
	run := is.byUID[cached.uid]
	if run == nil {
		run = &asRead{}
		is.byUID[cached.uid], is.line = run, append(is.line, run)
	}
	if run.cached != cached {
		run.cached = cached
		r.set(is, run, cached)
	}
	run.seen = is.look
}

// lookAhead reads the runs as they became by writes that the cache does not show yet.
func (r *readings) lookAhead(is *reading, key queue.Key) {
	before := is.ahead
	is.ahead = nil
	for _, uid := range r.written.in(key) {
		run := is.byUID[uid]
		if run == nil || run.seen != is.look {
			continue
		}
		if latest := r.written.latest(run.cached); latest != run.cached {
			r.set(is, run, latest)
			run.written, is.ahead = is.look, append(is.ahead, run)
		}
	}
	for _, run := range before {
		if run.seen == is.look && run.written != is.look {
			r.set(is, run, run.cached)
		}
	}
}

func (r *readings) set(is *reading, run *asRead, object *Cached) {
	if run.object == object {
		return
	}
	read := is.by.read(object.Run())
	run.object, run.run = object, withArrival(r.arrivals, &read)
	run.unseen = run.run.Unseen
	is.moved++
}

// runs returns the runs that this look has seen, and forgets the others.
func (r *readings) runs(is *reading) []*queue.Run {
	runs, line := make([]*queue.Run, 0, len(is.line)), is.line[:0]
	for _, run := range is.line {
		if run.seen != is.look {
			delete(is.byUID, run.cached.uid)
			continue
		}
		if run.unseen {
			run.run = withArrival(r.arrivals, run.run)
			run.unseen = run.run.Unseen
		}
		runs, line = append(runs, run.run), append(line, run)
	}
	clear(is.line[len(line):])
	is.line = line
	if is.moved > 32+len(runs)/32 {
		is.moved, runs = 0, queue.InOrder(runs, nil)
		for i, run := range runs {
			is.line[i] = is.byUID[run.UID]
		}
	}
	return runs
}
