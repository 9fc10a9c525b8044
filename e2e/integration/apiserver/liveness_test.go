package apiserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/controller/watchdog"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// Only a restart ends a request that is neither answered nor given up by the connection.
func TestStuckReplicaIsNotAlive(t *testing.T) {
	c := newCluster(t)
	key := c.newQueue(1)
	gate := wire.NewGate()
	defer gate.Open()
	ofQueue := func(r wire.Request) bool { // an earlier test may have left runs in another one
		return matching("patch pipelineruns")(r) && r.Namespace == key.Namespace
	}
	dog := startReplica(t, usualConfig, wire.When(ofQueue, gate.Tap))
	c.push(key, "push", 1)
	c.reach(gate)
	if err := waitAlive(dog, false); err == nil || !strings.Contains(err.Error(), "queue "+key.String()) {
		t.Errorf("the watchdog reports %v, want that %s is stuck", err, key)
	}
	gate.Open()
	c.waitFor(key, "started run", stepDeadline, viewStarted(1))
	if err := waitAlive(dog, true); err != nil {
		t.Errorf("after the answer: %v", err)
	}
}

// waitAlive waits until the watchdog reports the replica alive, or not, and returns its report.
func waitAlive(dog *watchdog.Watchdog, alive bool) error {
	deadline := time.Now().Add(stepDeadline)
	for {
		err := dog.Check()
		if (err == nil) == alive || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// One look at this queue takes longer than the watchdog's patience, because it makes many requests
// that are answered slowly.
func TestBusyReplicaIsAlive(t *testing.T) {
	c := newCluster(t)
	const runs = 20
	key := c.newQueue(runs)
	c.push(key, "push", runs)
	begun := time.Now()
	dog := startReplica(t, usualConfig, wire.When(wire.Request.Writes, wire.Delay(500*time.Millisecond)))
	for len(c.View(key).Slots) < runs || !viewStarted(runs)(c.View(key)) {
		if err := dog.Check(); err != nil {
			t.Fatal(err)
		}
		if time.Since(begun) > queueDeadline {
			t.Fatalf("the runs were not started within %s: %s", queueDeadline, describe(c.View(key)))
		}
		time.Sleep(50 * time.Millisecond)
	}
	if busy := time.Since(begun); busy < 2*patience {
		t.Fatalf("the replica was busy for %s only, which proves nothing", busy)
	}
}
