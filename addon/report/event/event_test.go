package event_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
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

// events is an event recorder that keeps what it is given.
type events struct {
	record.EventRecorder // nil: any other method is not expected
	mu                   sync.Mutex
	all                  []written
}

func (e *events) Event(on runtime.Object, kind, reason, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, written{*on.(*corev1.ObjectReference), kind, reason, message})
}

// TestEvents: what people read, word for word, and on which object.
func TestEvents(t *testing.T) {
	onRun := corev1.ObjectReference{APIVersion: "tekton.dev/v1", Kind: "PipelineRun", Namespace: "shop", Name: "build", UID: "uid-1"}
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
			event.RepositoryMissing(app, run),
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
			cluster := &events{}
			event.NewRecorder(event.Writer{Events: cluster}).Record(tc.event)
			if diff := cmp.Diff([]written{tc.want}, cluster.all); diff != "" {
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
	cluster := &events{}
	r := event.NewRecorder(event.Writer{Events: cluster})
	for range 3 {
		for _, e := range different {
			r.Record(e)
		}
	}
	if len(cluster.all) != len(different) {
		t.Errorf("%d events are written, want %d: %+v", len(cluster.all), len(different), cluster.all)
	}
	other := &events{}
	event.NewRecorder(event.Writer{Events: other}).Record(different[0])
	if len(other.all) != 1 {
		t.Error("another recorder knows what this one told")
	}
}

// TestRecorderForgets: its memory is bounded, so a repetition is possible, a loss
// is not.
func TestRecorderForgets(t *testing.T) {
	cluster := &events{}
	r := event.NewRecorder(event.Writer{Events: cluster})
	const many = 10_000
	for i := range many {
		r.Record(event.BadAnnotation(app, run, strconv.Itoa(i)))
	}
	if len(cluster.all) != many {
		t.Fatalf("%d of %d events are written", len(cluster.all), many)
	}
	r.Record(event.BadAnnotation(app, run, strconv.Itoa(many-1)))
	if len(cluster.all) != many {
		t.Error("the last event is written again")
	}
	r.Record(event.BadAnnotation(app, run, "0"))
	if len(cluster.all) != many+1 {
		t.Error("what was told very long ago is remembered still: the memory is not bounded")
	}
}

func TestRecorderConcurrently(t *testing.T) {
	cluster := &events{}
	r := event.NewRecorder(event.Writer{Events: cluster})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				r.Record(event.BadAnnotation(app, run, strconv.Itoa(i)))
			}
		})
	}
	wg.Wait()
	if len(cluster.all) != 50 {
		t.Errorf("%d events are written, want each of 50 once", len(cluster.all))
	}
}
