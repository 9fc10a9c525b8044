package apiserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// The tests in this file are scripts: a gate stops one replica, X, within a step, other replicas
// and users go on, and the gate opens. Some are played once more with an X that omits a
// precondition. The audit must catch that; otherwise its approval of the correct X would prove
// nothing.

// armed is a tap that does nothing until it is switched on.
type armed struct {
	on  atomic.Bool
	tap wire.Tap
}

func (a *armed) Tap(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	if a.on.Load() {
		return a.tap(r, send)
	}
	return send(r.Request)
}

// matching selects requests by verb and resource, e.g. "update leases".
func matching(what string) func(wire.Request) bool {
	return func(r wire.Request) bool { return r.Verb+" "+r.Resource == what }
}

// stopAt returns a tap that stops the requests selected at the gate once it is armed, and a
// function that waits until the first of them is answered.
func (c *cluster) stopAt(gate *wire.Gate, selected func(wire.Request) bool) (x *armed, answered func()) {
	done := make(chan struct{})
	closed := sync.OnceFunc(func() { close(done) })
	x = &armed{tap: wire.When(selected, func(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		defer closed()
		return gate.Tap(r, send)
	})}
	return x, func() {
		c.Helper()
		select {
		case <-done:
		case <-time.After(stepDeadline):
			c.Fatalf("X's claim was not answered within %s", stepDeadline)
		}
	}
}

// overwrite makes X replace a slot whatever its version.
func overwrite(kube kubernetes.Interface) wire.Tap {
	return func(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		body, err := r.Body()
		if err != nil {
			return nil, err
		}
		res, err := send(r.Request)
		if err != nil || res.StatusCode != http.StatusConflict {
			return res, err
		}
		res.Body.Close()
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
		if err != nil {
			return nil, err
		}
		wanted := object.(*coordinationv1.Lease)
		leases := kube.CoordinationV1().Leases(r.Namespace)
		now, err := leases.Get(r.Context(), wanted.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		wanted.ResourceVersion, wanted.UID = now.ResourceVersion, now.UID
		written, err := leases.Update(r.Context(), wanted, metav1.UpdateOptions{})
		if err != nil {
			return nil, err
		}
		written.APIVersion, written.Kind = "coordination.k8s.io/v1", "Lease"
		answer, err := json.Marshal(written)
		if err != nil {
			return nil, err
		}
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(bytes.NewReader(answer)), Request: r.Request,
		}, nil
	}
}

// unconditional removes the precondition from a patch.
func unconditional(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	body, err := r.Body()
	if err != nil {
		return nil, err
	}
	var patch map[string]map[string]any
	if err := json.Unmarshal(body, &patch); err != nil {
		return nil, err
	}
	delete(patch["metadata"], "resourceVersion")
	if body, err = json.Marshal(patch); err != nil {
		return nil, err
	}
	r.SetBody(body)
	return send(r.Request)
}

// wantLimitBroken fails the test unless the audit has found that the limit was exceeded.
func (c *cluster) wantLimitBroken(key queue.Key) {
	c.Helper()
	violations := c.audit(key).Violations
	if !slices.ContainsFunc(violations, func(v audit.Violation) bool { return v.Invariant == "I1" }) {
		c.Errorf("%s: the audit found %v, want a violation of I1", key, violations)
	}
}

// reach waits until X has reached the gate.
func (c *cluster) reach(gate *wire.Gate) {
	c.Helper()
	select {
	case <-gate.Reached():
	case <-time.After(stepDeadline):
		c.Fatalf("X did not reach the gate within %s", stepDeadline)
	}
}

// X is about to claim the only slot for the second run of an event, the only run so far. Then the
// first run appears, and Y claims the slot for it.
func TestLateClaim(t *testing.T) {
	for _, slot := range []string{"absent", "free"} {
		script := func(t *testing.T, mutants ...wire.Tap) (*cluster, queue.Key) {
			c := newCluster(t)
			key := c.newQueue(1)
			gate, claims := wire.NewGate(), matching("create leases")
			if slot == "free" {
				claims = matching("update leases")
			}
			x, answered := c.stopAt(gate, claims)
			startReplica(t, usualConfig, append([]wire.Tap{x.Tap}, mutants...)...)
			if slot == "free" {
				name := c.push(key, "earlier", 1)[0]
				c.waitFor(key, "started run", stepDeadline, viewStarted(1))
				c.finish(key, name)
				c.waitFor(key, "free slot", stepDeadline, over)
			}
			x.on.Store(true)
			event := []string{"push-01", "push-02"}
			c.create(key, event[1], event)
			c.reach(gate)
			c.create(key, event[0], event)
			startReplica(t, usualConfig)
			c.waitFor(key, "first run started by Y", stepDeadline, viewStarted(1))
			gate.Open()
			answered()
			return c, key
		}
		runs := 2
		if slot == "free" {
			runs = 3
		}
		t.Run(slot+" slot", func(t *testing.T) {
			c, key := script(t)
			c.play(50*time.Millisecond, soon)
			c.waitOver(key)
			c.wantSound(runs, key)
			c.wantNoWarnings(key)
		})
		t.Run(slot+" slot, overwritten", func(t *testing.T) {
			if server == nil {
				t.Skip("needs a real API server")
			}
			writesLease := func(r wire.Request) bool { return r.Resource == "leases" && r.Writes() }
			c, key := script(t, wire.When(writesLease, overwrite(server.Kubernetes())))
			c.waitFor(key, "second run started by X", stepDeadline, viewStarted(2))
			c.play(50*time.Millisecond, soon)
			c.waitOver(key)
			c.wantLimitBroken(key)
		})
	}
}

// X has claimed the slot and is about to start the run, for longer than the TTL of the claim. Y,
// whose own attempts to start the run fail, fences the claim and hands the slot over.
func TestLateStart(t *testing.T) {
	script := func(t *testing.T, mutants ...wire.Tap) (c *cluster, key queue.Key, open func()) {
		c = newCluster(t)
		key = c.newQueue(1)
		gate := wire.NewGate()
		startReplica(t, hastyConfig, append([]wire.Tap{wire.When(matching("patch pipelineruns"), gate.Tap)}, mutants...)...)
		// X works already, and must claim for the first run, so that run is created first.
		names := []string{"push-01", "push-02"}
		for _, name := range names {
			c.create(key, name, names)
		}
		c.reach(gate)
		var healed atomic.Bool
		startsFirst := func(r wire.Request) bool {
			body, err := r.Body()
			return !healed.Load() && matching("patch pipelineruns")(r) && r.Name == names[0] &&
				err == nil && bytes.Contains(body, []byte(`"status":null`))
		}
		startReplica(t, hastyConfig, wire.When(startsFirst, wire.LoseRequest))
		c.waitFor(key, "second run started by Y", stepDeadline, func(v history.View) bool {
			started := v.In(queue.Started)
			return len(started) == 1 && started[0].Name == names[1]
		})
		c.wantWarning(key, event.ReasonClaimExpired, names[0])
		return c, key, func() { healed.Store(true); gate.Open() }
	}
	t.Run("conditional", func(t *testing.T) {
		c, key, open := script(t)
		open()
		c.play(50*time.Millisecond, soon)
		c.waitOver(key)
		c.wantSound(2, key)
	})
	t.Run("unconditional", func(t *testing.T) {
		c, key, open := script(t, wire.When(matching("patch pipelineruns"), unconditional))
		open()
		c.waitFor(key, "first run started by X", stepDeadline, viewStarted(2))
		c.play(50*time.Millisecond, soon)
		c.waitOver(key)
		c.wantLimitBroken(key)
	})
}

// X is about to hand a slot over when the limit is lowered and Y removes that slot. The late claim
// must not bring the slot back.
func TestLimitLoweredDuringClaim(t *testing.T) {
	c := newCluster(t)
	key := c.newQueue(2)
	names := c.push(key, "push", 4)
	gate := wire.NewGate()
	x, answered := c.stopAt(gate, matching("update leases"))
	startReplica(t, usualConfig, x.Tap)
	c.waitFor(key, "full house", stepDeadline, viewStarted(2))
	x.on.Store(true)
	i := slices.IndexFunc(c.View(key).Slots, func(s queue.Slot) bool { return s.Index == 1 })
	c.finish(key, c.View(key).Slots[i].Holder.Name)
	c.reach(gate)
	c.must(c.SetLimit(t.Context(), key, new(1)))
	startReplica(t, usualConfig)
	c.waitFor(key, "removal of slot 1", stepDeadline, func(v history.View) bool { return len(v.Slots) == 1 })
	gate.Open()
	answered()
	c.play(50*time.Millisecond, soon)
	c.waitOver(key)
	c.wantSound(len(names), key)
	c.wantNoWarnings(key)
}

// X is about to hand a slot over when an operator deletes the Lease of that slot or of the other
// one.
func TestLeaseDeletedDuringClaim(t *testing.T) {
	for name, deleted := range map[string]func(claimed int) int{
		"the other slot": func(claimed int) int { return 1 - claimed },
		"the same slot":  func(claimed int) int { return claimed },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			key := c.newQueue(2)
			names := c.push(key, "push", 6)
			gate := wire.NewGate()
			x := &armed{tap: wire.When(matching("update leases"), gate.Tap)}
			startReplica(t, usualConfig, x.Tap)
			c.waitFor(key, "full house", stepDeadline, viewStarted(2))
			x.on.Store(true)
			slot := c.View(key).Slots[0]
			c.finish(key, slot.Holder.Name)
			c.reach(gate)
			c.deleteLease(key, deleted(slot.Index))
			startReplica(t, usualConfig)
			c.waitFor(key, "new slot in place of the deleted one", stepDeadline, func(v history.View) bool {
				return len(v.Slots) == 2 && len(v.In(queue.Started)) == 2
			})
			gate.Open()
			c.play(50*time.Millisecond, soon)
			c.waitOver(key)
			c.wantSound(len(names), key)
			c.wantNoWarnings(key)
		})
	}
}
