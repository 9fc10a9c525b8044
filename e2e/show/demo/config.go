package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// The queues that the demo can show.
const (
	leaseQueue = "lease" // the add-on's
	pacQueue   = "pac"   // PAC's own, without the add-on
)

// runTime is how long the pod of a run takes. With what Tekton and PAC add, a run takes two to
// three seconds.
const runTime = 2 * time.Second

// config is what a user chooses.
type config struct {
	Queue    string
	Runs     int
	Limit    int
	Replicas int // of the add-on
	Watchers int // of PAC
	Kill     bool
}

func newConfig() *config { return &config{Queue: leaseQueue, Replicas: 2, Watchers: 1, Kill: true} }

func (c *config) define(flags *pflag.FlagSet) {
	flags.Var(show.Choice(&c.Queue, leaseQueue, pacQueue), "queue", "the add-on's queue, or PAC's own without the add-on")
	flags.Var(show.Number(&c.Runs, 1, 500), "runs", "PipelineRuns in the push (default 8)")
	flags.Var(show.Number(&c.Limit, 1, 100), "limit", "the Repository's concurrency_limit (default 2)")
	flags.Var(show.Number(&c.Replicas, 1, 5), "replicas", "replicas of the add-on")
	flags.Var(show.Number(&c.Watchers, 1, 4), "watchers", "watchers of PAC")
	flags.BoolVar(&c.Kill, "kill", c.Kill, "kill the leading replica half-way, if another one is left")
}

// complete sets what the user left open, and clears what the chosen queue does not have.
func (c *config) complete() error {
	runs, limit := 8, 2
	if c.Queue == pacQueue {
		c.Replicas = 0
		if c.Watchers > 1 {
			// The negative control. One run at a time, PAC's queue gets stuck when two runs in a
			// row belong to different watchers, which is all but certain among twelve.
			runs, limit = 12, 1
		}
	}
	c.Kill = c.Kill && c.Replicas > 1
	if c.Runs == 0 {
		c.Runs = runs
	}
	if c.Limit == 0 {
		c.Limit = limit
	}
	return nil
}

// queueDeadline bounds the whole queue: a base, the time that PAC takes to create the runs, and,
// for each run that waits for another, a pause as long as PAC's longest.
func (c config) queueDeadline() time.Duration {
	return time.Minute + time.Duration(c.Runs)*time.Second + time.Duration((c.Runs+c.Limit-1)/c.Limit)*(runTime+15*time.Second)
}

// statusDeadline is how long Gitea may take to show how the runs ended.
func (c config) statusDeadline() time.Duration {
	return 30*time.Second + time.Duration(c.Runs)*time.Second
}
