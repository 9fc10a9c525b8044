// Command chaos breaks everything around the add-on, again and again, while runs go through several
// Repositories, and then reports what held and what did not. Everything is real (package stack);
// the judgement rests on etcd's own log of changes.
//
//	go run ./e2e/show/chaos --help
package main

import (
	"context"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const about = `Break everything around the add-on, again and again, while runs go through several Repositories,
and report what held. The exit code is 1, and the logs stay, if anything was broken.

A seed stands for a plan of faults and pushes: what goes wrong, when, how and for how long. What
follows from it also depends on the machine.

Judged is the add-on: no limit is exceeded, the order is kept, and every run that exists starts once
and finishes. PAC creates no runs for a push while the API server is away; that is reported, and is
not a failure.

REPLICAS=0 is the negative control: the queues are PAC's own, shared by two of its watchers, which
does not survive this.`

func main() {
	c := newConfig()
	show.Main(newShow(c))
}

func newShow(c *config) show.Show {
	return show.Show{
		Name:  "chaos",
		About: about,
		Flags: c.define,
		Check: c.complete,
		Stack: func() stack.Options {
			watchers := 1
			if c.Replicas == 0 {
				watchers = 2 // PAC's own way to run more than one replica
			}
			return stack.Options{Components: stack.Everything, Watchers: &watchers, RunTime: runTime}
		},
		Play: func(ctx context.Context, stage *show.Stage) (show.Result, error) {
			return (&chaos{Stage: stage, config: *c}).play(ctx)
		},
	}
}
