// Package history keeps how long the runs of each queue waited over the last hours, and how many
// began and ended.
//
// Guaranteed: memory is bounded, whatever there is to keep.
//
// Not guaranteed: that it is complete. It begins with the process, and of many queues it keeps
// those in which something has happened last.
package history

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

const (
	// Width is the time that a [Point] covers, and Points how many there are of a queue.
	Width, Points = 10 * time.Minute, 36

	// mostQueues is how many queues are kept, and sample how many waits of a Point: some 12 MiB.
	mostQueues, sample = 2000, 15
)

// Point is what happened in a while.
type Point struct {
	Start        time.Time
	Began, Ended int
	// Wait is the median of how long the runs that began had waited; of many, that of some.
	Wait time.Duration
}

// History is safe for concurrent use.
type History struct {
	mu     sync.Mutex
	queues *lru.Cache // of []*while by queue.Key, in order
}

type while struct {
	number       int64 // of Width since 1970
	began, ended int
	waits        []time.Duration
}

// New returns a History of nothing.
func New() *History { return &History{queues: lru.New(mostQueues)} }

// Began notes that a run began, and how long it had waited.
func (h *History) Began(key queue.Key, at time.Time, waited time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.while(key, at)
	if w == nil {
		return
	}
	w.began++
	if len(w.waits) < sample {
		w.waits = append(w.waits, waited)
	} else if i := rand.IntN(w.began); i < sample {
		w.waits[i] = waited
	}
}

// Ended notes that a run ended.
func (h *History) Ended(key queue.Key, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.while(key, at); w != nil {
		w.ended++
	}
}

// while finds or makes the one of that time; nil if it is too long ago.
func (h *History) while(key queue.Key, at time.Time) *while {
	number := numberOf(at)
	whiles := h.of(key)
	i, found := slices.BinarySearchFunc(whiles, number, func(w *while, n int64) int { return int(w.number - n) })
	if found {
		return whiles[i]
	}
	if i == 0 && len(whiles) == Points {
		return nil
	}
	w := &while{number: number}
	whiles = slices.Insert(whiles, i, w)
	h.queues.Add(key, whiles[max(0, len(whiles)-Points):])
	return w
}

func (h *History) of(key queue.Key) []*while {
	kept, _ := h.queues.Get(key)
	whiles, _ := kept.([]*while)
	return whiles
}

func numberOf(t time.Time) int64 { return t.Unix() / int64(Width/time.Second) }

// Of returns the points of a queue up to now, oldest first; nil if nothing has happened.
func (h *History) Of(key queue.Key, now time.Time) []Point {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := numberOf(now)
	points := make([]Point, Points)
	happened := false
	for i := range points {
		points[i].Start = time.Unix((last-int64(Points-1-i))*int64(Width/time.Second), 0).UTC()
	}
	for _, w := range h.of(key) {
		i := Points - 1 - int(last-w.number)
		if i < 0 || i >= Points {
			continue
		}
		happened = true
		points[i].Began, points[i].Ended, points[i].Wait = w.began, w.ended, median(w.waits)
	}
	if !happened {
		return nil
	}
	return points
}

func median(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
