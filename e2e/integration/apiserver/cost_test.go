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
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// The budget: on its way from queued to started a run costs two writes, the
// hand-over of a Lease and its own start, and no read but through informers. What
// people are told comes on top: two events, nothing waits for them, and annotations,
// which have a bound of their own and are switched off here.
func TestWritesPerRun(t *testing.T) {
	const limit, runs = 2, 50
	c := newCluster(t)
	key := c.newQueue(limit)
	for _, event := range []string{"push-1", "push-2", "push-3", "push-4", "push-5"} {
		c.push(key, event, runs/5)
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
	if events := ended["create events"] + ended["patch events"]; events > 2*runs {
		t.Errorf("%d writes of events, want two per run at most", events)
	}
	for _, requests := range []map[string]int{began, ended} {
		delete(requests, "create events")
		delete(requests, "patch events")
	}
	// A Lease comes into being on a fresh look: its absence has no version.
	if diff := cmp.Diff(map[string]int{
		"create leases": limit, "patch pipelineruns": limit,
		"get repositories": 2, "list leases": 1, "list pipelineruns": 1, // its own Repository, and the global one
	}, began); diff != "" {
		t.Errorf("until the first %d runs were started (-want +got):\n%s", limit, diff)
	}
	for what, n := range began {
		ended[what] -= n
	}
	maps.DeleteFunc(ended, func(_ string, n int) bool { return n == 0 })
	// Every other run is started, most in a slot that another hands over; the
	// last ones leave theirs empty.
	if diff := cmp.Diff(map[string]int{"update leases": runs - limit + limit, "patch pipelineruns": runs - limit}, ended); diff != "" {
		t.Errorf("from then on (-want +got):\n%s", diff)
	}
	report := c.audit(key)
	var pauses []time.Duration
	for _, s := range report.Starts[limit:] {
		pauses = append(pauses, s.Pause)
	}
	t.Logf("%.2f writes per run, without the %d releases at the end; no read; pause p50 %s, p95 %s, worst %s",
		float64(began["create leases"]+began["patch pipelineruns"]+ended["update leases"]-limit+ended["patch pipelineruns"])/runs, limit,
		quantile(pauses, 0.5), quantile(pauses, 0.95), quantile(pauses, 1))
}

// The bound on what is written for people: each run that waits is told once that it
// does, and then, at most once per interval, those in the first positions whose text
// has changed.
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
	told := requests["patch pipelineruns"] - runs
	if bound := runs + positions*rounds; told > bound {
		t.Errorf("%d annotations were written in %d rounds, want %d at most", told, rounds, bound)
	}
	if told < positions {
		t.Errorf("only %d annotations were written: this shows nothing", told)
	}
	// Two events for each start, and one for each run that was told that it waits.
	if events := requests["create events"] + requests["patch events"]; events > 3*runs {
		t.Errorf("%d writes of events, want three per run at most", events)
	}
	t.Logf("%d runs in %d rounds: %d writes of annotations, %d of events, %d of Leases", runs, rounds, told,
		requests["create events"]+requests["patch events"], requests["create leases"]+requests["update leases"])

	// What a started run says is what happened to it.
	started, waited := 0, 0
	list, err := c.tekton.TektonV1().PipelineRuns(key.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pr := range list.Items {
		a := pr.Annotations
		if a[pac.Status] == pac.StatusStarted && strings.HasPrefix(a[pac.Claim], a[pac.Slot]+"/") && a[pac.StartedAt] >= a[pac.ClaimedAt] && a[pac.Reason] == "" && a[pac.Position] == "" {
			started++
		}
		if a[pac.QueuedAt] != "" {
			waited++
		}
	}
	if started != runs || waited < positions {
		t.Errorf("%d of %d runs say how they were started, %d since when they waited", started, runs, waited)
	}
}
