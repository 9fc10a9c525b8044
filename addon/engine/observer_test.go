package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// observed is what an engine tells its observer.
type observed struct {
	engine.Unobserved
	t    *testing.T
	told []string
}

func (c *cluster) observed() (*replica, *observed) {
	r, o := c.replica(), &observed{t: c.t}
	r.Observer = o
	return r, o
}

func (o *observed) Looked(l engine.Look) {
	if l.At.Before(noon) || l.Repository.UID != "uid-app" {
		o.t.Errorf("a look at %+v at %s", l.Repository, l.At)
	}
	o.told = append(o.told, fmt.Sprintf("%s look at %d runs", l.Snapshot.Freshness, len(l.Snapshot.Runs)))
}

func (o *observed) Wrote(w engine.Write) {
	outcome := "done"
	switch {
	case errors.Is(w.Err, engine.ErrStale):
		outcome = "stale"
	case w.Err != nil:
		outcome = "unknown"
	}
	if w.Repository.Key != app || w.At.Before(noon) {
		o.t.Errorf("a write to queue %s at %s", w.Repository.Key, w.At)
	}
	switch a := w.Action.(type) {
	case queue.Start:
		o.told = append(o.told, fmt.Sprintf("start %s with %s: %s", a.Run.Name, a.Token, outcome))
	default:
		o.told = append(o.told, fmt.Sprintf("%T: %s", a, outcome))
	}
}

func (o *observed) Missing(_ queue.Key, waiting []queue.Run) {
	o.told = append(o.told, fmt.Sprintf("missing, %d wait", len(waiting)))
}

func (o *observed) want(want ...string) {
	o.t.Helper()
	if diff := cmp.Diff(want, o.told); diff != "" {
		o.t.Errorf("told (-want +got):\n%s", diff)
	}
	o.told = nil
}

// TestObserver: every decision and the outcome of every write is told of, once.
func TestObserver(t *testing.T) {
	c := newCluster(t, 3, pending("a", "b"), slot(0, ""), slot(1, "b"))
	r, o := c.observed()
	c.intercepted["claim 0 for a"] = committed
	_, err := r.pass()
	wantUnknown(t, err, "claim")
	o.want("confirmed look at 2 runs", "start b with 1/4/0: done", "queue.Claim: unknown")
	c.happened()
	r.mustPass("start a with 0/5/0")
	o.want("confirmed look at 2 runs", "start a with 0/5/0: done")

	c.finish("a", "b")
	c.setSlot(slot(2, ""))
	c.queue.Limit = 2
	r.mustPass("release 0", "release 1", "remove 2")
	o.want("confirmed look at 2 runs", "queue.Release: done", "queue.Release: done", "queue.Remove: done")
	if _, _, err := r.Overdue(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	o.want("cached look at 2 runs")

	t.Run("a fresh look is another decision", func(t *testing.T) {
		c := newCluster(t, 1, pending("a"))
		r, o := c.observed()
		r.mustPass("get Repository", "list slots", "list runs", "claim 0 for a", "start a with 0/1/0")
		o.want("confirmed look at 1 runs", "fresh look at 1 runs", "queue.Claim: done", "start a with 0/1/0: done")
	})
	t.Run("conflicts", func(t *testing.T) {
		c := newCluster(t, 1, pending("a"), slot(0, ""))
		r, o := c.observed()
		r.freeze()
		c.setSlot(slot(0, "x"))
		_, err := r.pass()
		wantStale(t, err)
		o.want("confirmed look at 1 runs", "queue.Claim: stale")
	})
	t.Run("a claim that expires", func(t *testing.T) {
		c := newCluster(t, 1, pending("a"), slot(0, "a"))
		r, o := c.observed()
		c.intercepted["start a with 0/4/0"] = lost
		_, err := r.pass()
		wantUnknown(t, err, "start")
		r.wait(policy.ClaimTTL)
		r.mustPass("start a with 0/4/0: "+errUnknown.Error(), "fence a at 1 until 12:00:25")
		o.want("confirmed look at 1 runs", "start a with 0/4/0: unknown", "confirmed look at 1 runs", "queue.Expire: done")
	})
	t.Run("no Repository", func(t *testing.T) {
		c := newCluster(t, 1, pending("a"), slot(0, ""))
		c.missing = true
		r, o := c.observed()
		r.mustPass()
		if _, _, err := r.Overdue(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		o.want("missing, 1 wait", "missing, 0 wait")
	})
	t.Run("no Repository, for more runs than anyone wants to hear of", func(t *testing.T) {
		var names []string
		for i := range 150 {
			names = append(names, fmt.Sprint("run-", i))
		}
		c := newCluster(t, 1, pending(names...))
		c.missing = true
		r, o := c.observed()
		r.wait(time.Hour)
		r.mustPass()
		o.want("missing, 100 wait")
	})
}
