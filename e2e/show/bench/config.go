package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// config is what a user chooses.
type config struct {
	Queues, Runs, Limit, Event int // of the burst
	Idle, Long, Kills          int
	Only, With                 []string
	Rounds                     int
	Values                     []string
	Label                      string
}

func newConfig() *config {
	return &config{Queues: 300, Runs: 10, Limit: 1, Event: 1, Idle: 1000, Long: 5000, Kills: 10, Rounds: 1}
}

func (c *config) define(flags *pflag.FlagSet) {
	flags.Var(show.Number(&c.Queues, 1, 10000), "queues", "queues that begin at once in the burst")
	flags.Var(show.Number(&c.Runs, 1, 1000), "runs", "runs of each queue in the burst")
	flags.Var(show.Number(&c.Limit, 1, 100), "limit", "concurrency limit of each queue in the burst")
	flags.Var(show.Number(&c.Event, 1, 1000), "event", "runs of an event")
	flags.Var(show.Number(&c.Idle, 1, 10000), "idle", "queues with ten waiting runs each in which nothing happens")
	flags.Var(show.Number(&c.Long, 100, 20000), "long", "waiting runs of the long queue")
	flags.Var(show.Number(&c.Kills, 1, 100), "kills", "how often the leader is killed")
	flags.Var(show.Number(&c.Rounds, 1, 9), "rounds", "how often all is measured; figures are medians")
	flags.StringSliceVar(&c.Only, "only", nil, "measure only these: "+strings.Join(names(measures), ", "))
	flags.StringSliceVar(&c.With, "with", nil, "measure only these: "+strings.Join(slices.Sorted(maps.Keys(contenders)), ", "))
	flags.StringSliceVar(&c.Values, "values", nil, "values of the add-on's chart, as helm's --set takes them")
	flags.StringVar(&c.Label, "label", "", "keep the figures under this name in docs/benchmarks")
}

// complete checks what the user chose.
func (c *config) complete() error {
	for _, name := range c.Only {
		if !slices.Contains(names(measures), name) {
			return fmt.Errorf("ONLY has %q: want some of %s", name, strings.Join(names(measures), ", "))
		}
	}
	for _, name := range c.With {
		if contenders[name] == nil {
			return fmt.Errorf("WITH has %q: want some of %s", name, strings.Join(slices.Sorted(maps.Keys(contenders)), ", "))
		}
	}
	if strings.ContainsAny(c.Label, `/\. `) {
		return fmt.Errorf("LABEL is %q: it names a file, without its ending", c.Label)
	}
	return nil
}

// measures says whether the user wants something measured of a contender.
func (c *config) wants(m measure, contender string) bool {
	chosen := func(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
	return chosen(c.Only, m.name) && chosen(c.With, contender) && slices.Contains(m.of, contender)
}

func names(all []measure) []string {
	list := make([]string, len(all))
	for i, m := range all {
		list[i] = m.name
	}
	return list
}
