package apiserver_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// The budget of a run from queued to started is two writes, the hand-over of a Lease and the start
// of the run, and no reads besides those of informers. What users read comes on top: two events,
// for which nothing waits, and annotations, which have a bound of their own and are switched off
// here.
func TestWritesPerRun(t *testing.T) {
	const limit, runs, events = 2, 50, 5
	c := newCluster(t)
	key := c.newQueue(limit)
	for i := range events {
		c.push(key, fmt.Sprintf("push-%d", i+1), runs/events)
	}
	counter := &wire.Counter{}
	startReplica(t, plainConfig, counter.Tap)
	c.waitFor(key, "first runs started", stepDeadline, viewStarted(limit))
	began := counter.Requests()
	c.play(20*time.Millisecond, handedOver)
	c.waitOver(key)
	ended := counter.Requests()

	c.wantSound(runs, key)
	c.wantNoWarnings(key)
	if news := ended["create events"] + ended["patch events"]; news > 2*runs {
		t.Errorf("%d writes of events, want at most two per run", news)
	}
	for _, requests := range []map[string]int{began, ended} {
		delete(requests, "create events")
		delete(requests, "patch events")
		delete(requests, "list ") // replicas look for Kueue's API every so often
	}
	// A stamp is one more write for each event that shares its second with another one.
	stamps := c.stamps(key)
	if stamps > events {
		t.Errorf("%d runs of %d events are stamped", stamps, events)
	}
	// Those of a later second may come when the first runs have been started.
	early := began["patch pipelineruns"] - limit
	if early < 0 || early > stamps {
		t.Errorf("%d stamps until the first %d runs were started, want %d at most", early, limit, stamps)
	}
	// Creating a Lease needs a fresh look, because its absence has no version. Of the runs, it
	// comes in a first page and a longer one.
	if diff := cmp.Diff(map[string]int{
		"create leases": limit, "patch pipelineruns": limit + early,
		"get repositories": 1, "list leases": 1, "list pipelineruns": 2, // the Repository has a limit of its own
	}, began); diff != "" {
		t.Errorf("requests until the first %d runs were started (-want +got):\n%s", limit, diff)
	}
	for what, n := range began {
		ended[what] -= n
	}
	maps.DeleteFunc(ended, func(_ string, n int) bool { return n == 0 })
	// Every further run starts in a slot that another hands over; the last runs leave theirs empty.
	if diff := cmp.Diff(map[string]int{
		"update leases": runs - limit + limit, "patch pipelineruns": runs - limit + stamps - early,
	}, ended); diff != "" {
		t.Errorf("requests from then on (-want +got):\n%s", diff)
	}
	report := c.audit(key)
	var pauses []time.Duration
	for _, s := range report.Starts[limit:] {
		pauses = append(pauses, s.Pause)
	}
	t.Logf("%.2f writes per run, without the %d releases at the end; no reads; pause p50 %s, p95 %s, worst %s",
		float64(began["create leases"]+began["patch pipelineruns"]+ended["update leases"]-limit+ended["patch pipelineruns"])/runs, limit,
		quantile(pauses, 0.5), quantile(pauses, 0.95), quantile(pauses, 1))
}

// stamps is how many runs of a queue say when their event came.
func (c *cluster) stamps(key queue.Key) int {
	c.Helper()
	list, err := c.Tekton.TektonV1().PipelineRuns(key.Namespace).List(c.Context(), metav1.ListOptions{})
	c.must(err)
	n := 0
	for _, pr := range list.Items {
		if pr.Annotations[pac.Arrived] != "" {
			n++
		}
	}
	return n
}

// The bound on annotations: each waiting run is annotated once, and the runs in the first positions
// again if their text has changed, at most once per interval.
func TestAnnotationsAreBounded(t *testing.T) {
	const limit, runs, positions, interval = 2, 200, 20, 2 * time.Second // as annotatedConfig has it
	c := newCluster(t)
	key := c.newQueue(limit)
	for i := range 10 {
		c.push(key, fmt.Sprintf("push-%02d", i), runs/10)
	}
	counter := &wire.Counter{}
	began := time.Now()
	startReplica(t, annotatedConfig, counter.Tap)
	c.play(50*time.Millisecond, handedOver)
	c.waitOver(key)
	rounds := int(time.Since(began)/interval) + 1
	c.wantSound(runs, key)
	c.wantNoWarnings(key)
	requests := counter.Requests()
	annotated := requests["patch pipelineruns"] - runs - c.stamps(key)
	if bound := runs + positions*rounds; annotated > bound {
		t.Errorf("annotations were written %d times in %d rounds, want at most %d", annotated, rounds, bound)
	}
	if annotated < positions {
		t.Errorf("annotations were written only %d times, which proves nothing", annotated)
	}
	// Two events for each start, and one for each run that waits.
	if events := requests["create events"] + requests["patch events"]; events > 3*runs {
		t.Errorf("%d writes of events, want at most three per run", events)
	}
	t.Logf("%d runs in %d rounds: %d writes of annotations, %d of events, %d of Leases", runs, rounds, annotated,
		requests["create events"]+requests["patch events"], requests["create leases"]+requests["update leases"])

	// The annotations of a started run tell what happened to it.
	started, waited := 0, 0
	list, err := c.Tekton.TektonV1().PipelineRuns(key.Namespace).List(t.Context(), metav1.ListOptions{})
	c.must(err)
	for _, pr := range list.Items {
		a := pr.Annotations
		if a[pac.Status] == string(queue.StateStarted) && strings.HasPrefix(a[pac.Claim], a[pac.Slot]+"/") &&
			a[pac.StartedAt] >= a[pac.ClaimedAt] && a[pac.Reason] == "" && a[pac.Position] == "" {
			started++
		}
		if a[pac.QueuedAt] != "" {
			waited++
		}
	}
	if started != runs || waited < positions {
		t.Errorf("%d of %d runs tell how they were started, and %d since when they waited", started, runs, waited)
	}
}
