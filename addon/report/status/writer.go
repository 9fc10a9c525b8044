// Package status shows queues where people look: in the status of RunQueues. It also makes the
// RunQueues of the Repositories that have a limit.
//
// Guaranteed: nothing depends on a status; per queue at most one is written per second, and none
// that says what the cluster shows already; every write waits for its token, and is decided after
// that; namespaces take turns, and so do the queues of each; a status that somebody else has
// changed is set right; nothing waits for these writes.
//
// Not guaranteed: that a status is true when it is read. It was true a moment before it was
// written.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/turns"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

// Board is where statuses are shown.
type Board interface {
	// Known returns what the cache has of the RunQueue of a queue; false if there is none, and an
	// error if that cannot be known.
	Known(queue.Key) (runqueue.Known, bool, error)
	// Make makes a RunQueue that the Repository of that UID owns. One that exists is left alone.
	Make(ctx context.Context, key queue.Key, repositoryUID string) error
	// Show gives the RunQueue of that UID a status.
	Show(ctx context.Context, key queue.Key, uid types.UID, status v1alpha1.RunQueueStatus) error
}

// Config holds what a Writer works with; all of it is required.
type Config struct {
	Board Board
	// Looks are the latest looks. They have to come before the Writer among the observers of a
	// replica: a change that it hears of is in them.
	Looks  *latest.Looks
	Events event.Sink
	Clock  clock.Clock
	// Pace is how fast texts are written.
	Pace   *pace.Pace
	Policy func() queue.Policy
	// SeesPods says that slots can be kept for pods.
	SeesPods bool
	// Acts says whether this replica works on the queue. Others write nothing.
	Acts func(queue.Key) bool
}

// Writer keeps the statuses of all queues up to date. It observes a replica, and is safe for
// concurrent use.
type Writer struct {
	engine.Unobserved
	Config
	recent report.Recent

	mu     sync.Mutex
	queues map[queue.Key]*sheet
	// changed are those of them whose status may have to change.
	changed map[queue.Key]bool

	// The rest is that of Run alone: line has the queues whose status is due, and nothing is
	// written before rests is over.
	line  turns.Queues
	rests time.Time
}

// sheet is what is known of the status of one queue.
type sheet struct {
	due     bool // it stands in the line
	missing bool // its Repository does not exist
	written time.Time
}

var _ engine.Observer = (*Writer)(nil)

// New returns a Writer.
func New(c Config) *Writer {
	return &Writer{Config: c, queues: map[queue.Key]*sheet{}, changed: map[queue.Key]bool{}}
}

// Looked implements engine.Observer. What the caches alone show is not written.
func (w *Writer) Looked(l engine.Look) {
	if !l.Confirmed() {
		return
	}
	w.recent.Note(l.Snapshot.Key, l.Notable())
	w.change(l.Snapshot.Key, false)
}

// Wrote implements engine.Observer. What is refused stalls a queue.
func (w *Writer) Wrote(is engine.Write) {
	if is.Err != nil {
		w.Changed(is.Repository.Key)
	}
}

// Missing implements engine.Observer.
func (w *Writer) Missing(key queue.Key, _ []queue.Run) { w.change(key, true) }

// Listed implements engine.Observer.
func (w *Writer) Listed(keys []queue.Key) {
	exists := queue.KeySet(keys)
	w.recent.Keep(func(key queue.Key) bool { return exists[key] })
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.queues, func(key queue.Key, s *sheet) bool { return !s.due && (!exists[key] || !w.Acts(key)) })
	maps.DeleteFunc(w.changed, func(key queue.Key, _ bool) bool { return w.queues[key] == nil })
}

// Changed has the status of a queue compared with what it should be: the caller has seen another
// one.
func (w *Writer) Changed(key queue.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues[key] != nil {
		w.changed[key] = true
	}
}

func (w *Writer) change(key queue.Key, missing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues[key] == nil {
		w.queues[key] = &sheet{}
	}
	w.queues[key].missing, w.changed[key] = missing, true
}

// every is how often queues are looked at for a status that is due, and the least time between two
// statuses of one queue.
const every = time.Second

const (
	// again is how long after a refused status a queue gets another one.
	again = 10 * time.Second
	// absent is how long nothing is written after the API server has shown that it has no
	// RunQueues.
	absent = 30 * time.Second
)

// ErrNoRunQueues says that the API server has no RunQueues.
var ErrNoRunQueues = errors.New("the API server has no RunQueues")

// Run writes until the context ends.
func (w *Writer) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Clock.After(every):
			w.Round(ctx)
		}
	}
}

// Round writes what is due of all queues, and what becomes due meanwhile.
func (w *Writer) Round(ctx context.Context) {
	for asked := (time.Time{}); ctx.Err() == nil && !w.Clock.Now().Before(w.rests); {
		if w.Clock.Since(asked) >= every {
			w.begin()
			asked = w.Clock.Now()
		}
		key, ok := w.line.Next()
		if !ok {
			return
		}
		w.turn(ctx, key)
	}
}

// begin puts the queues in line whose status may have to change.
func (w *Writer) begin() {
	now := w.Clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.changed {
		switch s := w.queues[key]; {
		case s.due:
		case !w.Acts(key):
			delete(w.queues, key) // another replica's now; its news will bring it back
			delete(w.changed, key)
		case now.Sub(s.written) >= every:
			s.due = true
			w.line.Join(key)
		}
	}
}

// turn writes the status of a queue, if it is another than the cluster shows.
func (w *Writer) turn(ctx context.Context, key queue.Key) {
	w.line.Leave(key)
	is, s := w.take(key)
	if s == nil || w.due(key, is) == nil {
		return
	}
	if w.Pace.Take(ctx) != nil {
		return
	}
	write := w.due(key, is) // by the latest look
	if write == nil {
		return
	}
	err := write(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.written = w.Clock.Now()
	if err == nil {
		return
	}
	log := klog.FromContext(ctx).V(1)
	if apierrors.IsForbidden(err) || errors.Is(err, ErrNoRunQueues) { // an administrator has to see to it
		log = klog.FromContext(ctx)
	}
	log.Info("status not written", "queue", key.String(), "reason", err.Error())
	s.written = s.written.Add(again)
	if w.queues[key] != nil {
		w.changed[key] = true
	}
	if errors.Is(err, ErrNoRunQueues) {
		w.rests = w.Clock.Now().Add(absent)
	}
}

// take notes that what has changed so far is being written.
func (w *Writer) take(key queue.Key) (is sheet, s *sheet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s = w.queues[key]; s != nil {
		s.due = false
		delete(w.changed, key)
		is = *s
	}
	return is, s
}

// due is what has to be written for a queue; nil if nothing has.
func (w *Writer) due(key queue.Key, s sheet) func(context.Context) error {
	if !w.Acts(key) {
		return nil
	}
	rq, exists, err := w.Board.Known(key)
	if err != nil {
		return nil
	}
	known, looked := w.Looks.Get(key)
	looked = looked && known.Confirmed() && !s.missing
	switch {
	case !exists && looked && !known.Repository.ByRunQueue && known.Snapshot.Limit != queue.Unlimited && len(known.Snapshot.Runs) > 0:
		return func(ctx context.Context) error { return w.Board.Make(ctx, key, known.Repository.UID) }
	case !exists, !looked && !s.missing:
		return nil
	}
	now := w.Clock.Now()
	want := ofNothing(rq, key, now)
	if looked {
		stands := queue.Stand(known.Snapshot, now, w.Policy())
		var estimates map[string]time.Time
		if typical, n := w.recent.Typical(key); n > 0 {
			estimates = report.Turns(stands, typical, now)
		}
		want = w.of(rq, known, stands, estimates, now)
	}
	if runqueue.Hash(want) == rq.Hash {
		return nil
	}
	return func(ctx context.Context) error { return w.show(ctx, key, rq, want) }
}

// show writes a status, and tells of what has come with it.
func (w *Writer) show(ctx context.Context, key queue.Key, rq runqueue.Known, want v1alpha1.RunQueueStatus) error {
	if err := w.Board.Show(ctx, key, rq.UID, want); err != nil {
		return err
	}
	w.tell(key, rq, want)
	return nil
}

// tell records what people should hear of.
func (w *Writer) tell(key queue.Key, rq runqueue.Known, want v1alpha1.RunQueueStatus) {
	uid := string(rq.UID)
	was := meta.IsStatusConditionTrue(rq.Conditions, v1alpha1.ConditionPaused)
	switch is := meta.FindStatusCondition(want.Conditions, v1alpha1.ConditionPaused); {
	case is != nil && is.Status == metav1.ConditionTrue && !was:
		by := ""
		if is.Message != unexplained {
			by = " (" + is.Message + ")"
		}
		w.Events.Record(event.Paused(key, uid, by))
	case was && (is == nil || is.Status != metav1.ConditionTrue):
		w.Events.Record(event.Resumed(key, uid))
	}
	// Of a bad Repository, an event on that tells.
	ready := meta.FindStatusCondition(want.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionFalse && ready.Reason != badRepository {
		w.Events.Record(event.BadRunQueue(key, uid, ready.Message))
	}
}

// Cluster is the Board of a cluster.
type Cluster struct {
	Client *runqueue.Client
	// Shapes are those of the RunQueues in the caches; nil if they are not known.
	Shapes func(queue.Key) *runqueue.Shapes
}

var _ Board = (*Cluster)(nil)

// Known implements Board.
func (c *Cluster) Known(key queue.Key) (runqueue.Known, bool, error) {
	shapes := c.Shapes(key)
	if shapes == nil {
		return runqueue.Known{}, false, fmt.Errorf("the RunQueue of %s is not known", key)
	}
	is, exists := shapes.Get(key)
	return is, exists, nil
}

// manager is who owns the fields of a status.
const manager = "pac-lease-queue"

// Make implements Board.
func (c *Cluster) Make(ctx context.Context, key queue.Key, repositoryUID string) error {
	made := metav1.CreateOptions{FieldManager: manager}
	_, err := c.Client.In(key.Namespace).Create(ctx, runqueue.Of(key, types.UID(repositoryUID)), made)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return explain(err)
}

// Show implements Board.
func (c *Cluster) Show(ctx context.Context, key queue.Key, uid types.UID, status v1alpha1.RunQueueStatus) error {
	patch, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "RunQueue",
		// A RunQueue that was deleted and made anew is not meant.
		"metadata": map[string]any{"name": key.Repository, "namespace": key.Namespace, "uid": uid},
		"status":   status,
	})
	if err != nil {
		return fmt.Errorf("status of RunQueue %s: %w", key, err)
	}
	_, err = c.Client.In(key.Namespace).Patch(ctx, key.Repository, types.ApplyPatchType, patch,
		metav1.PatchOptions{FieldManager: manager, Force: ptr.To(true)}, "status")
	return explain(err)
}

// explain tells a RunQueue that is not there from an API server that has none.
func explain(err error) error {
	if apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return fmt.Errorf("%w: %w", ErrNoRunQueues, err)
	}
	return err
}
