package apiserver_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// cluster is the API server as one test uses it, with a record of every change.
type cluster struct {
	*testing.T
	*history.Recorder
	fixture.Clients
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	if server == nil {
		t.Skip("needs a real API server")
	}
	config := server.Config(stack.Admin)
	c := &cluster{T: t}
	var err error
	c.Clients, err = fixture.NewClients(config)
	c.must(err)
	c.Recorder, err = history.Record(t.Context(), config)
	c.must(err)
	t.Cleanup(c.Stop)
	return c
}

// must ends the test if it met an error.
func (c *cluster) must(err error) {
	c.Helper()
	fixture.Must(c.T, err)
}

// in returns the same cluster for a subtest.
func (c *cluster) in(t *testing.T) *cluster {
	sub := *c
	sub.T = t
	return &sub
}

var namespaces atomic.Int32

// newQueue creates a Repository with a limit, in a namespace of its own.
func (c *cluster) newQueue(limit int) queue.Key {
	c.Helper()
	key := queue.Key{Namespace: fmt.Sprintf("queue-%d", namespaces.Add(1)), Repository: "shop"}
	c.must(server.NewNamespace(c.Context(), key.Namespace))
	c.must(c.CreateRepository(c.Context(), key, &limit))
	return key
}

// push creates the runs of one event as PAC does, in any order, and then gives them that of the
// queue, in which it returns their names.
func (c *cluster) push(key queue.Key, event string, n int) []string {
	c.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%02d", event, i+1))
	}
	order := map[string]string{}
	for _, i := range rand.Perm(n) {
		pr := fixture.HeldRun(key, names[i], names...)
		order[pac.HeldOrder] = pr.Annotations[pac.HeldOrder]
		delete(pr.Annotations, pac.HeldOrder)
		c.must(c.CreateRun(c.Context(), key.Namespace, pr))
	}
	for _, i := range rand.Perm(n) {
		c.must(c.AnnotateRun(c.Context(), key.Namespace, names[i], order))
	}
	return names
}

// create creates one run of an event, held.
func (c *cluster) create(key queue.Key, name string, event []string) {
	c.Helper()
	c.must(c.CreateRun(c.Context(), key.Namespace, fixture.HeldRun(key, name, event...)))
}

func (c *cluster) finish(key queue.Key, name string) {
	c.Helper()
	c.must(c.FinishRun(c.Context(), key.Namespace, name))
}

func (c *cluster) leases(key queue.Key) coordinationclient.LeaseInterface {
	return c.Kube.CoordinationV1().Leases(key.Namespace)
}

// deleteLease deletes the Lease of a slot, as an operator with kubectl does.
func (c *cluster) deleteLease(key queue.Key, slot int) {
	c.Helper()
	c.must(c.leases(key).Delete(c.Context(), lease.Name(key.Repository, slot), metav1.DeleteOptions{}))
}

// waitFor waits until a condition holds for a queue.
func (c *cluster) waitFor(key queue.Key, what string, within time.Duration, condition func(history.View) bool) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), within)
	defer cancel()
	if err := c.Wait(ctx, key, condition); err != nil {
		c.Fatalf("%s: no %s within %s: %s", key, what, within, describe(c.View(key)))
	}
}

func describe(v history.View) string {
	var s strings.Builder
	fmt.Fprintf(&s, "limit %d, %d done, started:", v.Limit, len(v.In(queue.Done)))
	for _, r := range v.In(queue.Started) {
		fmt.Fprintf(&s, " %s", r.Name)
	}
	s.WriteString("; pending:")
	for _, r := range v.In(queue.Pending) {
		fmt.Fprintf(&s, " %s", r.Name)
	}
	for _, slot := range v.Slots {
		fmt.Fprintf(&s, "; slot %d: ", slot.Index)
		switch {
		case slot.Damaged != "":
			s.WriteString(slot.Damaged)
		case slot.Holder == nil:
			s.WriteString("free")
		default:
			s.WriteString(slot.Holder.Name)
		}
	}
	return s.String()
}

func viewHas(runs int) func(history.View) bool {
	return func(v history.View) bool { return len(v.Runs) == runs }
}

func viewStarted(runs int) func(history.View) bool {
	return func(v history.View) bool { return len(v.In(queue.Started)) == runs }
}

// over reports whether every run is done and every slot is free.
func over(v history.View) bool {
	return len(v.In(queue.Done)) == len(v.Runs) && len(v.Runs) > 0 &&
		!slices.ContainsFunc(v.Slots, func(s queue.Slot) bool { return s.Holder != nil || s.Damaged != "" })
}

// waitOver waits until queues are over, however long they are: each of their runs has the whole
// deadline.
func (c *cluster) waitOver(keys ...queue.Key) {
	c.Helper()
	for _, key := range keys {
		for ended := false; !ended; {
			before := len(c.View(key).In(queue.Done))
			c.waitFor(key, "end of the next run", queueDeadline, func(v history.View) bool {
				ended = over(v)
				return ended || len(v.In(queue.Done)) > before
			})
		}
	}
}

// audit returns the final report of the audit of a queue.
func (c *cluster) audit(key queue.Key) audit.Report {
	c.Helper()
	auditor, err := c.Audit(key)
	c.must(err)
	return auditor.Finish(time.Now())
}

// wantSound fails the test unless each queue kept every invariant and finished that many runs.
func (c *cluster) wantSound(runs int, keys ...queue.Key) {
	c.Helper()
	for _, key := range keys {
		c.wantSoundExcept("", runs, key)
	}
}

// wantSoundExcept is wantSound for one queue, with one invariant left out. A replica whose view of
// the runs is old may take a slot once more after all are free, and leaves it: the queue counts as
// sound once it has been so.
func (c *cluster) wantSoundExcept(invariant string, runs int, key queue.Key) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), queueDeadline)
	defer cancel()
	var report audit.Report
	var broken []audit.Violation
	// Whatever is still broken at the deadline is an error.
	_ = c.Wait(ctx, key, func(history.View) bool {
		report = c.audit(key)
		broken = slices.DeleteFunc(report.Violations, func(v audit.Violation) bool { return v.Invariant == invariant })
		return len(broken) == 0
	})
	for _, v := range broken {
		c.Errorf("%s: %s", key, v)
	}
	if report.Done != runs || len(report.Starts) > runs {
		c.Errorf("%s: %d runs done after %d starts, want %d", key, report.Done, len(report.Starts), runs)
	}
}

// wantNoWarnings fails the test if there are Warning events.
func (c *cluster) wantNoWarnings(keys ...queue.Key) {
	c.Helper()
	for _, key := range keys {
		for _, e := range c.events(key) {
			if e.Type == corev1.EventTypeWarning {
				c.Errorf("%s: Warning %s on %s: %s", key, e.Reason, e.InvolvedObject.Name, e.Message)
			}
		}
	}
}

func (c *cluster) events(key queue.Key) []corev1.Event {
	c.Helper()
	list, err := c.Kube.CoreV1().Events(key.Namespace).List(c.Context(), metav1.ListOptions{})
	c.must(err)
	return list.Items
}

// waitEvent waits for an event with a reason on an object and returns it.
func (c *cluster) waitEvent(key queue.Key, reason event.Reason, object string) corev1.Event {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), stepDeadline)
	defer cancel()
	w, err := c.Kube.CoreV1().Events(key.Namespace).Watch(ctx, metav1.ListOptions{})
	c.must(err)
	defer w.Stop()
	for change := range w.ResultChan() {
		e, ok := change.Object.(*corev1.Event)
		if ok && change.Type != watch.Deleted && e.Reason == string(reason) && e.InvolvedObject.Name == object {
			return *e
		}
	}
	var others []string
	for _, e := range c.events(key) {
		others = append(others, fmt.Sprintf("%s on %s: %s", e.Reason, e.InvolvedObject.Name, e.Message))
	}
	c.Fatalf("%s: no event %s on %s within %s; the events are %q", key, reason, object, stepDeadline, others)
	return corev1.Event{}
}

// completion is when PAC labels a finished run completed.
type completion int

const (
	// soon is right away, before or after the replicas hand over its slot.
	soon completion = iota
	// handedOver is once no slot names the run any longer.
	handedOver
)

// play plays PAC and Tekton until the end of the test: PAC notices that a run was started, Tekton
// takes a random time of at most longest to run it, and PAC reports it and labels it completed.
func (c *cluster) play(longest time.Duration, when completion) {
	c.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(c.Context()))
	var all sync.WaitGroup
	factory := tektoninformers.NewSharedInformerFactory(c.Tekton, 0)
	informer := factory.Tekton().V1().PipelineRuns().Informer()
	played := map[types.UID]bool{}
	see := func(obj any) {
		pr := obj.(*tektonv1.PipelineRun)
		key, ok := pac.KeyOf(pr)
		if !ok || played[pr.UID] || pac.ReadRun(pr).Phase != queue.Started {
			return
		}
		played[pr.UID] = true
		all.Go(func() {
			if err := c.playRun(ctx, key, pr, rand.N(longest), when); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
				c.Errorf("%s: playing %s: %v", key, pr.Name, err)
			}
		})
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: see, UpdateFunc: func(_, obj any) { see(obj) },
	})
	c.must(err)
	factory.Start(ctx.Done())
	c.Cleanup(func() {
		stop()
		factory.Shutdown()
		all.Wait()
	})
}

func (c *cluster) playRun(
	ctx context.Context, key queue.Key, pr *tektonv1.PipelineRun, duration time.Duration, when completion,
) error {
	if err := c.PatchRun(ctx, key.Namespace, pr.Name, state("started")); err != nil {
		return err
	}
	select {
	case <-time.After(duration):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.FinishRun(ctx, key.Namespace, pr.Name); err != nil {
		return err
	}
	if when == handedOver {
		if err := c.Wait(ctx, key, func(v history.View) bool {
			return !slices.ContainsFunc(v.Slots, func(s queue.Slot) bool {
				return s.Holder != nil && s.Holder.UID == string(pr.UID)
			})
		}); err != nil {
			return err
		}
	}
	return c.PatchRun(ctx, key.Namespace, pr.Name, state("completed"))
}

// state returns the patch with which PAC sets the state of a run.
func state(value string) any {
	values := map[string]string{keys.State: value}
	return map[string]any{"metadata": map[string]any{"labels": values, "annotations": values}}
}
