// Command siege lets a hostile tenant do all that the role "edit" permits in its namespaces, as
// fast as it can, while the queues of honest ones go on beside it, and then reports what that cost
// the honest ones. etcd, the API server and the add-on are real; Tekton and Pipelines-as-Code are
// played.
//
//	go run ./e2e/show/siege --help
package main

import (
	"context"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const about = `Let a hostile tenant with the role "edit" attack the add-on from namespaces of its own, and report
what that cost the honest queues beside it. The exit code is 1, and the logs stay, if a limit was
broken, if a replica restarted or needed more memory than its container has, if it kept working
after the attack had ended, or if the honest runs started more than three times as late as on the
idle stack.

Each attack goes on alone, and at last all of them together. All this happens twice: with the guard
of the chart, and without it, when more attacks get through. Without the guard a tenant can break
the limits of its own queues, and only its own.

The tenant knows of the add-on what the documentation says. A seed stands for what it writes; what
follows from it also depends on the machine.`

func main() {
	c := newConfig()
	show.Main(newShow(c))
}

func newShow(c *config) show.Show {
	return show.Show{
		Name:  "siege",
		About: about,
		Flags: c.define,
		Check: c.complete,
		Stack: func() stack.Options {
			return stack.Options{Components: stack.ControllerManager | stack.CRDs | stack.Helm}
		},
		Play: func(ctx context.Context, stage *show.Stage) (show.Result, error) {
			return (&siege{Stage: stage, config: *c}).play(ctx)
		},
	}
}
