package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

// config is what a chaos is made of.
type config struct {
	Seed     uint64
	Duration time.Duration // of the faults; what is left of the queues afterwards takes its time
	Replicas int           // of the add-on; none leaves the queues to PAC, with two watchers
	Queues   int
	Runs     int
	Keep     bool // the logs, whatever comes out
}

// runsPer is a duration for which there is one run, unless told otherwise: what
// two cores can work off beside everything else.
const runsPer = 2 * time.Second

// readConfig reads flags and, for those that are absent, the environment: SEED for
// -seed and so on.
func readConfig(args []string, getenv func(string) string, usage io.Writer) (config, error) {
	var c config
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.Uint64Var(&c.Seed, "seed", rand.Uint64N(1e6), "what the faults and pushes are drawn by; drawn itself if absent")
	flags.DurationVar(&c.Duration, "duration", 10*time.Minute, "how long faults happen")
	flags.IntVar(&c.Replicas, "replicas", 3, "replicas of the add-on; 0 leaves the queues to two watchers of PAC, as a negative control")
	flags.IntVar(&c.Queues, "queues", 4, "Repositories, with limits of 1, 2, 3, 5 in turn")
	flags.IntVar(&c.Runs, "runs", 0, fmt.Sprintf("runs that are pushed; 0 for one per %s", runsPer))
	flags.BoolVar(&c.Keep, "keep", false, "leave the logs and the records of the queues even if nothing is wrong")
	var problems []error
	flags.VisitAll(func(f *flag.Flag) {
		if name := strings.ToUpper(f.Name); getenv(name) != "" {
			if err := f.Value.Set(getenv(name)); err != nil {
				problems = append(problems, fmt.Errorf("%s is %q: %w", name, getenv(name), err))
			}
		}
	})
	if len(problems) > 0 {
		return c, errors.Join(problems...)
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if c.Runs == 0 {
		c.Runs = int(c.Duration / runsPer)
	}
	return c, c.validate()
}

func (c config) validate() error {
	var problems []error
	if c.Duration < 10*time.Second {
		problems = append(problems, fmt.Errorf("duration is %s: hardly a fault fits in less than 10s", c.Duration))
	}
	for _, n := range []struct {
		name            string
		is, least, most int
	}{{"replicas", c.Replicas, 0, 9}, {"queues", c.Queues, 1, 20}, {"runs", c.Runs, 1, 10_000}} {
		if n.is < n.least || n.is > n.most {
			problems = append(problems, fmt.Errorf("%s is %d: want a number from %d to %d", n.name, n.is, n.least, n.most))
		}
	}
	return errors.Join(problems...)
}

// String is the configuration as make takes it.
func (c config) String() string {
	return fmt.Sprintf("SEED=%d DURATION=%s REPLICAS=%d QUEUES=%d RUNS=%d", c.Seed, c.Duration, c.Replicas, c.Queues, c.Runs)
}

// limits are those of the queues.
func (c config) limits() []int {
	some := []int{1, 2, 3, 5}
	limits := make([]int, c.Queues)
	for i := range limits {
		limits[i] = some[i%len(some)]
	}
	return limits
}
