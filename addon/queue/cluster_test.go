package queue_test

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
)

// history is what a watch delivers of one kind of object, in order.
type history[K comparable, V any] []change[K, V]

type change[K comparable, V any] struct {
	at    time.Time
	key   K
	value V
	gone  bool
}

// upTo counts the changes up to the given time.
func (h history[K, V]) upTo(t time.Time) int {
	n, _ := slices.BinarySearchFunc(h, t, func(c change[K, V], t time.Time) int {
		if c.at.After(t) {
			return 1
		}
		return -1
	})
	return n
}

// view is an informer's cache: a prefix of a history.
type view[K comparable, V any] struct {
	seen    int
	objects map[K]V
}

func (v *view[K, V]) moveTo(n int, h history[K, V]) {
	if v.objects == nil || n < v.seen {
		v.seen, v.objects = 0, map[K]V{}
	}
	for _, c := range h[v.seen:n] {
		if c.gone {
			delete(v.objects, c.key)
		} else {
			v.objects[c.key] = c.value
		}
	}
	v.seen = n
}

// What the API server answers, and what a client knows when it does not.
var (
	errConflict = errors.New("conflict")
	errRejected = errors.New("rejected by admission")
	errTimeout  = errors.New("timeout, whatever that means")
)

// cluster is the API server of one queue. Its writes are conditional, its
// watches are late, and its answers get lost.
type cluster struct {
	rnd      *rand.Rand
	now      time.Time
	version  int
	limit    queue.Limit
	runs     map[string]queue.Run
	names    []string // of all runs ever, in the order of their creation
	slots    map[int]queue.Slot
	watched  history[string, queue.Run] // runs that the label selector lets through
	leases   history[int, queue.Slot]
	rejected map[string]bool // run names that admission does not let start
	network  []fate          // one of these for every request, some more often than others
	inFlight []write
	audit    *audit.Auditor
	broken   []string // starts above the limit, counted without the audit
	trace    func(format string, args ...any)
}

type write struct {
	what  fmt.Stringer
	due   time.Time
	apply func() error
}

func newCluster(rnd *rand.Rand, limit queue.Limit, lag time.Duration) *cluster {
	return &cluster{
		rnd: rnd, now: noon, limit: limit,
		runs: map[string]queue.Run{}, slots: map[int]queue.Slot{}, rejected: map[string]bool{},
		audit: audit.New(lag), trace: func(string, ...any) {},
	}
}

func (c *cluster) nextVersion() string {
	c.version++
	return strconv.Itoa(c.version)
}

// putRun stores a run as it is from now on.
func (c *cluster) putRun(r queue.Run) {
	r.Version = c.nextVersion()
	if !slices.Contains(c.names, r.Name) {
		c.names = append(c.names, r.Name)
	}
	c.runs[r.Name] = r
	c.watched = append(c.watched, change[string, queue.Run]{at: c.now, key: r.Name, value: r})
	c.audit.Run(r, c.now)
}

func (c *cluster) editRun(name string, edit func(*queue.Run)) {
	r := c.runs[name]
	edit(&r)
	c.putRun(r)
}

// unselect takes a run out of the label selector: PAC says it is completed.
func (c *cluster) unselect(name string) {
	c.watched = append(c.watched, change[string, queue.Run]{at: c.now, key: name, gone: true})
}

func (c *cluster) deleteRun(name string) {
	c.audit.Gone(c.runs[name].UID, c.now)
	delete(c.runs, name)
	c.unselect(name)
}

func (c *cluster) putSlot(s queue.Slot) {
	s.Version, s.HeldSince = c.nextVersion(), time.Time{}
	c.slots[s.Index] = s
	c.leases = append(c.leases, change[int, queue.Slot]{at: c.now, key: s.Index, value: s})
	c.audit.Slot(s, c.now)
}

func (c *cluster) deleteSlot(index int) {
	delete(c.slots, index)
	c.leases = append(c.leases, change[int, queue.Slot]{at: c.now, key: index, gone: true})
	c.audit.SlotGone(index)
}

// fate of a request.
type fate string

const (
	arrives    fate = "arrives"
	lost       fate = "is lost"
	unanswered fate = "arrives, but the answer is lost"
	stuck      fate = "arrives when the client has long given up"
)

// send carries a write to the API server, in one way or another.
func (c *cluster) send(w write, unreliable bool, longest time.Duration) error {
	f := arrives
	if unreliable {
		f = c.network[c.rnd.Intn(len(c.network))]
	}
	switch f {
	case lost:
		c.trace("    %s: lost", w.what)
		return errTimeout
	case unanswered:
		c.trace("    %s: %v, but the answer is lost", w.what, outcome(w.apply()))
		return errTimeout
	case stuck:
		w.due = c.now.Add(time.Duration(c.rnd.Int63n(int64(longest))))
		c.inFlight = append(c.inFlight, w)
		c.trace("    %s: stuck until %s", w.what, clock(w.due))
		return errTimeout
	}
	err := w.apply()
	c.trace("    %s: %v", w.what, outcome(err))
	return err
}

// deliver applies what has been in flight long enough.
func (c *cluster) deliver() {
	due := func(w write) bool { return !w.due.After(c.now) }
	for _, w := range c.inFlight {
		if due(w) {
			c.trace("arrives late: %s: %v", w.what, outcome(w.apply()))
		}
	}
	c.inFlight = slices.DeleteFunc(c.inFlight, due)
}

// patchRun is a patch with UID and resourceVersion as preconditions, of a run
// that must be pending.
func (c *cluster) patchRun(seen queue.Run, anyVersion bool, edit func(*queue.Run)) error {
	r, ok := c.runs[seen.Name]
	if !ok || r.UID != seen.UID || r.Phase != queue.Pending || (r.Version != seen.Version && !anyVersion) {
		return errConflict
	}
	edit(&r)
	if r.Phase == queue.Started && c.rejected[r.Name] {
		return errRejected
	}
	c.putRun(r)
	if r.Phase == queue.Started {
		if n := len(c.inPhase(queue.Started)); n > int(c.limit) {
			c.broken = append(c.broken, fmt.Sprintf("%d runs are started, the limit is %d", n, c.limit))
		}
	}
	return nil
}

// patchAny is a patch with UID and resourceVersion as preconditions.
func (c *cluster) patchAny(seen queue.Run, edit func(*queue.Run)) error {
	r, ok := c.runs[seen.Name]
	if !ok || r.UID != seen.UID || r.Version != seen.Version {
		return errConflict
	}
	edit(&r)
	c.putRun(r)
	return nil
}

// writeSlot creates a slot, or updates it if its version is the observed one.
func (c *cluster) writeSlot(seen queue.Slot, anyVersion bool, h *queue.Holder) error {
	s, exists := c.slots[seen.Index]
	if exists != (seen.Version != "") || (s.Version != seen.Version && !anyVersion) {
		return errConflict
	}
	next := queue.Slot{Index: seen.Index, Holder: h, Transition: s.Transition}
	if h != nil {
		next.Transition++
	}
	c.putSlot(next)
	return nil
}

func (c *cluster) removeSlot(seen queue.Slot) error {
	if s, ok := c.slots[seen.Index]; !ok || s.Version != seen.Version {
		return errConflict
	}
	c.deleteSlot(seen.Index)
	return nil
}

// inPhase lists run names, in a stable order.
func (c *cluster) inPhase(phases ...queue.Phase) []string {
	var names []string
	for _, n := range c.names {
		if r, ok := c.runs[n]; ok && slices.Contains(phases, r.Phase) {
			names = append(names, n)
		}
	}
	return names
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "done"
}

func clock(t time.Time) string { return fmt.Sprintf("%ds", int(t.Sub(noon).Seconds())) }
