// Command bench measures the add-on's queue beside others, on one API server: the floor, which is
// the least that any queue in Leases must do, PAC's own queue, and a stand-in that costs what
// tekton-kueue does. It prints figures and ratios, and keeps them for docs/benchmarks.md.
//
//	go run ./e2e/show/bench --help
package main

import (
	"context"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const about = `Measure the add-on's queue beside others, one after the other on the same API server, and print
ratios: times depend on the machine, ratios hardly do.

etcd, the API server, PAC's controller, Gitea, the add-on and PAC's watcher are real. The runs are
copies of one that PAC made for a push. Tekton is played, and so is PAC's watcher but for PAC's own
queue: a started run ends after its time, and then PAC's mark follows. The floor is a program that
for every run that ends writes one Lease and starts the next run, and nothing else. The stand-in
for tekton-kueue is the same with as many requests besides as that was measured to make.

With a label the figures are kept in docs/benchmarks/LABEL.json, from which docs/benchmarks.md and
its pictures are made.`

func main() {
	c := newConfig()
	show.Main(show.Show{
		Name:  "bench",
		About: about,
		Flags: c.define,
		Check: c.complete,
		Stack: func() stack.Options {
			return stack.Options{
				Components: stack.CRDs | stack.ControllerManager | stack.Helm | stack.PAC | stack.GitProvider,
				Watchers:   new(0), Audit: true,
			}
		},
		Play: func(ctx context.Context, stage *show.Stage) (show.Result, error) {
			return (&bench{Stage: stage, config: *c}).play(ctx)
		},
	})
}
