package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spf13/pflag"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// config is what a user chooses.
type config struct {
	Seed     uint64
	Duration time.Duration // of the faults; draining the queues afterwards takes its own time
	Replicas int           // of the add-on; without any, the queues are PAC's, with two watchers
	Queues   int
	Runs     int
}

const (
	// runsPer is the time for which one run is pushed by default: as many as two cores can work off
	// beside everything else.
	runsPer = 2 * time.Second
	// leastDuration leaves room for a fault.
	leastDuration = 10 * time.Second
	mostPushed    = 10_000
)

func newConfig() *config {
	return &config{Seed: rand.Uint64N(1e6), Duration: 10 * time.Minute, Replicas: 3, Queues: 4}
}

func (c *config) define(flags *pflag.FlagSet) {
	flags.DurationVar(&c.Duration, "duration", c.Duration, "how long faults happen")
	flags.Uint64Var(&c.Seed, "seed", c.Seed, "seed of the plan of faults and pushes")
	flags.Lookup("seed").DefValue = "random"
	flags.Var(show.Number(&c.Replicas, 0, 9), "replicas", "replicas of the add-on; 0 leaves the queues to two watchers of PAC")
	flags.Var(show.Number(&c.Queues, 1, 20), "queues", "Repositories, with limits of 1, 2, 3 and 5 in turn")
	flags.Var(show.Number(&c.Runs, 0, mostPushed), "runs", fmt.Sprintf("runs that are pushed; 0 means one per %s", runsPer))
}

// complete checks the duration and sets the number of runs that goes with it.
func (c *config) complete() error {
	if c.Duration < leastDuration {
		return fmt.Errorf("the duration is %s: want at least %s, which leaves room for a fault", c.Duration, leastDuration)
	}
	if c.Runs == 0 {
		c.Runs = int(c.Duration / runsPer)
	}
	if c.Runs > mostPushed {
		return errors.New("the duration is " + c.Duration.String() + ": set the number of runs for one this long")
	}
	return nil
}

// limits returns the concurrency limits of the queues.
func (c config) limits() []int {
	cycle := []int{1, 2, 3, 5}
	limits := make([]int, c.Queues)
	for i := range limits {
		limits[i] = cycle[i%len(cycle)]
	}
	return limits
}
