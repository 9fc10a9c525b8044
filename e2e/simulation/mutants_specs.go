package simulation

import (
	"context"
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// mutantsOfSpecs are the deliberate bugs in what RunQueues say.
var mutantsOfSpecs = []*mutant{
	{
		name: "starts runs in a paused queue", caught: 6, shape: calmly,
		spec: func(_ *replica, s queue.Spec) queue.Spec {
			s.Paused = false
			return s
		},
	},
	{
		name: "takes the oldest run where the newest is to go first", caught: 8, shape: calmly,
		spec: func(_ *replica, s queue.Spec) queue.Spec {
			if s.Order == queue.NewestFirst {
				s.Order = queue.Events
			}
			return s
		},
	},
	{
		name: "goes round no groups", caught: 56, shape: calmly,
		spec: func(_ *replica, s queue.Spec) queue.Spec {
			if s.Order == queue.Fair {
				s.Order = queue.Events
			}
			return s
		},
	},
	{
		name: "forgets which group was served last", caught: 56, shape: calmly,
		wrapStore: func(_ *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, seen: func(_ context.Context, _ queue.Key, slots []queue.Slot) {
				for i := range slots {
					slots[i].Turns = nil
				}
			}}
		},
	},
	{
		name: "knows no priorities", caught: 2, shape: calmly,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, seen []queue.Run) []queue.Run {
				for i := range seen {
					seen[i].Priority = queue.Priority{}
				}
				return seen
			}}
		},
	},
	{
		name: "gives a slot away while pods of its run are left in a queue that keeps it for them", caught: 3,
		shape: func(m *mixture) {
			calmly(m)
			m.release = config.ReleasePerQueue
		},
		spec: func(_ *replica, s queue.Spec) queue.Spec {
			s.Release = queue.ReleaseByDefault
			return s
		},
	},
	{
		name: "keeps slots for pods in a queue that does not want it", caught: 2,
		shape: func(m *mixture) {
			calmly(m)
			m.release = config.ReleasePerQueue
		},
		spec: func(_ *replica, s queue.Spec) queue.Spec {
			s.Release = queue.ReleaseWhenPodsGone
			return s
		},
	},
	{
		name: "cancels what goes on for a newer run", caught: 6, shape: calmly,
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, seen []queue.Run) []queue.Run {
				newer := queue.Newer(queue.Line(queue.Shared(slices.Clone(seen)), nil))
				for _, run := range seen {
					goesOn := run.Phase == queue.Started && !run.Ending && r.cluster.running != nil
					if goesOn && newer[run.UID] != nil && r.cluster.keepsNewest(key) {
						_ = x.Cancel(ctx, key, queue.Cancel{Run: run})
					}
				}
				return seen
			}}
		},
	},
	{
		name: "keeps the newest of too many", caught: 5, shape: calmly,
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, seen []queue.Run) []queue.Run {
				waiting := slices.DeleteFunc(queue.InOrder(queue.Shared(slices.Clone(seen)), nil), func(run *queue.Run) bool {
					return run.Phase != queue.Pending || run.Ending
				})
				if most := r.cluster.mostWaiting(key); most > 0 && len(waiting) > most && r.cluster.running != nil {
					_ = x.Cancel(ctx, key, queue.Cancel{Run: *waiting[0]})
				}
				return seen
			}}
		},
	},
	{
		name: "cancels runs before they have waited for too long", caught: 3, shape: calmly,
		spec: func(_ *replica, s queue.Spec) queue.Spec {
			s.MaxAge /= 4
			return s
		},
	},
	{
		name: "cancels runs that wait for the end of a pause", caught: 6, shape: calmly,
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, seen []queue.Run) []queue.Run {
				rq := r.cluster.runQueue(key)
				for _, run := range seen {
					waits := run.Phase == queue.Pending && !run.Ending && r.cluster.running != nil
					if waits && rq != nil && rq.Spec.Paused && rq.Spec.Waiting.Max > 0 {
						_ = x.Cancel(ctx, key, queue.Cancel{Run: run})
					}
				}
				return seen
			}}
		},
	},
}

func init() { mutants = append(mutants, mutantsOfSpecs...) }

// calmly has people shape one queue in fair weather, so that what is wrong soon counts, and has
// slots outlast everything.
func calmly(m *mixture) {
	shaping(m)
	m.weather, m.queues, m.memory, m.switches = fair, 1, false, false
	m.happens["push"], m.happens["tekton"], m.happens["promise"], m.happens["reject"] = 30, 30, 40, 0
	for _, never := range []string{"vandal", "delete-lease", "squat", "repository", "switch"} {
		m.happens[never] = 0
	}
}

func (c *Cluster) keepsNewest(key queue.Key) bool {
	rq := c.runQueue(key)
	return rq != nil && rq.Spec.Waiting.Keep != ""
}

func (c *Cluster) mostWaiting(key queue.Key) int {
	if rq := c.runQueue(key); rq != nil && !rq.Spec.Paused {
		return int(rq.Spec.Waiting.Max)
	}
	return 0
}
