package apiserver_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// A write is lost, or its reply. The next look finds out which: nothing is done twice, nothing is
// left undone, and no run is overtaken.
func TestLostWrites(t *testing.T) {
	for what, tap := range map[string]wire.Tap{"request": wire.LoseRequest, "reply": wire.LoseReply} {
		for _, write := range []string{"create leases", "update leases", "patch pipelineruns"} {
			t.Run(what+" of "+write, func(t *testing.T) {
				const limit, runs = 2, 6
				c := newCluster(t)
				key := c.newQueue(limit)
				order := c.push(key, "push", runs)
				var lost atomic.Bool
				first := func(r wire.Request) bool {
					return r.Verb+" "+r.Resource == write && lost.CompareAndSwap(false, true)
				}
				startReplica(t, usualConfig, wire.When(first, tap))
				c.waitFor(key, "full house", stepDeadline, viewStarted(limit))
				c.play(50*time.Millisecond, handedOver)
				c.waitOver(key)
				if !lost.Load() {
					t.Fatal("nothing was lost")
				}
				c.wantSound(runs, key)
				c.wantNoWarnings(key)
				// Starts overlap, and a failed one holds up no others. Claims are made in order.
				if diff := cmp.Diff(order, c.audit(key).Claims); diff != "" {
					t.Errorf("claims (-queue order +order of claims):\n%s", diff)
				}
			})
		}
	}
}
