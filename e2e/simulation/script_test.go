package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// script is a race in slow motion: which replica looks at what, and whose request arrives when. The
// product survives it; a mutant breaks the limit.
type script struct {
	*Cluster
	key      queue.Key
	replicas map[string]*replica
	// steps are the writes that are about to be sent, in words.
	steps map[*strand]string
	// broken are starts above the limit, counted without the judge and its tolerances.
	broken []string
}

// moment is a point in the history of every kind of object.
type moment [kinds]int

func newScript(limit int, m *mutant, trace func(string)) *script {
	s := &script{replicas: map[string]*replica{}, steps: map[*strand]string{}}
	told := *m
	told.wrapRuns = func(r *replica, x engine.Runs, slots engine.Store) engine.Runs {
		return m.runs(r, toldRuns{x, s}, slots)
	}
	told.wrapStore = func(r *replica, x engine.Store) engine.Store { return m.store(r, toldStore{x, s}) }
	calm := mixture{weather: fair, queues: 1, held: true, writes: 2}
	calm.lag = time.Hour
	s.Cluster = emptyCluster(calm, rand.New(rand.NewPCG(1, 0)), Options{Trace: trace, mutant: &told})
	s.key = s.queues[0]
	s.server.noted = func(ch change, by *request) {
		s.noted(ch, by)
		started := len(s.unfinished(s.key))
		if pr, ok := ch.is.(*tektonv1.PipelineRun); ok && by != nil && !pr.IsPending() && started > limit {
			s.broken = append(s.broken, fmt.Sprintf("%s makes %d started runs, the limit is %d", pr.Name, started, limit))
		}
	}
	s.createRepository(s.key, limit)
	return s
}

func (s *script) moment() moment {
	var m moment
	for k := range m {
		m[k] = len(s.server.history[k])
	}
	return m
}

// withRunsOf is a moment whose cache of runs lags behind: it shows them as they were earlier.
func (m moment) withRunsOf(earlier moment) moment {
	m[runs] = earlier[runs]
	return m
}

func (s *script) wait(d time.Duration) { s.now = s.now.Add(d) }

// run adds a run, so many seconds old, that waits.
func (s *script) run(name string, age int, edits ...func(*tektonv1.PipelineRun)) {
	pr := newRun(s.key, name)
	pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	for _, edit := range append(edits, state("queued"), annotate(pac.HeldOrder, s.key.Namespace+"/"+name)) {
		edit(pr)
	}
	now := s.now
	s.now = noon.Add(-time.Duration(age) * time.Second)
	s.server.create(runs, pr, nil)
	s.now = now
}

// owed is a run whose secret PAC has not created yet, ready one whose secret it has.
var (
	owed  = annotate(keys.SecretCreated, "false")
	ready = annotate(keys.SecretCreated, "true")
)

func (s *script) edit(name, what string, edit func(*tektonv1.PipelineRun)) {
	s.editRun(s.is(name), what, edit)
}

func (s *script) is(name string) *tektonv1.PipelineRun {
	return s.server.objects[runs][s.key.Namespace+"/"+name].(*tektonv1.PipelineRun)
}

// slot adds a Lease, which names no run if the holder is empty.
func (s *script) slot(index int, holder string) {
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.key.Namespace, Name: lease.Name(s.key.Repository, index),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: s.key.Repository, UID: s.repository(s.key).UID,
			}},
		},
		Spec: coordinationv1.LeaseSpec{LeaseTransitions: ptr.To(int32(4))},
	}
	l = lease.Relabel(l)
	if holder != "" {
		l.Spec.HolderIdentity = &holder
		put(&l.Annotations, "pac-lease-queue.dev/run-uid", string(s.is(holder).UID))
		put(&l.Annotations, "pac-lease-queue.dev/attempt", "0")
	}
	s.server.create(leases, l, nil)
}

// looks has a replica begin a pass on what was to be seen at the moment, up to its first write.
// What was left of its last pass is lost.
func (s *script) looks(name string, at moment) {
	r := s.replicas[name]
	if r == nil {
		r = &replica{cluster: s.Cluster, name: name}
		s.replicas[name] = r
		r.start(0)
		r.leads[s.key] = true
		for _, i := range r.informers {
			i.listing, i.synced = nil, false
			i.start(at[i.kind])
		}
	}
	for len(r.passes) > 0 {
		s.lose(r.passes[0].waiting()[0])
	}
	for _, i := range r.informers {
		for !i.synced || i.seen < at[i.kind] {
			i.deliver()
		}
	}
	r.begin(s.key)
	s.read(r)
}

// read answers what a replica reads, up to its next write.
func (s *script) read(r *replica) {
	for {
		reads, found := s.find(r, func(next *strand) bool { return !next.request.writes() })
		if !found {
			return
		}
		reads.resume(s.carryOut(reads.request, ""))
	}
}

// find looks for one of the things that a replica waits for.
func (s *script) find(r *replica, which func(*strand) bool) (*strand, bool) {
	if len(r.passes) == 0 {
		return nil, false
	}
	waiting := r.passes[0].waiting()
	i := slices.IndexFunc(waiting, which)
	if i < 0 {
		return nil, false
	}
	return waiting[i], true
}

// does has writes of a replica arrive, as long as they are what the replica is about to write.
func (s *script) does(name string, steps ...string) {
	for _, step := range steps {
		s.next(name, step, func(next *strand) { next.resume(s.carryOut(next.request, "")) })
	}
}

// loses has a write of a replica get lost.
func (s *script) loses(name, step string) { s.next(name, step, s.lose) }

func (s *script) next(name, step string, meets func(*strand)) {
	r := s.replicas[name]
	if next, found := s.find(r, func(next *strand) bool { return s.steps[next] == step }); found {
		meets(next)
		s.read(r)
	}
}

func (s *script) lose(next *strand) {
	s.trace("  %s: lost", next.request)
	next.resume(s.unknown())
}

// toldRuns and toldStore tell a script what a pass is about to write.
type toldRuns struct {
	engine.Runs
	*script
}

func (t toldRuns) Start(ctx context.Context, key queue.Key, a queue.Start) error {
	t.steps[t.running] = "start " + a.Run.Name
	return t.Runs.Start(ctx, key, a)
}

func (t toldRuns) Fence(ctx context.Context, key queue.Key, run queue.Run, attempt int, notBefore time.Time) error {
	t.steps[t.running] = "expire " + run.Name
	return t.Runs.Fence(ctx, key, run, attempt, notBefore)
}

type toldStore struct {
	engine.Store
	*script
}

func (t toldStore) Claim(ctx context.Context, q engine.Repository, slot queue.Slot, h queue.Holder) (queue.Slot, error) {
	t.steps[t.running] = fmt.Sprintf("claim %d for %s", slot.Index, h.Name)
	return t.Store.Claim(ctx, q, slot, h)
}

func (t toldStore) Release(ctx context.Context, q engine.Repository, slot queue.Slot) error {
	t.steps[t.running] = fmt.Sprintf("release %d", slot.Index)
	return t.Store.Release(ctx, q, slot)
}
