package simulation

import (
	"context"
	"slices"
	"time"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	paclister "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	shipped "github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	reported "github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
)

// replica is one process of the product: its parts as they ship, and in place of informers, work
// queue and election what stands in for them here.
type replica struct {
	cluster *Cluster
	name    string
	// perfect replicas have a network without faults.
	perfect bool

	skew      time.Duration // of its clock
	lazy      [kinds]int    // how reluctant each informer is
	alive     bool
	born      time.Time
	process   int
	asleep    time.Time   // until when the process is stopped
	informers []*informer // by kind, and then perhaps that of the labelled runs
	runs      *pac.Runs
	leases    *lease.Store
	memory    *memory.Store
	engine    *engine.Engine
	config    shipped.Config
	product   product

	leads  map[queue.Key]bool
	dirty  map[queue.Key]bool
	timers []timer
	passes []*pass
	heard  map[string]sighting // by part
	// tried is when it last took over a queue of a part, and proved when it last saw what it wrote,
	// or took over another queue because it had.
	tried, proved map[string]time.Time
	// unwritten counts the failures to stamp runs, by UID.
	unwritten map[string]int
	round     time.Time // when recovery goes round next
	// settled is when the last change of the backend is settled.
	settled time.Time
}

// product is what the simulation needs of a replica that ships.
type product interface {
	Changed(key queue.Key, canWait bool)
	AllChanged([]queue.Key)
	Progress(key queue.Key, replica string)
	Work(context.Context, queue.Key) (shipped.Outcome, error)
	Round(context.Context)
	Configure(shipped.Settings)
	Promoted(func(queue.Key) bool)
	Demoted()
	Acts(queue.Key) bool
	Settings() shipped.Settings
	Stores(lease, memory engine.Store) []engine.Store
}

type timer struct {
	at  time.Time
	key queue.Key
}

// skewed is the clock of one replica; who waits on it waits for ever.
type skewed struct {
	clock.Clock
	*replica
}

func (c skewed) Now() time.Time                  { return c.cluster.now.Add(c.skew) }
func (c skewed) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// start begins a new process, whose informers list as of the given age.
func (r *replica) start(age time.Duration) {
	c := r.cluster
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	c.processes++
	r.born, r.process = c.now, c.processes
	r.alive, r.leads, r.dirty = true, map[queue.Key]bool{}, map[queue.Key]bool{}
	r.timers, r.passes, r.asleep, r.settled, r.unwritten = nil, nil, time.Time{}, time.Time{}, map[string]int{}
	r.heard, r.tried, r.proved = map[string]sighting{}, map[string]time.Time{}, map[string]time.Time{}
	ends, trimmer := pac.NewEnds(), runqueue.NewTrimmer()
	watch := func(k kind, selector string, transform func(any) (any, error)) *informer {
		parsed, err := labels.Parse(selector)
		must(err)
		i := newInformer(c.server, k, parsed, transform, r.wake, r.moved)
		r.informers = append(r.informers, i)
		return i
	}
	var arrivals []*pac.Arrivals
	watchRuns := func(selector string) *informer {
		came := pac.NewArrivals()
		i := watch(runs, selector, func(obj any) (any, error) {
			came.Note(obj)
			ends.Note(obj)
			return pac.CacheRun(obj)
		})
		i.noteRequest = came.NoteRequest
		must(came.Follow(i))
		arrivals = append(arrivals, came)
		return i
	}
	r.informers = nil
	sources := []pac.Source{pac.OfPAC(watchRuns(pac.Selector))}
	watch(leases, lease.Selector, lease.Trim)
	watch(repositories, "", pac.TrimRepository)
	watch(runQueues, "", trimmer.Cache)
	if c.labelled {
		sources = append(sources, pac.Labelled(watchRuns(pac.LabelledSelector)))
	}
	now, shapes := skewed{replica: r}, runqueue.NewShapes(r.informers[runQueues].GetStore(), nil)
	must(trimmer.Follow(r.informers[runQueues]))
	var err error
	by := pac.By{
		Replica: r.name, Clock: now, Arrivals: arrivals, Ends: ends,
		Controllers: func() *pac.Controllers { return c.controllers }, Kueue: func() bool { return true }, Shapes: shapes,
		Learnt: func(was, is any) { r.moved(was, is) },
	}
	r.runs, err = pac.NewRuns(by, runGetter{r}, r.listRunMetadata, sources...)
	must(err)
	r.leases, err = lease.New(r.name, leaseGetter{r}, r.informers[leases], now, func() time.Duration { return c.policy.ClaimTTL }, nil)
	must(err)
	r.memory = memory.New()
	inLeases := c.mutant.store(r, byIndex{r.leases})
	inMemory := c.mutant.store(r, claims{byIndex{r.memory}, r})
	looks := latest.New(func(key queue.Key) bool { return r.product.Acts(key) })
	observer := engine.Observers{reported.NewObserver(r, looks), looks, takeovers{r: r}}
	repositoryLister := paclister.NewRepositoryLister(r.informers[repositories].GetIndexer())
	r.engine = engine.New(engine.Config{
		Repositories: limits{
			pac.NewRepositories(repositoryGetter{r}, repositoryLister, r.informers[runs].GetIndexer(), func() pac.Settings {
				return pac.Settings{Namespace: pacNamespace, GlobalRepository: "pipelines-as-code"}
			}, shapes), r,
		},
		Runs:     c.mutant.runs(r, sightings{r.runs, r}, inLeases),
		Stores:   func() []engine.Store { return r.product.Stores(inLeases, inMemory) },
		Clock:    now,
		Policy:   func() queue.Policy { return c.policy },
		HandBack: func() bool { return r.product.Settings().HandBack },
		Observer: observer,
		Pods:     c.podsOf(),
		Release:  c.release.Of(queue.ReleaseByDefault),
		Bounds:   engine.Bounds{Writes: c.writes, Reads: 1, Starts: 2},
		Group:    func(most int) engine.Group { return &group{cluster: c, most: most} },
	})
	r.config = shipped.Config{
		Name: r.name, Engine: r.engine, Settings: c.settings(), Keys: r.keys, Forget: r.memory.Forget, Clock: now, Observer: observer,
		Wake: func(key queue.Key) { r.dirty[key] = true }, WakeLater: r.wakeLater, WakeAll: r.wakeAll, Workers: workers,
		Leadership: recovery.Leadership{
			Leads:  func(key queue.Key) bool { return r.leads[key] },
			Part:   c.part,
			Leader: func(part string) (string, bool) { return c.leaderOf(part), true },
		},
	}
	c.mutant.wired(r)
	r.product = c.mutant.replica(r, shipped.New(r.config))
	for _, i := range r.informers {
		i.start(max(c.settled[i.kind], c.server.position(i.kind, c.now.Add(-age))))
	}
	r.round = c.now.Add(time.Duration(c.rnd.Int64N(int64(c.timing.Interval))))
	c.trace("%s is there", r.name)
}

// keys lists queues as addon/controller does, but in one order.
func (r *replica) keys() []queue.Key {
	known := append(r.runs.Keys(), r.leases.Keys()...)
	return slices.DeleteFunc(slices.Clone(r.cluster.queues), func(key queue.Key) bool { return !slices.Contains(known, key) })
}

// wake is what the event handlers of the informers do.
func (r *replica) wake(o object, canWait bool) {
	switch {
	case r.cluster.isGlobal(o):
		if r.cluster.mutant.unchanging {
			r.wakeAll(r.keys())
			return
		}
		r.product.AllChanged(r.keys())
	default:
		if key, ok := keyOf(o); ok {
			r.changed(key, canWait)
		}
	}
}

// shortly is how long news waits that can wait.
const shortly = 100 * time.Millisecond

func (r *replica) changed(key queue.Key, canWait bool) {
	switch {
	case !r.cluster.mutant.unchanging:
		r.product.Changed(key, canWait)
	case canWait:
		r.wakeLater(key)
	default:
		r.dirty[key] = true
	}
}

func (r *replica) wakeLater(key queue.Key) {
	r.timers = append(r.timers, timer{r.cluster.now.Add(shortly), key})
}

// wakeAll wakes one queue after the other, as addon/controller does.
func (r *replica) wakeAll(keys []queue.Key) {
	for i, key := range keys {
		r.timers = append(r.timers, timer{r.cluster.now.Add(time.Duration(i) * time.Millisecond), key})
	}
}

// workers of each replica: few, so that queues wait for their namespace's share.
const workers = 4

// keyOf says which queue an object belongs to.
func keyOf(o any) (queue.Key, bool) {
	switch o := o.(type) {
	case *coordinationv1.Lease:
		return lease.KeyOf(o)
	case *pacv1alpha1.Repository:
		return queue.Key{Namespace: o.Namespace, Repository: o.Name}, true
	case *v1alpha1.RunQueue:
		return runqueue.KeyOf(o), true
	case *runqueue.Cached:
		return o.Key(), true
	default:
		return pac.KeyOfCached(o)
	}
}

// cached is a run as a cache has it, whole; nil if none does.
func (r *replica) cached(id string) *tektonv1.PipelineRun {
	for _, i := range r.informers {
		if pr, ok := i.raw[id].(*tektonv1.PipelineRun); ok && i.kind == runs {
			return pr
		}
	}
	return nil
}

// watchedFrom says that a cache has seen the run of that UID from its creation on.
func (r *replica) watchedFrom(uid types.UID) bool {
	return slices.ContainsFunc(r.informers, func(i *informer) bool { return i.kind == runs && i.watched[uid] })
}

// sawRuns is how much of the history of runs every cache shows.
func (r *replica) sawRuns() int {
	seen := r.informers[runs].seen
	for _, i := range r.informers {
		if i.kind == runs {
			seen = min(seen, i.seen)
		}
	}
	return seen
}

func (r *replica) synced() bool {
	return !slices.ContainsFunc(r.informers, func(i *informer) bool { return !i.synced })
}

// awake says that the process runs and is not stopped.
func (r *replica) awake() bool { return r.alive && !r.cluster.now.Before(r.asleep) }

// ready lists the queues that a worker would take up now.
func (r *replica) ready() []queue.Key {
	if !r.awake() || !r.synced() && !r.cluster.mutant.beforeSync {
		return nil
	}
	var ready []queue.Key
	for _, key := range r.cluster.queues {
		if r.dirty[key] && !slices.ContainsFunc(r.passes, func(p *pass) bool { return p.key == key }) {
			ready = append(ready, key)
		}
	}
	return ready
}

// take is a worker that takes a queue up.
func (r *replica) take(key queue.Key) {
	delete(r.dirty, key)
	r.begin(key)
}

// finished is a worker that has done with a queue.
func (r *replica) finished(p *pass) {
	r.passes = slices.DeleteFunc(r.passes, func(o *pass) bool { return o == p })
	if p.err != nil {
		r.cluster.trace("%s is through with %s: %v", r.name, p.key.Repository, p.err)
	}
	if p.outcome.Again > 0 {
		r.timers = append(r.timers, timer{r.cluster.now.Add(p.outcome.Again), p.key})
	}
}

// tick lets go off what is due by now.
func (r *replica) tick() {
	if !r.awake() {
		return
	}
	now := r.cluster.now
	r.timers = slices.DeleteFunc(r.timers, func(t timer) bool {
		if t.at.After(now) {
			return false
		}
		r.dirty[t.key] = true
		return true
	})
	if !r.round.After(now) && (r.synced() || r.cluster.mutant.beforeSync) && !r.cluster.mutant.noRecovery {
		r.round = now.Add(r.cluster.timing.Interval)
		r.product.Round(r.cluster.context)
	}
}

// elect makes the replica the leader of a queue, or not.
func (r *replica) elect(key queue.Key, leads bool) {
	promoted, demoted := leads && !r.leads[key], !leads && r.leads[key]
	r.leads[key] = leads
	switch {
	case promoted:
		r.product.Promoted(func(k queue.Key) bool { return k == key })
	case demoted:
		r.product.Demoted()
	}
}

// crash ends the process. No client waits for its requests, which may
// arrive nevertheless.
func (r *replica) crash() {
	for _, p := range r.passes {
		for _, s := range p.waiting() {
			if q := s.request; q.writes() && !q.answered && !r.perfect {
				r.cluster.abandon(q)
			}
		}
		p.end()
	}
	r.alive, r.passes = false, nil
}

// Record implements engine.Recorder.
func (r *replica) Record(e reported.Event) {
	r.cluster.trace("    %s reports %s of %s: %s", r.name, e.Reason, e.Name, e.Message)
}
