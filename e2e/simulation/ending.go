package simulation

import (
	"fmt"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// end lets the sun shine until everything is over: nothing is lost any more, one
// or more replicas are left, and runs end one by one. In between no capacity may
// stay free for longer than recovery needs (I2), everything has to end (I4), and
// a newcomer has to agree that there is nothing to do (I5).
func (c *Cluster) end() {
	c.brighten()
	for range 6 {
		c.catchUp()
		c.advance(c.policy.ClaimTTL/2 + c.policy.BackoffMax/4)
	}
	c.catchUp()
	for range 40 * mostRuns {
		if c.awaitBusy(); c.problem != nil {
			return
		}
		if c.chance(5) {
			c.rest()
			c.newcomer()
		}
		c.admit(c.one(c.everywhere(c.atKueue)))
		switch running := c.everywhere(c.unfinished); {
		case len(c.outliving) > 0 && (len(running) == 0 || c.chance(50)):
			c.podsGo()
		case len(running) > 0:
			c.finish(c.one(running))
			if c.chance(50) {
				c.label(c.one(c.everywhere(func(key queue.Key) []*tektonv1.PipelineRun { return c.runsOf(key, all) })))
			}
		case c.waitsForTime():
			c.advance(c.policy.ClaimTTL / 2)
		default:
			c.over()
			return
		}
	}
	c.fail("I4: it never ends: %s", c.left())
}

// awaitBusy waits until no capacity is free that a run may use, and no run goes on that is to be
// cancelled. It fails if no replica writes for too long meanwhile. A pass makes a few writes only,
// so a long line takes many.
func (c *Cluster) awaitBusy() {
	written, deadline := c.written(), c.now.Add(c.progress())
	for most := c.now.Add(mostRuns * c.progress()); c.problem == nil; c.advance(c.timing.Interval) {
		c.catchUp()
		idle := c.idle()
		if idle == "" {
			return
		}
		if n := c.written(); n > written && c.now.Before(most) {
			written, deadline = n, c.now.Add(c.progress())
		}
		if c.now.After(deadline) {
			c.fail("I2: for %s, %s, and no replica acts", c.progress(), idle)
		}
	}
}

// written is how many versions of runs and slots there have been.
func (c *Cluster) written() int { return len(c.server.history[runs]) + len(c.server.history[leases]) }

// brighten ends all faults.
func (c *Cluster) brighten() {
	c.trace("the sun shines")
	for len(c.promises) > 0 {
		c.keepPromise()
	}
	c.makeSecrets()
	c.resume()
	clear(c.server.rejected)
	c.calm = true
	c.advance(c.longest)
	for _, key := range c.queues {
		if c.repository(key) == nil {
			c.createRepository(key, 1+c.rnd.IntN(3))
		}
	}
	survivors := 0
	for _, i := range c.rnd.Perm(len(c.replicas)) {
		r := c.replicas[i]
		r.asleep = time.Time{}
		if r.alive && survivors > 0 && c.chance(50) {
			r.crash()
			c.trace("%s is gone", r.name)
		}
		if r.alive {
			survivors++
		}
	}
	if survivors == 0 {
		c.replicas[c.rnd.IntN(len(c.replicas))].start(0)
	}
	c.catchUp()
	c.elect()
	c.catchUp()
	for _, o := range c.server.list(leases, "", everything) {
		l := o.(*coordinationv1.Lease)
		// What a user left in the place of a slot may stay, as long as the queue has another slot.
		if index, _ := lease.IndexOf(l.Name, queueOfName(l.Name)); squatted(l) && (index == 0 || c.chance(50)) {
			c.trace("the foreign Lease %s is deleted", l.Name)
			c.server.remove(leases, l, nil)
		}
	}
}

// catchUp delivers everything and has everybody do everything that is to be done
// now.
func (c *Cluster) catchUp() {
	for n := 0; c.problem == nil; n++ {
		if n > 10_000 {
			c.fail("I4: there is always something to do")
		}
		busy := false
		for _, r := range c.replicas {
			if !r.alive {
				continue
			}
			for _, i := range r.informers {
				for i.behind() {
					i.deliver()
				}
			}
			for len(r.passes) > 0 {
				c.serve(c.any(r.passes[0].waiting()))
				busy = true
			}
			for _, key := range r.ready() {
				r.take(key)
				busy = true
			}
		}
		collected := len(c.server.history[leases])
		c.collectOne()
		if !busy && collected == len(c.server.history[leases]) {
			return
		}
	}
}

// progress is how long a queue may stand still if no replica leads it: recovery has
// to notice, and a run that no watch shows is looked at every second.
func (c *Cluster) progress() time.Duration {
	return c.timing.TakeoverAfter + 2*c.timing.Interval + 2*time.Second
}

// rest is long enough for all that is due to be done.
func (c *Cluster) rest() {
	for until := c.now.Add(c.progress()); c.now.Before(until); {
		c.advance(c.timing.Interval)
		c.catchUp()
	}
}

// idle says which queue has room for a run that may start, or a run that is to be cancelled; empty
// if none has.
func (c *Cluster) idle() string {
	for _, key := range c.queues {
		limit := c.limit(key)
		free, keeps := int(limit)-len(c.judges[key].occupying()), c.judges[key].mayRelease(queue.ReleaseWhenPodsGone)
		for _, l := range c.leasesOf(key) {
			if _, slot, ours := lease.Decode(l); ours && slot.Damaged != "" || ours && keeps && c.keptFor(l) {
				free--
			}
			if index, _ := lease.IndexOf(l.Name, queueOfName(l.Name)); squatted(l) && index < int(limit) {
				free--
			}
		}
		for _, pr := range c.pending(key) {
			r := c.read(pr)
			if eligible := c.startable(r); eligible && (limit == queue.Unlimited && (r.Order != nil || r.Kueue.Queue != "") || free > 0) {
				return fmt.Sprintf("%s may start in %s, which has a limit of %d and room for %d", r.Name, key, limit, free)
			}
		}
		if limit != queue.Unlimited {
			if r, by, found := c.superseded(key); found {
				return fmt.Sprintf("%s of %s is superseded by %s and not cancelled", r.Name, key, by.Name)
			}
		}
	}
	return ""
}

// superseded finds a run that a newer one supersedes and that goes on.
func (c *Cluster) superseded(key queue.Key) (run, by queue.Run, found bool) {
	var visible []queue.Run
	for _, pr := range c.runsOf(key, watched) {
		visible = append(visible, c.read(pr))
	}
	superseded := queue.SupersededBy(queue.Line(queue.Shared(visible), nil))
	for _, r := range visible {
		if by, ok := superseded[r.UID]; ok && !r.Ending {
			return r, *by, true
		}
	}
	return run, by, false
}

// watched says that the product's watches show the run.
func watched(pr *tektonv1.PipelineRun) bool {
	return slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(pr.Labels)) })
}

var selectors = func() (parsed []labels.Selector) {
	for _, selector := range []string{pac.Selector, pac.LabelledSelector} {
		s, err := labels.Parse(selector)
		if err != nil {
			panic(err)
		}
		parsed = append(parsed, s)
	}
	return parsed
}()

func isLabelled(pr *tektonv1.PipelineRun) bool { return pac.IsLabelled(pr) }

// forgotten says that the run is marked as finished.
func forgotten(pr *tektonv1.PipelineRun) bool { return pr.Labels[pac.FinishedLabel] != "" }

func (c *Cluster) startable(r queue.Run) bool {
	age := c.now.Sub(r.Created)
	return !r.NotBefore.After(c.now.Add(-c.skew)) && age > max(c.policy.OrderGrace, c.policy.ReadyGrace)+2*c.skew
}

// waitsForTime says that there are runs whose back-off is not over, or that wait
// for others.
func (c *Cluster) waitsForTime() bool {
	return slices.ContainsFunc(c.everywhere(c.pending), func(pr *tektonv1.PipelineRun) bool {
		key, _ := pac.KeyOf(pr)
		run := c.read(pr)
		return c.limit(key) != queue.Unlimited || run.Order != nil || run.Kueue.Queue != ""
	})
}

func (c *Cluster) everywhere(list func(queue.Key) []*tektonv1.PipelineRun) []*tektonv1.PipelineRun {
	var all []*tektonv1.PipelineRun
	for _, key := range c.queues {
		all = append(all, list(key)...)
	}
	return all
}

// over checks what must be left when everything has ended: nothing.
func (c *Cluster) over() {
	for range 3 { // a broken slot is written anew by then
		c.advance(c.policy.ClaimTTL / 2)
		c.catchUp()
	}
	c.rest()
	for _, key := range c.queues {
		j := c.judges[key]
		if c.backend == store.Lease {
			j.audit.Finish(c.now)
			j.verdict()
		}
		for _, pr := range c.runsOf(key, isLabelled) {
			if pr.IsDone() && !forgotten(pr) {
				c.fail("I4: %s is done, and every watch of labelled runs shows it for ever", pr.Name)
			}
		}
		for _, l := range c.leasesOf(key) {
			_, slot, ours := lease.Decode(l)
			switch {
			case !ours:
			case c.backend == store.Memory:
				c.fail("I4: slot %d of %s is still there, though slots are in memory", slot.Index, key)
			case slot.Holder != nil || slot.Damaged != "" || slot.Index >= int(c.limit(key)):
				c.fail("I4: slot %d of %s is left as: %s", slot.Index, key, describe(l))
			}
		}
	}
	c.newcomer()
}

// newcomer is I5: a replica that has seen nothing finds nothing to do where the
// others are through.
func (c *Cluster) newcomer() {
	if c.backend != store.Lease || c.problem != nil {
		return
	}
	r := &replica{cluster: c, name: "newcomer", perfect: true}
	r.start(0)
	for _, i := range r.informers {
		for i.behind() {
			i.deliver()
		}
	}
	for _, key := range c.queues {
		r.begin(key)
		for len(r.passes) > 0 {
			next := r.passes[0].waiting()[0]
			if q := next.request; q.writes() {
				c.fail("I5: the others are through with %s, but a newcomer wants to %s %s %s", key, q.verb, q.kind, q.name)
				r.crash()
				return
			}
			c.serve(next)
		}
	}
	r.crash()
}

// left describes what is not over.
func (c *Cluster) left() string {
	var names []string
	for _, pr := range append(c.everywhere(c.pending), c.everywhere(c.unfinished)...) {
		names = append(names, pr.Name+": "+describe(pr))
	}
	return fmt.Sprint(names)
}
