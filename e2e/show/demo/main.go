// Command demo shows the add-on at its main job on real components: one push to Gitea becomes a
// queue of PipelineRuns, several replicas work it off together, and half-way the leading replica is
// killed. The summary says what held and what did not; the exit code is 1 if anything did not.
//
//	go run ./e2e/show/demo --help
package main

import (
	"context"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const about = `Watch one push being queued across replicas of the add-on. Half-way the leading replica is killed.

QUEUE=pac WATCHERS=2 is the negative control: two watchers of PAC, each with a queue in its own
memory, exceed the limit or leave runs behind, and the demo exits with 1. They do so most reliably
with one run at a time, so LIMIT defaults to 1 then, and RUNS to 12.`

func main() {
	c := newConfig()
	show.Main(show.Show{
		Name:  "demo",
		About: about,
		Flags: c.define,
		Check: c.complete,
		Stack: func() stack.Options {
			return stack.Options{Components: stack.Everything, Watchers: &c.Watchers, RunTime: runTime, Audit: true}
		},
		Play: func(ctx context.Context, stage *show.Stage) (show.Result, error) {
			return (&demo{Stage: stage, config: *c}).play(ctx)
		},
	})
}
