package apiserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// The tests here are scripts: one replica, X, is stopped at a gate within a
// step, the world goes on, and X comes through the gate. Each is also played with
// an X that leaves a precondition out: if the audit did not catch that, it would
// prove nothing when it is content.

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

// asks picks requests by verb and resource, e.g. "update leases".
func asks(what string) func(wire.Request) bool {
	return func(r wire.Request) bool { return r.Verb+" "+r.Resource == what }
}

// overwrite is a store that does not care which version of a slot it replaces.
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

// unconditional takes the preconditions out of a patch.
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

// wantLimitBroken wants that the audit has noticed.
func (c *cluster) wantLimitBroken(key queue.Key) {
	c.Helper()
	violations := c.audit(key).Violations
	if !slices.ContainsFunc(violations, func(v audit.Violation) bool { return v.Invariant == "I1" }) {
		c.Errorf("%s: the audit found %v, want a violation of I1", key, violations)
	}
}

// reach waits until X stands before the gate.
func (c *cluster) reach(gate *wire.Gate) {
	c.Helper()
	select {
	case <-gate.Reached():
	case <-time.After(stepDeadline):
		c.Fatalf("X did not come to the gate within %s", stepDeadline)
	}
}

// X is about to claim the only slot for the second run of an event, as there is
// no other yet; then there is, and Y claims the slot for the first one.
func TestLateClaim(t *testing.T) {
	for _, slot := range []string{"absent", "free"} {
		script := func(t *testing.T, mutants ...wire.Tap) (*cluster, queue.Key) {
			c := newCluster(t)
			key := c.newQueue(1)
			gate, answered := wire.NewGate(), make(chan struct{})
			claims := asks("create leases")
			if slot == "free" {
				claims = asks("update leases")
			}
			x := &armed{tap: wire.When(claims, func(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
				defer closeOnce(answered)
				return gate.Tap(r, send)
			})}
			startReplica(t, usualConfig, append([]wire.Tap{x.Tap}, mutants...)...)
			if slot == "free" {
				name := c.push(key, "earlier", 1)[0]
				c.waitFor(key, "started run", stepDeadline, viewStarted(1))
				if err := c.finish(t.Context(), key, name); err != nil {
					t.Fatal(err)
				}
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
			select {
			case <-answered:
			case <-time.After(stepDeadline):
				t.Fatalf("X's claim was not answered within %s", stepDeadline)
			}
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
				t.Skip("runs on a real API server")
			}
			c, key := script(t, wire.When(func(r wire.Request) bool { return r.Resource == "leases" && r.Writes() }, overwrite(server.Kubernetes())))
			c.waitFor(key, "second run started by X", stepDeadline, viewStarted(2))
			c.play(50*time.Millisecond, soon)
			c.waitOver(key)
			c.wantLimitBroken(key)
		})
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// X has claimed the slot and is about to start the run, for longer than anybody
// waits. Y, whose own tries to start it fail, fences it and gives the slot away.
func TestLateStart(t *testing.T) {
	script := func(t *testing.T, mutants ...wire.Tap) (c *cluster, key queue.Key, pass func()) {
		c = newCluster(t)
		key = c.newQueue(1)
		gate := wire.NewGate()
		startReplica(t, hastyConfig, append([]wire.Tap{wire.When(asks("patch pipelineruns"), gate.Tap)}, mutants...)...)
		// In order: X is at work already, and is to claim for the first.
		names := []string{"push-01", "push-02"}
		for _, name := range names {
			c.create(key, name, names)
		}
		c.reach(gate)
		var healed atomic.Bool
		startReplica(t, hastyConfig, wire.When(func(r wire.Request) bool {
			body, err := r.Body()
			return !healed.Load() && asks("patch pipelineruns")(r) && r.Name == names[0] && err == nil && bytes.Contains(body, []byte(`"status":null`))
		}, wire.LoseRequest))
		c.waitFor(key, "second run started by Y", stepDeadline, func(v history.View) bool {
			started := v.In(queue.Started)
			return len(started) == 1 && started[0].Name == names[1]
		})
		if e := c.waitEvent(key, report.ReasonClaimExpired, names[0]); e.Type != "Warning" {
			t.Errorf("the event that a claim expired is %s, want a Warning", e.Type)
		}
		return c, key, func() { healed.Store(true); gate.Open() }
	}
	t.Run("conditional", func(t *testing.T) {
		c, key, pass := script(t)
		pass()
		c.play(50*time.Millisecond, soon)
		c.waitOver(key)
		c.wantSound(2, key)
	})
	t.Run("unconditional", func(t *testing.T) {
		c, key, pass := script(t, wire.When(asks("patch pipelineruns"), unconditional))
		pass()
		c.waitFor(key, "first run started by X", stepDeadline, viewStarted(2))
		c.play(50*time.Millisecond, soon)
		c.waitOver(key)
		c.wantLimitBroken(key)
	})
}

// X is about to hand a slot over when the limit is lowered and Y removes that
// slot. A late claim must not bring it back.
func TestLimitLoweredDuringClaim(t *testing.T) {
	c := newCluster(t)
	key := c.newQueue(2)
	names := c.push(key, "push", 4)
	gate, answered := wire.NewGate(), make(chan struct{})
	x := &armed{tap: wire.When(asks("update leases"), func(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		defer closeOnce(answered)
		return gate.Tap(r, send)
	})}
	startReplica(t, usualConfig, x.Tap)
	c.waitFor(key, "full house", stepDeadline, viewStarted(2))
	x.on.Store(true)
	i := slices.IndexFunc(c.View(key).Slots, func(s queue.Slot) bool { return s.Index == 1 })
	if err := c.finish(t.Context(), key, c.View(key).Slots[i].Holder.Name); err != nil {
		t.Fatal(err)
	}
	c.reach(gate)
	c.setLimit(key, 1)
	startReplica(t, usualConfig)
	c.waitFor(key, "removal of slot 1", stepDeadline, func(v history.View) bool { return len(v.Slots) == 1 })
	gate.Open()
	select {
	case <-answered:
	case <-time.After(stepDeadline):
		t.Fatalf("X's claim was not answered within %s", stepDeadline)
	}
	c.play(50*time.Millisecond, soon)
	c.waitOver(key)
	c.wantSound(len(names), key)
	c.wantNoWarnings(key)
}

// X is about to hand one slot over when somebody deletes the Lease of this or of
// the other one.
func TestLeaseDeletedDuringClaim(t *testing.T) {
	for name, deleted := range map[string]func(claimed int) int{
		"the other": func(claimed int) int { return 1 - claimed },
		"the same":  func(claimed int) int { return claimed },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			key := c.newQueue(2)
			names := c.push(key, "push", 6)
			gate := wire.NewGate()
			x := &armed{tap: wire.When(asks("update leases"), gate.Tap)}
			startReplica(t, usualConfig, x.Tap)
			c.waitFor(key, "full house", stepDeadline, viewStarted(2))
			x.on.Store(true)
			slot := c.View(key).Slots[0]
			if err := c.finish(t.Context(), key, slot.Holder.Name); err != nil {
				t.Fatal(err)
			}
			c.reach(gate)
			index := deleted(slot.Index)
			if err := c.kube.CoordinationV1().Leases(key.Namespace).Delete(t.Context(), lease.Name(key.Repository, index), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			startReplica(t, usualConfig)
			c.waitFor(key, "slot of that number again", stepDeadline, func(v history.View) bool {
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
