package simulation

import (
	"context"
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// mutantsOfLabelled are the deliberate bugs in what becomes of runs that are queued by their label.
var mutantsOfLabelled = []*mutant{
	{
		name: "marks runs as finished that go on", caught: 1, shape: labelling,
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, seen []queue.Run) []queue.Run {
				for _, run := range seen {
					if run.Labelled && run.Phase == queue.Started && r.cluster.running != nil {
						_ = x.Forget(ctx, key, run)
					}
				}
				return seen
			}}
		},
	},
	{
		name: "never marks runs as finished", caught: 1, shape: labelling,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs { return remembering{x} },
	},
	{
		name: "counts no runs but PAC's", caught: 2, shape: labelling,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, seen []queue.Run) []queue.Run {
				return slices.DeleteFunc(seen, func(run queue.Run) bool { return run.Labelled && run.Phase == queue.Started })
			}}
		},
	},
	{
		name: "starts no labelled runs", caught: 1, shape: labelling,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, seen []queue.Run) []queue.Run {
				return slices.DeleteFunc(seen, func(run queue.Run) bool { return run.Labelled && run.Phase == queue.Pending })
			}}
		},
	},
}

func init() { mutants = append(mutants, mutantsOfLabelled...) }

// remembering does not do what it says.
type remembering struct{ engine.Runs }

func (remembering) Forget(context.Context, queue.Key, queue.Run) error { return nil }

// labelling has runs of two kinds in one queue, in fair weather.
func labelling(m *mixture) {
	m.labelled, m.weather, m.queues, m.memory, m.switches = true, fair, 1, false, false
	m.happens["push"], m.happens["tekton"], m.happens["promise"] = 30, 10, 40
}
