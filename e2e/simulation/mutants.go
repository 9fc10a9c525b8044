package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// mutants are the deliberate bugs that the simulation has to find.
var mutants = []*mutant{
	{
		name: "frees the slot before it has fenced the run", caught: 1424, weather: &storm, shape: rejections,
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, fence: func(ctx context.Context, key queue.Key, run queue.Run, fence func() error) error {
				r.freeSlotOf(ctx, s, key, run)
				return fence()
			}}
		},
	},
	{
		name: "frees the slot instead of fencing the run", caught: 44, weather: &storm, shape: rejections,
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, fence: func(ctx context.Context, key queue.Key, run queue.Run, _ func() error) error {
				r.freeSlotOf(ctx, s, key, run)
				return nil
			}}
		},
	},
	{
		name: "starts a run without its resourceVersion", caught: 8,
		patchBody: func(_ *replica, body []byte) []byte {
			var patch map[string]map[string]any
			if json.Unmarshal(body, &patch) == nil && patch["spec"] != nil {
				delete(patch["metadata"], "resourceVersion")
				body, _ = json.Marshal(patch)
			}
			return body
		},
	},
	{
		name: "does not compare the attempts of run and claim", caught: 41, weather: &storm, shape: rejections,
		// Half of the replicas: if all did, no fenced claim would ever be freed.
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, runs []queue.Run) []queue.Run {
				slots, _ := s.List(ctx, key, queue.Cached)
				for i, run := range runs {
					for _, slot := range slots {
						if slot.Holder != nil && slot.Holder.UID == run.UID && r.odd() {
							runs[i].Attempt = slot.Holder.Attempt
						}
					}
				}
				return runs
			}}
		},
	},
	{
		name: "believes a cache that a slot does not exist", caught: 62,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, neverFresh: true}
		},
		wrapStore: func(_ *replica, x engine.Store) engine.Store { return neverFresh{x} },
	},
	{
		name: "believes a cache that a holder is gone", caught: 324,
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, get: func(_ queue.Key, name string, get func() (queue.Run, bool, error)) (queue.Run, bool, error) {
				if r.informers[runs].raw["shop/"+name] == nil {
					return queue.Run{}, false, nil
				}
				return get()
			}}
		},
	},
	{
		name: "takes a holder for gone if it cannot be read", caught: 1839,
		shape: func(m *mixture) {
			m.often("cancel", "label", "sleep")
			m.happens["tekton"] = 6
			m.network = append(m.network, lost, lost, lost, unanswered)
		},
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, get: func(_ queue.Key, _ string, get func() (queue.Run, bool, error)) (queue.Run, bool, error) {
				run, exists, err := get()
				if err != nil {
					return queue.Run{}, false, nil
				}
				return run, exists, nil
			}}
		},
	},
	{
		name: "releases the slot on any error of a start", caught: 144, weather: &storm, shape: rejections,
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, start: func(ctx context.Context, key queue.Key, run queue.Run, start func() error) error {
				err := start()
				if err != nil {
					r.freeSlotOf(ctx, s, key, run)
				}
				return err
			}}
		},
	},
	{
		name: "counts runs by PAC's state annotation", caught: 1,
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, key queue.Key, seen []queue.Run) []queue.Run {
				for i, run := range seen {
					pr, ok := r.informers[runs].raw[key.Namespace+"/"+run.Name].(*tektonv1.PipelineRun)
					if !ok || run.Phase == queue.Pending {
						continue
					}
					switch pr.Annotations[keys.State] {
					case "started":
						seen[i].Phase = queue.Started
					case "completed", "failed":
						seen[i].Phase = queue.Done
					default:
						seen[i].Phase = queue.Pending
					}
				}
				return seen
			}}
		},
	},
	{
		name: "forgets started runs without a slot", caught: 1,
		wrapRuns: func(_ *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, runs []queue.Run) []queue.Run {
				slots, _ := s.List(ctx, key, queue.Cached)
				return slices.DeleteFunc(runs, func(run queue.Run) bool {
					return run.Phase == queue.Started && !slices.ContainsFunc(slots, func(s queue.Slot) bool { return s.Holder != nil && s.Holder.UID == run.UID })
				})
			}}
		},
	},
	{
		name: "recovers before its caches are filled", caught: 624, beforeSync: true, weather: &hasty,
		shape: func(m *mixture) {
			m.often("crash")
			m.deliver, m.wait, m.longWaits = 1, 1, false
		},
	},
	{
		name: "claims a slot without its resourceVersion", caught: 1306,
		beforePut: func(r *replica, l *coordinationv1.Lease) {
			// Whatever version there is when it arrives: that of the latest look.
			if is, ok := r.cluster.server.lease(l.Namespace, l.Name); ok {
				l.ResourceVersion, l.UID = is.ResourceVersion, is.UID
			}
		},
	},
	{
		name: "takes a claim without an answer for made", caught: 152,
		wrapStore: func(_ *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, claim: func(slot queue.Slot, h queue.Holder, claim func() (queue.Slot, error)) (queue.Slot, error) {
				made, err := claim()
				if err != nil && !errors.Is(err, engine.ErrStale) && !errors.Is(err, engine.ErrBlocked) {
					slot.Holder, slot.Transition = &h, slot.Transition+1
					return slot, nil
				}
				return made, err
			}}
		},
	},
	{
		name: "starts in the order of creation", caught: 5,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, runs []queue.Run) []queue.Run {
				for i := range runs {
					if o := runs[i].Order; o != nil {
						runs[i].Order = &queue.Order{Held: o.Held}
					}
				}
				return runs
			}}
		},
	},
	{name: "has no recovery", caught: 3, noRecovery: true},
	{
		name: "keeps slots in the memory of several replicas", caught: 102, manyLeaders: true,
		shape: func(m *mixture) { m.memory, m.switches, m.replicas = true, false, max(2, m.replicas) },
	},
}

func (r *replica) odd() bool { return slices.Index(r.cluster.replicas, r)%2 == 1 }

// hasty is fair weather in which recovery acts before slow caches are filled.
var hasty = func() weather {
	w := fair
	w.timing = recovery.Timing{Interval: 200 * time.Millisecond, TakeoverAfter: 500 * time.Millisecond}
	return w
}()

// rejections make claims expire, while several replicas are at them.
func rejections(m *mixture) {
	m.often("reject", "late")
	m.crowd, m.memory, m.switches, m.replicas, m.queues = true, false, false, max(2, m.replicas), 1
	m.network = append(m.network, stuck, stuck, stuck)
	m.happens["promise"], m.happens["push"] = 30, 20
}

// freeSlotOf empties the slot that names a run.
func (r *replica) freeSlotOf(ctx context.Context, s engine.Store, key queue.Key, run queue.Run) {
	repository := r.cluster.repository(key)
	if repository == nil {
		return
	}
	slots, _ := s.List(ctx, key, queue.Fresh)
	for _, slot := range slots {
		if slot.Holder != nil && slot.Holder.UID == run.UID {
			_ = s.Release(ctx, engine.Repository{Key: key, UID: string(repository.UID)}, slot)
		}
	}
}

// hooked is an engine.Runs of a mutant.
type hooked struct {
	engine.Runs
	neverFresh bool
	seen       func(context.Context, queue.Key, []queue.Run) []queue.Run
	get        func(key queue.Key, name string, get func() (queue.Run, bool, error)) (queue.Run, bool, error)
	start      func(ctx context.Context, key queue.Key, run queue.Run, start func() error) error
	fence      func(ctx context.Context, key queue.Key, run queue.Run, fence func() error) error
}

func (h hooked) List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]queue.Run, error) {
	if h.neverFresh {
		freshness = queue.Cached
	}
	runs, err := h.Runs.List(ctx, key, freshness)
	if h.seen != nil && err == nil {
		runs = h.seen(ctx, key, runs)
	}
	return runs, err
}

func (h hooked) Get(ctx context.Context, key queue.Key, name string) (queue.Run, bool, error) {
	get := func() (queue.Run, bool, error) { return h.Runs.Get(ctx, key, name) }
	if h.get == nil {
		return get()
	}
	return h.get(key, name, get)
}

func (h hooked) Start(ctx context.Context, key queue.Key, a queue.Start) error {
	start := func() error { return h.Runs.Start(ctx, key, a) }
	if h.start == nil {
		return start()
	}
	return h.start(ctx, key, a.Run, start)
}

func (h hooked) Fence(ctx context.Context, key queue.Key, run queue.Run, attempt int, notBefore time.Time) error {
	fence := func() error { return h.Runs.Fence(ctx, key, run, attempt, notBefore) }
	if h.fence == nil {
		return fence()
	}
	return h.fence(ctx, key, run, fence)
}

type neverFresh struct{ engine.Store }

func (s neverFresh) List(ctx context.Context, key queue.Key, _ queue.Freshness) ([]queue.Slot, error) {
	return s.Store.List(ctx, key, queue.Cached)
}

type hookedStore struct {
	engine.Store
	claim func(queue.Slot, queue.Holder, func() (queue.Slot, error)) (queue.Slot, error)
}

func (s hookedStore) Claim(ctx context.Context, q engine.Repository, slot queue.Slot, h queue.Holder) (queue.Slot, error) {
	return s.claim(slot, h, func() (queue.Slot, error) { return s.Store.Claim(ctx, q, slot, h) })
}
