package apiserver_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/wire"
)

// The budget: on its way from queued to started a run costs two writes, the
// hand-over of a Lease and its own start, and no read but through informers.
func TestWritesPerRun(t *testing.T) {
	const limit, runs = 2, 50
	c := newCluster(t)
	key := c.newQueue(limit)
	for _, event := range []string{"push-1", "push-2", "push-3", "push-4", "push-5"} {
		c.push(key, event, runs/5)
	}
	counter := &wire.Counter{}
	startReplica(t, usualConfig, counter.Tap)
	c.waitFor(key, "first runs started", stepDeadline, viewStarted(limit))
	began := counter.Requests()
	c.play(20*time.Millisecond, handedOver)
	c.waitOver(key)
	ended := counter.Requests()

	c.wantSound(runs, key)
	c.wantNoWarnings(key)
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
