package board

import (
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// fresh is how long a look at a queue is good for if nothing changes in it.
const fresh = least / 2

// looks keep what was seen of queues for a moment, since many pages show something of one queue: a
// thousand developers may each wait for a run of their own. They are safe for concurrent use.
type looks struct {
	clock clock.Clock

	mu   sync.Mutex
	kept map[queue.Key]*look
}

type look struct {
	once   sync.Once
	began  time.Time
	queue  inspect.Queue
	exists bool
}

func newLooks(c clock.Clock) *looks { return &looks{clock: c, kept: map[queue.Key]*look{}} }

// at returns what a look shows that began a moment ago at most, and after the last change that the
// caller can know of. Callers share what it shows, and do not change it.
func (l *looks) at(key queue.Key, see func() (inspect.Queue, bool)) (inspect.Queue, bool) {
	l.mu.Lock()
	now := l.clock.Now()
	is := l.kept[key]
	if is == nil || now.Sub(is.began) >= fresh {
		l.prune(now)
		is = &look{began: now}
		l.kept[key] = is
	}
	l.mu.Unlock()
	is.once.Do(func() { is.queue, is.exists = see() })
	return is.queue, is.exists
}

// prune drops the looks that are good for nothing any more.
func (l *looks) prune(now time.Time) {
	for key, is := range l.kept {
		if now.Sub(is.began) >= fresh {
			delete(l.kept, key)
		}
	}
}

// changed drops a look that began before a change.
func (l *looks) changed(key queue.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.kept, key)
}

func (l *looks) allChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.kept)
}
