package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	shipped "github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

// noon is when every simulation begins.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// Cluster is one simulated cluster with everything in it.
type Cluster struct {
	mixture
	context context.Context // of all passes; it logs nothing
	rnd     *rand.Rand
	now     time.Time
	mutant  *mutant
	server  *server
	queues  []queue.Key
	judges  map[queue.Key]*judge
	// shapes are those of the RunQueues.
	shapes map[queue.Key]pac.Shape
	// settled is the history before the product came; no list is older.
	settled   [kinds]int
	replicas  []*replica
	backend   store.Backend
	running   *strand           // whose code runs right now
	inFlight  []*request        // under way, though no pass waits for them
	promises  []func()          // what PAC has still to patch
	named     map[queue.Key]int // runs so far
	processes int
	byVandal  bool
	writers   map[string]string // the replicas that claimed, emptied or started, by the version they wrote
	calm      bool              // no faults any more
	// outliving are the runs that are done and have pods left, with their queues.
	outliving map[types.UID]queue.Key
	// controllers are what PAC is set to.
	controllers *pac.Controllers
	trace       func(format string, args ...any)
	problem     error // the first invariant that broke
}

// steps is how many decisions the scheduler takes before the end begins.
const steps = 500

func newCluster(seed uint64, o Options) *Cluster {
	rnd := rand.New(rand.NewPCG(seed, 0))
	m := mix(rnd)
	m.traceable, m.cancelling.OnPush, m.kueue, m.ties = seed%3 == 0, seed%2 == 0, seed%5 == 4, seed%5 >= 3
	m.together, m.shaped, m.labelled = seed%4 < 3, seed%7 == 6, seed%9 == 8
	switch {
	case seed%19 == 18:
		m.release = config.ReleasePodsGone
	case seed%21 == 6: // shaped
		m.release = config.ReleasePerQueue
	}
	m.writes = 2 // so that most passes leave something
	if seed%4 == 2 {
		m.writes = 8 // so that much of a pass overlaps
	}
	if o.mutant != nil && o.mutant.weather != nil {
		m.weather = *o.mutant.weather
	}
	if o.mutant != nil && o.mutant.shape != nil {
		o.mutant.shape(&m)
	}
	if m.shaped {
		shaping(&m)
	}
	if m.release.SeesPods() {
		m.memory, m.switches, m.happens["switch"] = false, false, 0
	}
	for _, e := range o.Without {
		m.happens[e] = 0
	}
	c := emptyCluster(m, rnd, o)
	c.trace("weather: %s; backend %s, switched %t; %d replicas; orders are held: %t",
		c.name, c.backend, c.switches, c.mixture.replicas, c.held)
	if c.kueue {
		c.trace("some runs are labelled for Kueue")
	}
	if c.shaped {
		c.trace("RunQueues shape queues")
	}
	if c.labelled {
		c.trace("some runs are not PAC's, and queued by their label")
	}
	if c.release.SeesPods() {
		c.trace("when a slot is free: %s", c.release)
	}
	c.settle()
	for i := range c.mixture.replicas {
		r := &replica{cluster: c, name: fmt.Sprintf("replica-%d", i), skew: c.upTo(2*c.skew) - c.skew}
		for k := range runQueues {
			r.lazy[k] = []int{0, 0, 1, 4, 15}[rnd.IntN(5)]
		}
		r.lazy[runQueues] = r.lazy[repositories]
		c.replicas = append(c.replicas, r)
		r.start(0)
	}
	c.elect()
	return c
}

// emptyCluster has nothing in it but an API server and a judge of every queue.
func emptyCluster(m mixture, rnd *rand.Rand, o Options) *Cluster {
	c := &Cluster{
		mixture: m, rnd: rnd, now: noon, context: klog.NewContext(context.Background(), klog.Logger{}),
		mutant: o.mutant, judges: map[queue.Key]*judge{}, shapes: map[queue.Key]pac.Shape{}, named: map[queue.Key]int{},
		trace:     func(string, ...any) {},
		writers:   map[string]string{},
		outliving: map[types.UID]queue.Key{}, controllers: &pac.Controllers{Default: pac.Features{CancelInProgress: m.cancelling}},
	}
	if c.mutant == nil {
		c.mutant = &mutant{}
	}
	if o.Trace != nil {
		c.trace = func(format string, args ...any) {
			o.Trace(fmt.Sprintf("%9.3fs  %s", c.now.Sub(noon).Seconds(), fmt.Sprintf(format, args...)))
		}
	}
	c.server = newServer(func() time.Time { return c.now })
	c.server.noted = c.noted
	c.backend = store.Lease
	if c.memory {
		c.backend = store.Memory
	}
	for i := range c.mixture.queues {
		key := queue.Key{Namespace: "shop", Repository: []string{"app", "web", "api"}[i]}
		c.queues = append(c.queues, key)
		c.judges[key] = newJudge(c, key)
	}
	return c
}

// settings are what every replica works by.
func (c *Cluster) settings() shipped.Settings {
	return shipped.Settings{Backend: c.backend, Recovery: c.timing}
}

// read reads a run as every replica does. Kueue is at work in the cluster, and some seeds have runs
// that are labelled for it.
func (c *Cluster) read(pr *tektonv1.PipelineRun) queue.Run {
	run := c.controllers.ReadRun(pr).BesideKueue()
	key, _ := pac.KeyOf(pr)
	pac.Prioritize(&run, pr, c.shapes[key])
	return run
}

// settle is the time before the product came: queues that run already, perhaps
// above their limits.
func (c *Cluster) settle() {
	for _, key := range c.queues {
		c.createRepository(key, []int{1, 1, 2, 3}[c.rnd.IntN(4)])
		c.push(key, c.rnd.IntN(4))
		for range c.rnd.IntN(4) {
			c.editRun(c.one(c.pending(key)), "is started by PAC", start)
		}
	}
	for range c.rnd.IntN(8) {
		c.keepPromise()
	}
	for k := range c.settled {
		c.settled[k] = len(c.server.history[k])
	}
}

// upTo is a random duration.
func (c *Cluster) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(c.rnd.Int64N(int64(d)))
}

func (c *Cluster) chance(percent int) bool { return c.rnd.IntN(100) < percent }

// step is one decision of the scheduler.
func (c *Cluster) step() {
	var choices []func()
	add := func(weight int, f func()) {
		choices = append(choices, slices.Repeat([]func(){f}, weight)...)
	}
	if waiting := c.waiting(); len(waiting) > 0 {
		add(c.work, func() { c.serve(c.any(waiting)) })
	}
	if takers := c.takers(); len(takers) > 0 {
		add(c.work, func() { takers[c.rnd.IntN(len(takers))]() })
	}
	if informers := c.late(); len(informers) > 0 {
		add(c.deliver, func() { c.watch(informers[c.rnd.IntN(len(informers))]) })
	}
	add(c.wait, func() { c.advance(c.pause()) })
	add(c.happen, c.happenOnce)
	choices[c.rnd.IntN(len(choices))]()
}

// waiting lists what waits for an answer.
func (c *Cluster) waiting() []*strand {
	var waiting []*strand
	for _, r := range c.replicas {
		if !r.awake() {
			continue
		}
		for _, p := range r.passes {
			waiting = append(waiting, p.waiting()...)
		}
	}
	return waiting
}

// any is one of what waits for an answer.
func (c *Cluster) any(waiting []*strand) *strand { return waiting[c.rnd.IntN(len(waiting))] }

// takers are the workers that could begin with a queue.
func (c *Cluster) takers() []func() {
	var takers []func()
	for _, r := range c.replicas {
		for _, key := range r.ready() {
			takers = append(takers, func() { r.take(key) })
		}
	}
	return takers
}

// late lists the informers that have something to deliver and are not too lazy.
func (c *Cluster) late() []*informer {
	var late []*informer
	for _, r := range c.replicas {
		if !r.awake() {
			continue
		}
		for _, i := range r.informers {
			if i.behind() && c.rnd.IntN(1+r.lazy[i.kind]) == 0 {
				late = append(late, i)
			}
		}
	}
	return late
}

// watch delivers one event, or all there are.
func (c *Cluster) watch(i *informer) {
	for all := c.chance(50); i.behind(); {
		i.deliver()
		if !all {
			return
		}
	}
}

// pause is how long nothing happens.
func (c *Cluster) pause() time.Duration {
	if c.longWaits {
		return c.upTo([]time.Duration{10 * time.Millisecond, time.Second, 3 * time.Second, c.policy.ClaimTTL}[c.rnd.IntN(4)])
	}
	return c.upTo([]time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second}[c.rnd.IntN(3)])
}

// advance lets time pass. Before, it hurries up what would be later then than
// the weather allows.
func (c *Cluster) advance(d time.Duration) {
	then := c.now.Add(d)
	for _, r := range c.replicas {
		if !r.alive {
			continue
		}
		for len(r.passes) > 0 && r.passes[0].began.Add(c.patience).Before(then) {
			c.serve(c.any(r.passes[0].waiting()))
		}
		for _, i := range r.informers {
			for !i.synced || i.seen < c.server.position(i.kind, then.Add(-c.stale)) {
				if !i.synced && !r.born.Add(c.stale).Before(then) {
					break
				}
				i.deliver()
			}
		}
	}
	c.land(then)
	c.now = then
	for _, r := range c.replicas {
		r.tick()
	}
}

// isGlobal says that an object sets the default for all queues.
func (c *Cluster) isGlobal(o object) bool { return o.GetNamespace() == pacNamespace }
