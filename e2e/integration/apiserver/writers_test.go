package apiserver_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// Replicas that all believe they lead work on the same queues. The limit and the order hold, and no
// run is lost, whatever is lost or late on the way.
func TestTwoUnelectedWriters(t *testing.T) {
	for _, replicas := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) { race(t, replicas, false) })
		t.Run(fmt.Sprintf("%d replicas, two on bad lines", replicas), func(t *testing.T) { race(t, replicas, true) })
	}
}

// contest is a set of queues in which all runs wait.
type contest struct {
	*cluster
	limits []int
	queues []queue.Key
	orders map[queue.Key][]string
	runs   int // in each queue
}

func newRace(t *testing.T) *contest {
	t.Helper()
	const events, each = 4, 4
	c := &contest{cluster: newCluster(t), limits: []int{1, 3, 1, 3}, orders: map[queue.Key][]string{}, runs: events * each}
	for _, limit := range c.limits {
		key := c.newQueue(limit)
		c.queues = append(c.queues, key)
		for e := range events {
			c.orders[key] = append(c.orders[key], c.push(key, fmt.Sprintf("push-%d", e), each)...)
		}
		c.waitFor(key, "record of every run", stepDeadline, viewHas(c.runs))
	}
	return c
}

// run lets replicas work until all queues are over.
func (c *contest) run(config string, replicas int, badLines bool) []*wire.Counter {
	c.Helper()
	var counters []*wire.Counter
	for i := range replicas {
		counter := &wire.Counter{}
		counters = append(counters, counter)
		taps := []wire.Tap{counter.Tap}
		if badLines && i < 2 {
			taps = append(badLine(uint64(i)), taps...)
		}
		startReplica(c.T, config, taps...)
	}
	for i, key := range c.queues {
		c.waitFor(key, "full house", queueDeadline, func(v history.View) bool { return len(v.In(queue.Started)) >= c.limits[i] })
	}
	c.play(40*time.Millisecond, soon)
	c.waitOver(c.queues...)
	return counters
}

func race(t *testing.T, replicas int, badLines bool) {
	c := newRace(t)
	began := time.Now()
	counters := c.run(usualConfig, replicas, badLines)
	took := time.Since(began)

	c.wantSound(c.runs, c.queues...)
	c.wantNoWarnings(c.queues...)
	var pauses []time.Duration
	for i, key := range c.queues {
		report := c.audit(key)
		if report.MostStarted != c.limits[i] {
			t.Errorf("%s: at most %d runs were started at the same time, want the limit, %d", key, report.MostStarted, c.limits[i])
		}
		var started []string
		for _, s := range report.Starts {
			started = append(started, s.Run)
			pauses = append(pauses, s.Pause)
		}
		if diff := cmp.Diff(c.orders[key], started); diff != "" && c.limits[i] == 1 {
			t.Errorf("%s: starts (-queue order +order of starts):\n%s", key, diff)
		}
	}
	for _, key := range c.queues {
		for _, e := range c.events(key) {
			t.Logf("%s: %s on %s: %s", key, e.Reason, e.InvolvedObject.Name, e.Message)
		}
	}
	refused, requests := 0, map[string]int{}
	for _, counter := range counters {
		refused += counter.Answered(http.StatusConflict)
		for what, n := range counter.Requests() {
			requests[what] += n
		}
	}
	if refused == 0 {
		t.Error("no write was refused, so the replicas did not race")
	}
	t.Logf("%d runs in %s; pause p50 %s, p95 %s, worst %s; %d writes refused; requests: %v",
		len(pauses), took.Round(time.Millisecond), quantile(pauses, 0.5), quantile(pauses, 0.95), quantile(pauses, 1), refused, requests)
}

// badLine loses every tenth reply, loses some requests before they arrive, and delays others for so
// long that the cluster moves on in between.
func badLine(seed uint64) []wire.Tap {
	anything := func(r wire.Request) bool { return r.Verb != "watch" && r.Resource != "events" }
	return []wire.Tap{
		wire.When(wire.Sometimes(seed+1, 0.2, anything), wire.Delay(150*time.Millisecond)),
		wire.When(wire.Sometimes(seed+2, 0.05, anything), wire.LoseRequest),
		wire.When(wire.Sometimes(seed+3, 0.1, anything), wire.LoseReply),
	}
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[int(q*float64(len(d)-1))].Round(time.Millisecond)
}
