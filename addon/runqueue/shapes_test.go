package runqueue_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

var app = queue.Key{Namespace: "shop", Repository: "app"}

// cached are Shapes over a cache that is filled by hand.
type cached struct {
	*runqueue.Shapes
	trimmer *runqueue.Trimmer
	store   cache.Store
}

func newCached() *cached {
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	return &cached{runqueue.NewShapes(store, nil), runqueue.NewTrimmer(), store}
}

// put returns the RunQueue as the cache has it.
func (c *cached) put(t *testing.T, rq v1alpha1.RunQueue) *runqueue.Cached {
	t.Helper()
	kept, err := c.trimmer.Cache(&rq)
	if err == nil {
		err = c.store.Add(kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	return kept.(*runqueue.Cached)
}

func (c *cached) priority(t *testing.T, key queue.Key) int {
	t.Helper()
	shape := c.Of(key)
	if shape == nil {
		t.Fatalf("%s has no shape", key)
	}
	is, err := shape.Priority(subject)
	if err != nil {
		t.Error(err)
	}
	return is
}

// rq is the RunQueue of app.
func rq(generation int64, changes ...func(*v1alpha1.RunQueue)) v1alpha1.RunQueue {
	is := v1alpha1.RunQueue{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Repository, UID: "1", Generation: generation}}
	for _, c := range changes {
		c(&is)
	}
	return is
}

func paused(is *v1alpha1.RunQueue) { is.Spec.Paused = true }

func when(condition string, priority int32) func(*v1alpha1.RunQueue) {
	return func(is *v1alpha1.RunQueue) {
		is.Spec.Priorities = append(is.Spec.Priorities, v1alpha1.PriorityRule{When: condition, Priority: priority})
	}
}

func annotated(key, value string) func(*v1alpha1.RunQueue) {
	return func(is *v1alpha1.RunQueue) {
		if is.Annotations == nil {
			is.Annotations = map[string]string{}
		}
		is.Annotations[key] = value
	}
}

// TestShapes: a queue has the shape of its RunQueue, and the same one until that changes.
func TestShapes(t *testing.T) {
	c := newCached()
	if c.Of(app) != nil {
		t.Error("a shape without a RunQueue")
	}
	c.put(t, rq(1, paused))
	first := c.Of(app)
	if !first.Spec().Paused {
		t.Error("not paused")
	}
	c.put(t, rq(1, paused, func(is *v1alpha1.RunQueue) { is.Status.Waiting = 7 }))
	if c.Of(app) != first {
		t.Error("another shape for a status")
	}
	c.put(t, rq(1, paused, annotated(runqueue.PausedBy, "ann"), annotated(runqueue.PauseReason, "freeze")))
	if is := c.Of(app).Spec().PausedBy; is != "by ann: freeze" {
		t.Errorf("paused %q", is)
	}
	c.put(t, rq(2))
	if c.Of(app).Spec().Paused {
		t.Error("still paused")
	}
	if keys := c.Keys(); !slices.Equal(keys, []queue.Key{app}) {
		t.Errorf("keys are %v", keys)
	}
	if err := c.store.Delete(&v1alpha1.RunQueue{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}}); err != nil {
		t.Fatal(err)
	}
	if _, exists := c.Get(app); exists || c.Of(app) != nil {
		t.Error("the shape outlives its RunQueue")
	}
}

// TestLastUsable: priorities that cannot be used leave those in force that could, and the rest of
// the spec counts.
func TestLastUsable(t *testing.T) {
	c := newCached()
	c.put(t, rq(1, when("true", 5)))
	if is := c.priority(t, app); is != 5 {
		t.Errorf("priority %d", is)
	}
	c.put(t, rq(2, paused, when("tru", 6)))
	if is := c.priority(t, app); is != 5 || !c.Of(app).Spec().Paused {
		t.Errorf("priority %d, spec %v", is, c.Of(app).Spec())
	}
	known, _ := c.Get(app)
	if known.Problem == nil || !strings.Contains(known.Problem.Error(), "undeclared reference to 'tru'") {
		t.Errorf("problem %v", known.Problem)
	}
	c.put(t, rq(3))
	if is := c.priority(t, app); is != 0 {
		t.Errorf("priority %d without any", is)
	}
	other := rq(4, when("tru", 6))
	other.UID = "2"
	c.put(t, rq(4, when("true", 7)))
	c.priority(t, app)
	c.put(t, other)
	if is := c.priority(t, app); is != 0 {
		t.Errorf("priority %d, of a RunQueue that is gone", is)
	}
}

// TestBudget: one namespace's conditions do not fill the cache, and no other pays for them.
func TestBudget(t *testing.T) {
	c := newCached()
	long := "event.branch == '" + strings.Repeat("x", 1000) + "' || true"
	in := func(namespace string, i int) v1alpha1.RunQueue {
		is := rq(1)
		is.Namespace, is.Name, is.UID = namespace, fmt.Sprintf("rq-%d", i), types.UID(fmt.Sprintf("%s-%d", namespace, i))
		for range 16 {
			when(long, 1)(&is)
		}
		return is
	}
	fits := func(namespace string, i int) bool {
		known, _ := c.Get(c.put(t, in(namespace, i)).Key())
		return known.Problem == nil || !strings.Contains(known.Problem.Error(), "more than 1024 KiB")
	}
	kept := 0
	for i := range 200 {
		if fits("greedy", i) {
			kept++
		}
	}
	if kept < 60 || kept > 66 {
		t.Errorf("%d of 200 are kept", kept)
	}
	known, _ := c.Get(queue.Key{Namespace: "greedy", Repository: "rq-199"})
	if known.Problem == nil || !strings.Contains(known.Problem.Error(), "more than 1024 KiB of conditions") {
		t.Errorf("problem %v", known.Problem)
	}
	if !fits("modest", 0) {
		t.Error("another namespace pays")
	}
	// A RunQueue that gets shorter makes room.
	short := in("greedy", 0)
	short.Spec.Priorities = nil
	c.put(t, short)
	if !fits("greedy", 199) {
		t.Error("there is room, and the conditions are not kept")
	}
}

// TestCached: what is not read is not kept, and of what is only as much as means anything.
func TestCached(t *testing.T) {
	c := newCached()
	long := strings.Repeat("x", 10_000)
	c.put(t, rq(3, paused, annotated("note", long), annotated(runqueue.PauseReason, long), func(is *v1alpha1.RunQueue) {
		is.Status = v1alpha1.RunQueueStatus{
			Waiting: 3, Next: long, Conditions: []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Message: long}},
		}
	}))
	known, _ := c.Get(app)
	if len(known.Conditions) != 1 || known.Generation != 3 || known.UID != "1" || known.Hash == "" {
		t.Errorf("known is %v", known)
	}
	if n := len(c.Of(app).Spec().PausedBy) + len(known.Conditions[0].Message); n > 1500 {
		t.Errorf("%d bytes of texts are kept", n)
	}
}

// TestOwn: a RunQueue with a limit is a queue by itself. A fresh answer goes past the cache.
func TestOwn(t *testing.T) {
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	var is *v1alpha1.RunQueue
	var fails error
	shapes := runqueue.NewShapes(store, func(context.Context, queue.Key) (*v1alpha1.RunQueue, error) { return is, fails })
	limited := func(limit int32) *v1alpha1.RunQueue {
		made := rq(1, func(is *v1alpha1.RunQueue) { is.Spec.Limit = limit })
		return &made
	}
	deleting := limited(3)
	deleting.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, tc := range map[string]struct {
		is    *v1alpha1.RunQueue
		fails error
		want  int
	}{
		"with a limit":     {limited(3), nil, 3},
		"without":          {limited(0), nil, 0},
		"gone":             {nil, nil, 0},
		"on its way":       {deleting, nil, 0},
		"it is not to see": {nil, errors.New("timeout"), 0},
	} {
		is, fails = tc.is, tc.fails
		own, exists, err := shapes.Own(t.Context(), app, queue.Fresh)
		if own.Limit != queue.Limit(tc.want) || exists != (tc.want > 0) || !errors.Is(err, tc.fails) {
			t.Errorf("%s: %v, %t, error %v", name, own, exists, err)
		}
	}
	if _, exists, _ := shapes.Own(t.Context(), app, queue.Cached); exists {
		t.Error("the cache has none")
	}
	kept, err := runqueue.NewTrimmer().Cache(limited(4))
	if err == nil {
		err = store.Add(kept)
	}
	if own, exists, _ := shapes.Own(t.Context(), app, queue.Cached); err != nil || !exists || own.Limit != 4 || own.UID != "1" {
		t.Errorf("the cache has %v, %t, error %v", own, exists, err)
	}
}

// TestManyRunQueues: a RunQueue costs little, as there is one for each Repository with a limit.
func TestManyRunQueues(t *testing.T) {
	const many, most = 20_000, 1_200 // bytes
	condition := func(kind, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: "The queue is as it should be."}
	}
	before := heapBytes()
	c := newCached()
	for i := range many {
		c.put(t, rq(1, func(is *v1alpha1.RunQueue) {
			is.Name, is.UID = fmt.Sprintf("app-%d", i), types.UID(fmt.Sprintf("0f0e7c2c-8b60-4f4b-9f6a-%012d", i))
			is.ResourceVersion = fmt.Sprint(100_000_000 + i)
			is.Labels = map[string]string{"a": "b"}
			is.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
			is.Spec.Order, is.Spec.Waiting.Keep = v1alpha1.OrderEvents, v1alpha1.KeepAll // the CRD's defaults
			is.Status.Waiting = int32(i)
			is.Status.Conditions = []metav1.Condition{
				condition("Ready", "Usable"), condition("Paused", "NotPaused"), condition("Stalled", "Moving"),
				condition("LimitExceeded", "WithinLimit"),
			}
		}))
	}
	for _, key := range c.Keys() {
		c.Of(key)
	}
	if bytes := (heapBytes() - before) / many; bytes > most {
		t.Errorf("a RunQueue takes %d bytes, want %d at most", bytes, most)
	} else {
		t.Logf("a RunQueue takes %d bytes", bytes)
	}
	runtime.KeepAlive(c)
}

// heapBytes is how much memory is in use.
func heapBytes() int {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestIsNews: a status is no news to a queue, and all that it goes by is.
func TestIsNews(t *testing.T) {
	c := newCached()
	was := c.put(t, rq(1, paused))
	for name, tc := range map[string]struct {
		is   v1alpha1.RunQueue
		want bool
	}{
		"a status":    {rq(1, paused, func(is *v1alpha1.RunQueue) { is.Status.Waiting = 1 }), false},
		"a spec":      {rq(2), true},
		"who paused":  {rq(1, paused, annotated(runqueue.PausedBy, "ann")), true},
		"another one": {func() v1alpha1.RunQueue { is := rq(1, paused); is.UID = "2"; return is }(), true},
	} {
		if news := runqueue.IsNews(was, c.put(t, tc.is)); news != tc.want {
			t.Errorf("%s: news %t", name, news)
		}
	}
}

// TestUnshaped: a queue without a RunQueue has no shape at all, not an empty one.
func TestUnshaped(t *testing.T) {
	var shapes pac.Shapes = newCached()
	if diff := cmp.Diff(true, shapes.Of(app) == nil); diff != "" {
		t.Error(diff)
	}
}
