package event_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
)

var (
	app = queue.Key{Namespace: "shop", Repository: "app"}
	run = queue.Run{Name: "build", UID: "uid-1", Owed: "its git secret"}
)

// written is one event that reached the cluster.
type written struct {
	On                    corev1.ObjectReference
	Type, Reason, Message string
}

// cluster is where events are written.
type cluster struct {
	mu  sync.Mutex
	all []written
	// answer is what becomes of the next requests; nil for what should.
	answer func(*corev1.Event) error
}

// Create implements record.EventSink.
func (c *cluster) Create(e *corev1.Event) (*corev1.Event, error) { return c.write(e) }

// Update implements record.EventSink.
func (c *cluster) Update(e *corev1.Event) (*corev1.Event, error) { return c.write(e) }

// Patch implements record.EventSink.
func (c *cluster) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) { return c.write(e) }

func (c *cluster) write(e *corev1.Event) (*corev1.Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answer != nil {
		if err := c.answer(e); err != nil {
			return nil, err
		}
	}
	c.all = append(c.all, written{e.InvolvedObject, e.Type, e.Reason, e.Message})
	return e, nil
}

// newRecorder returns a recorder whose pace nothing has to wait for, and what it has left out.
func newRecorder(c record.EventSink) (*event.Recorder, map[event.Cause]int) {
	return recorderAt(c, 10_000)
}

func recorderAt(c record.EventSink, perSecond int) (*event.Recorder, map[event.Cause]int) {
	leftOut, clk := map[event.Cause]int{}, clock.RealClock{}
	return event.NewRecorder(event.Config{
		Cluster: c, Source: corev1.EventSource{Component: "test"}, Clock: clk, Pace: pace.New(clk, perSecond),
		LeftOut: func(why event.Cause) { leftOut[why]++ },
	}), leftOut
}

// TestEvents: what people read, word for word, and on which object.
func TestEvents(t *testing.T) {
	onRun := corev1.ObjectReference{APIVersion: "tekton.dev/v1", Kind: "PipelineRun", Namespace: "shop", Name: "build", UID: "uid-1"}
	onRunQueue := corev1.ObjectReference{
		APIVersion: "pac-lease-queue.dev/v1alpha1", Kind: "RunQueue", Namespace: "shop", Name: "app", UID: "uid-rq",
	}
	onRepository := corev1.ObjectReference{
		APIVersion: "pipelinesascode.tekton.dev/v1alpha1",
		Kind:       "Repository",
		Namespace:  "shop",
		Name:       "app",
		UID:        "uid-app",
	}
	for name, tc := range map[string]struct {
		event event.Event
		want  written
	}{
		"adopted": {
			event.Adopted(app, queue.Claim{Run: run, Slot: queue.Slot{Index: 2}}),
			written{onRun, "Normal", "Adopted", "Was running without a slot; now holds slot 2 of Repository app."},
		},
		"no order": {
			event.NotWaitedFor(app, run, queue.NoOrder),
			written{onRun, "Normal", "OrderTimedOut", "Pipelines-as-Code wrote no execution order; started in the order of " +
				"creation instead."},
		},
		"not ready": {
			event.NotWaitedFor(app, run, queue.NotReady),
			written{
				onRun, "Warning", "NotWaitedFor",
				"Pipelines-as-Code still owes its git secret; started without waiting any longer. The log of its watcher may say why.",
			},
		},
		"claim expired": {
			event.ClaimExpired(app, queue.Expire{
				Run: run, Slot: queue.Slot{Index: 2}, Attempt: 3,
				Backoff: 20*time.Second + 400*time.Millisecond,
			}, ""),
			written{
				onRun, "Warning", "ClaimExpired",
				"Could not be started in slot 2 (attempt 3); the slot goes to the next run, this one is tried again in 20s. " +
					"Something refuses the update of the run: look at the admission policies and webhooks for PipelineRuns",
			},
		},
		"claim expired, and it is known why": {
			event.ClaimExpired(app, queue.Expire{Run: run, Attempt: 1, Backoff: 5 * time.Second}, "policy no-friday denied "+
				"the request: it is Friday"),
			written{
				onRun, "Warning", "ClaimExpired",
				"Could not be started in slot 0 (attempt 1); the slot goes to the next run, this one is tried again in 5s. " +
					"Something refuses the update of the run: policy no-friday denied the request: it is Friday",
			},
		},
		"superseded by a push": {
			event.Superseded(app, queue.Cancel{Run: run, By: queue.Run{
				Name:   "build-2",
				Origin: queue.Origin{Trigger: queue.PushTrigger, Branch: "main"},
			}}),
			written{onRun, "Normal", "Superseded", "Cancelled: build-2 is newer, of the same definition and branch main, and " +
				"cancel-in-progress is on."},
		},
		"superseded in a pull request": {
			event.Superseded(app, queue.Cancel{Run: run, By: queue.Run{
				Name:   "build-2",
				Origin: queue.Origin{Trigger: queue.PullRequestTrigger, PullRequest: "7"},
			}}),
			written{onRun, "Normal", "Superseded", "Cancelled: build-2 is newer, of the same definition and pull request 7, " +
				"and cancel-in-progress is on."},
		},
		"not the newest": {
			event.Cancelled(app, queue.Cancel{Run: run, Cause: queue.NotNewest, By: queue.Run{
				Name: "build-2", Origin: queue.Origin{Definition: "build", Branch: "main"},
			}}),
			written{onRun, "Normal", "NotNewest", "Cancelled: a newer run of build on branch main waits, build-2, and RunQueue app keeps " +
				"only the newest of those that wait (waiting.keep)."},
		},
		"too many": {
			event.Cancelled(app, queue.Cancel{Run: run, Cause: queue.TooMany, Spec: queue.Spec{MostWaiting: 10}}),
			written{onRun, "Warning", "MayNotWait", "Cancelled: in RunQueue app, 10 runs may wait (waiting.max of the RunQueue), and " +
				"the newest beyond do not."},
		},
		"too old": {
			event.Cancelled(app, queue.Cancel{Run: run, Cause: queue.TooOld, Spec: queue.Spec{MaxAge: 30 * time.Minute}}),
			written{onRun, "Warning", "MayNotWait", "Cancelled: in RunQueue app, no run may wait for longer than 30m (waiting.maxAge " +
				"of the RunQueue)."},
		},
		"paused": {
			event.Paused(app, "uid-rq", " (by ann: freeze)"),
			written{onRunQueue, "Normal", "Paused", "Paused (by ann: freeze): nothing starts until it is resumed. What runs goes on."},
		},
		"resumed":      {event.Resumed(app, "uid-rq"), written{onRunQueue, "Normal", "Resumed", "Resumed: runs start again."}},
		"bad RunQueue": {event.BadRunQueue(app, "uid-rq", "It is bad."), written{onRunQueue, "Warning", "BadRunQueue", "It is bad."}},
		"refused slot": {
			event.SlotRefused(app, queue.Claim{Run: run, Slot: queue.Slot{Index: 2}}, "exceeded quota: few"),
			written{onRun, "Warning", "SlotRefused", "Slot 2 of Repository app cannot be claimed, so neither this run nor any " +
				"behind it gets one: the API server refuses its Lease: exceeded quota: few"},
		},
		"bad annotation": {
			event.BadAnnotation(app, run, "annotation x: not good; it counts as 0"),
			written{onRun, "Warning", "BadAnnotation", "annotation x: not good; it counts as 0."},
		},
		"no Repository": {
			event.QueueMissing(app, run),
			written{
				onRun, "Warning", "RepositoryNotFound",
				"Waits for a slot of Repository app, which does not exist in namespace shop. Create the Repository, or " +
					"cancel or delete this run.",
			},
		},
		"bad Repository": {
			event.BadRepository(app, "uid-app", "concurrency_limit is -1."),
			written{onRepository, "Warning", "BadRepository", "concurrency_limit is -1."},
		},
		"damaged slot": {
			event.DamagedSlot(app, "uid-app", queue.Slot{Index: 2, Damaged: "Lease app.slot-2 is odd"}),
			written{
				onRepository, "Warning", "BadSlot",
				"Slot 2 cannot be read and counts as taken for now: Lease app.slot-2 is odd. It was edited by hand. The " +
					"add-on rewrites it; nothing needs to be done.",
			},
		},
		"pods that do not go": {
			event.PodsLeft(app, "uid-app", queue.Slot{
				Index: 1, Holder: &queue.Holder{Name: "build"}, Pods: &queue.Pods{Number: 2, First: "build-a-pod"},
			}),
			written{
				onRepository, "Warning", "PodsLeft",
				"Slot 1 is not given away: build is done, but pod build-a-pod of it (one of 2) should have gone and has not. Perhaps " +
					"its node is lost. Once the node is shut down, delete it or the pod: kubectl delete pod -n shop build-a-pod " +
					"--grace-period=0 --force",
			},
		},
		"blocked slot": {
			event.SlotBlocked(app, "uid-app", queue.Slot{Index: 2}, errors.New("Lease shop/app.slot-2 is not ours")),
			written{onRepository, "Warning", "SlotBlocked", "Slot 2 cannot be made, so nothing more is started than fits " +
				"into the other slots: Lease shop/app.slot-2 is not ours."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{}
			r, _ := newRecorder(c)
			r.Record(tc.event)
			r.Flush(t.Context())
			if diff := cmp.Diff([]written{tc.want}, c.all); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRecorderRepeats: an event is written once, however often a queue is looked
// at, and every other event is written too.
func TestRecorderRepeats(t *testing.T) {
	otherRun, otherKey := run, app
	otherRun.Name, otherRun.UID = "test", "uid-2"
	otherKey.Namespace = "bank"
	again := run
	again.UID = "uid-3" // deleted and made anew: another run
	different := []event.Event{
		event.BadAnnotation(app, run, "one"),
		event.BadAnnotation(app, run, "two"),
		event.BadAnnotation(app, otherRun, "one"),
		event.BadAnnotation(app, again, "one"),
		event.BadAnnotation(otherKey, run, "one"),
		event.ClaimExpired(app, queue.Expire{Run: run, Attempt: 1}, ""),
		event.ClaimExpired(app, queue.Expire{Run: run, Attempt: 2}, ""),
		event.BadRepository(app, "uid-app", "one"),
	}
	c := &cluster{}
	r, _ := newRecorder(c)
	for range 3 {
		for _, e := range different {
			r.Record(e)
		}
		r.Flush(t.Context())
	}
	if len(c.all) != len(different) {
		t.Errorf("%d events are written, want %d: %+v", len(c.all), len(different), c.all)
	}
	other := &cluster{}
	r, _ = newRecorder(other)
	r.Record(different[0])
	r.Flush(t.Context())
	if len(other.all) != 1 {
		t.Error("another recorder knows what this one told")
	}
}

// What is said of the configuration is told whenever it is said: it may change back and forth.
func TestConfigurationIsToldAgain(t *testing.T) {
	c := &cluster{}
	r, _ := newRecorder(c)
	for range 3 {
		r.Record(event.Event{Kind: event.ConfigMap, Key: queue.Key{Namespace: "tools"}, Name: "c", Reason: event.ReasonBackendChanged})
		r.Flush(t.Context())
	}
	want := corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: "tools", Name: "c"}
	if len(c.all) != 3 || c.all[0].On != want {
		t.Errorf("written: %+v", c.all)
	}
}

// TestRecorderForgets: its memory is bounded, so a repetition is possible, a loss
// is not.
func TestRecorderForgets(t *testing.T) {
	c := &cluster{}
	r, _ := newRecorder(c)
	const many = 10_000
	tell := func(i int) int {
		r.Record(event.BadAnnotation(app, queue.Run{Name: "run-" + strconv.Itoa(i), UID: strconv.Itoa(i)}, "odd"))
		r.Flush(t.Context())
		return len(c.all)
	}
	for i := range many {
		if n := tell(i); n != i+1 {
			t.Fatalf("%d of %d events are written", n, i+1)
		}
	}
	if tell(many-1) != many {
		t.Error("the last event is written again")
	}
	if tell(0) != many+1 {
		t.Error("what was told very long ago is remembered still: the memory is not bounded")
	}
}

func TestRecorderConcurrently(t *testing.T) {
	c := &cluster{}
	r, _ := newRecorder(c)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				r.Record(event.BadAnnotation(app, queue.Run{Name: "run", UID: strconv.Itoa(i)}, "odd"))
			}
		})
	}
	wg.Wait()
	r.Flush(t.Context())
	if len(c.all) != 50 {
		t.Errorf("%d events are written, want each of 50 once", len(c.all))
	}
}
