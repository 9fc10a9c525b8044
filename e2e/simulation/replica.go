package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	paclister "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
)

// As in addon/controller.
const (
	staleRetry    = 200 * time.Millisecond
	errorRetryMin = 100 * time.Millisecond
	errorRetryMax = 5 * time.Second
)

// replica is one process of the product: its parts, wired as addon/controller
// wires them, and in place of knative a set of queues to be looked at.
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
	asleep    time.Time // until when the process is stopped
	informers [kinds]*informer
	runs      *pac.Runs
	leases    *lease.Store
	memory    *memory.Store
	engine    *engine.Engine
	recovery  *recovery.Loop

	leads    map[queue.Key]bool
	dirty    map[queue.Key]bool
	failures map[queue.Key]int
	timers   []timer
	passes   []*pass
	round    time.Time // when recovery goes round next
	backend  backend
	resting  time.Time // until when, after a change of the backend
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
	r.alive, r.leads, r.dirty, r.failures = true, map[queue.Key]bool{}, map[queue.Key]bool{}, map[queue.Key]int{}
	r.timers, r.passes, r.asleep, r.resting, r.backend = nil, nil, time.Time{}, time.Time{}, c.backend
	for k, selector := range []string{runs: pac.Selector, leases: lease.Selector, repositories: ""} {
		parsed, err := labels.Parse(selector)
		must(err)
		transform := map[kind]func(any) (any, error){
			runs: pac.TrimRun, leases: func(o any) (any, error) { return o, nil }, repositories: pac.TrimRepository,
		}[kind(k)]
		r.informers[k] = newInformer(c.server, kind(k), parsed, transform, r.wake)
	}
	now := skewed{replica: r}
	var err error
	r.runs, err = pac.NewRuns(pac.By{Replica: "replica", Clock: now}, runGetter{r}, r.informers[runs])
	must(err)
	r.leases, err = lease.New(leaseGetter{r}, r.informers[leases], now, func() time.Duration { return c.policy.ClaimTTL })
	must(err)
	r.memory = memory.New()
	stores := map[backend]engine.Store{inLeases: byIndex{r.leases}, inMemory: claims{byIndex{r.memory}, r}}
	for b, s := range stores {
		stores[b] = c.mutant.store(r, s)
	}
	r.engine = engine.New(engine.Config{
		Repositories: c.mutant.repositories(r, limits{
			pac.NewRepositories(repositoryGetter{r}, paclister.NewRepositoryLister(r.informers[repositories].GetIndexer()), r.informers[runs].GetIndexer(), func() pac.Settings {
				return pac.Settings{Namespace: pacNamespace, GlobalRepository: "pipelines-as-code", CancelInProgress: c.cancelling}
			}), r,
		}),
		Runs:     c.mutant.runs(r, sightings{r.runs, r}, stores[inLeases]),
		Stores:   func() []engine.Store { return []engine.Store{stores[r.backend], stores[1-r.backend]} },
		Recorder: r,
		Clock:    now,
		Policy:   func() queue.Policy { return c.policy },
		HandBack: func() bool { return false },
	})
	r.recovery = recovery.New(recovery.Config{
		Keys: r.keys, Due: r.overdue, Wake: func(key queue.Key) { r.dirty[key] = true }, Clock: now,
		Timing: func() recovery.Timing { return c.timing },
	})
	for k, i := range r.informers {
		i.start(max(c.settled[k], c.server.position(kind(k), c.now.Add(-age))))
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
func (r *replica) wake(o object) {
	switch {
	case r.cluster.isGlobal(o):
		for _, key := range r.keys() {
			r.dirty[key] = true
		}
	default:
		if key, ok := keyOf(o); ok {
			r.dirty[key] = true
		}
	}
}

// keyOf says which queue an object belongs to.
func keyOf(o object) (queue.Key, bool) {
	switch o := o.(type) {
	case *coordinationv1.Lease:
		return lease.KeyOf(o)
	case *pacv1alpha1.Repository:
		return queue.Key{Namespace: o.Namespace, Repository: o.Name}, true
	default:
		return pac.KeyOf(o)
	}
}

func (r *replica) synced() bool {
	return r.informers[runs].synced && r.informers[leases].synced && r.informers[repositories].synced
}

// awake says that the process runs and is not stopped.
func (r *replica) awake() bool { return r.alive && !r.cluster.now.Before(r.asleep) }

// ready lists the queues that a worker would take up now.
func (r *replica) ready() []queue.Key {
	if !r.awake() || !r.synced() && !r.cluster.mutant.beforeSync || r.cluster.now.Before(r.resting) {
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

// take works on a queue if it is this replica's to work on.
func (r *replica) take(key queue.Key) {
	delete(r.dirty, key)
	if r.leads[key] || r.backend != inMemory && r.recovery.Acting(key) {
		r.begin(key)
	}
}

// finished does what addon/controller does after a pass.
func (r *replica) finished(p *pass) {
	r.passes = slices.DeleteFunc(r.passes, func(o *pass) bool { return o == p })
	if p.err != nil {
		r.cluster.trace("%s is through with %s: %v", r.name, p.key.Repository, p.err)
	}
	now := r.cluster.now
	if !p.lookAgain.IsZero() {
		r.timers = append(r.timers, timer{now.Add(p.lookAgain.Sub(now.Add(r.skew))), p.key})
	}
	if errors.Is(p.err, engine.ErrOutrun) {
		r.recovery.Yield(p.key)
	}
	switch {
	case errors.Is(p.err, engine.ErrStale):
		r.failures[p.key] = 0
		r.timers = append(r.timers, timer{now.Add(staleRetry), p.key})
	case p.err != nil:
		pause := min(errorRetryMin<<min(r.failures[p.key], 10), errorRetryMax)
		r.failures[p.key]++
		r.timers = append(r.timers, timer{now.Add(pause), p.key})
	default:
		r.failures[p.key] = 0
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
		r.recovery.Round(r.cluster.context)
	}
}

// overdue is what recovery goes by.
func (r *replica) overdue(ctx context.Context, key queue.Key) ([]queue.Action, error) {
	if r.backend == inMemory && !r.leads[key] {
		return nil, nil
	}
	return r.engine.Overdue(ctx, key)
}

// elect makes the replica the leader of a queue, or not.
func (r *replica) elect(key queue.Key, leads bool) {
	if leads && !r.leads[key] {
		r.memory.Forget(func(k queue.Key) bool { return k == key })
		if slices.Contains(r.keys(), key) {
			r.dirty[key] = true
		}
	}
	r.leads[key] = leads
}

// crash ends the process. Nobody waits for its requests any more, which may
// arrive nevertheless.
func (r *replica) crash() {
	for _, p := range r.passes {
		if q := p.request; q.writes() && !q.answered && !r.perfect {
			r.cluster.abandon(q)
		}
		p.stop()
	}
	r.alive, r.passes = false, nil
}

// Record implements engine.Recorder.
func (r *replica) Record(e report.Event) {
	r.cluster.trace("    %s reports %s of %s: %s", r.name, e.Reason, e.Name, e.Message)
}
