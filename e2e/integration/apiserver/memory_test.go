package apiserver_test

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// The memory backend keeps the same promises as long as one replica is active.
func TestMemoryBackend(t *testing.T) {
	t.Run("on a good line", func(t *testing.T) { soleReplica(t, false) })
	t.Run("on a bad line", func(t *testing.T) { soleReplica(t, true) })
}

func soleReplica(t *testing.T, badLines bool) {
	c := newRace(t)
	c.run(memoryConfig, 1, badLines)
	for i, key := range c.queues {
		if badLines && c.limits[i] > 1 {
			// Claims, whose order counts, are not recorded in memory, so a start that was lost and
			// sent again looks like overtaking.
			c.wantSoundExcept("I3", c.runs, key)
		} else {
			c.wantSound(c.runs, key)
		}
		if slots := c.View(key).Slots; len(slots) > 0 {
			t.Errorf("%s: the backend left Leases: %+v", key, slots)
		}
	}
}

// X is about to start the second run of an event, the only run so far. Then the first run appears,
// and Y joins. With slots in Leases, Y sees the claim of X and carries it out. With slots in the
// memory of X, Y sees no claim and starts the first run, and nothing refuses X's start: the memory
// backend cannot pass this scenario.
func TestClaimOfAnotherReplica(t *testing.T) {
	script := func(t *testing.T, config string, started int) (*cluster, queue.Key) {
		c := newCluster(t)
		key := c.newQueue(1)
		gate := wire.NewGate()
		startReplica(t, config, wire.When(matching("patch pipelineruns"), gate.Tap))
		event := []string{"push-01", "push-02"}
		c.create(key, event[1], event)
		c.reach(gate)
		c.create(key, event[0], event)
		startReplica(t, config)
		c.waitFor(key, "run started by Y", stepDeadline, viewStarted(1))
		gate.Open()
		c.waitFor(key, "start by X", stepDeadline, viewStarted(started))
		c.play(50*time.Millisecond, soon)
		c.waitOver(key)
		return c, key
	}
	t.Run("in Leases", func(t *testing.T) {
		c, key := script(t, usualConfig, 1)
		c.wantSound(2, key)
	})
	t.Run("in memory, which cannot pass", func(t *testing.T) {
		c, key := script(t, memoryConfig, 2)
		c.wantLimitBroken(key)
	})
}
