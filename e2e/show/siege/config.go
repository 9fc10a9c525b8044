package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// config is what a user chooses.
type config struct {
	Seed     uint64
	Duration time.Duration // of the attacks; clearing up between them takes its own time
	Replicas int
	Only     []string // attacks; empty means all
	Guard    string
	Memory   string // limit of a replica's container; empty means the chart's

	phases []phase // in place of those that the rest chooses
}

// Values of the flag guard.
const (
	guardBoth = "both"
	guardOn   = "on"
	guardOff  = "off"
)

// leastPhase is how long an attack goes on at least: long enough for some dozens of honest starts.
const leastPhase = 5 * time.Second

func newConfig() *config {
	return &config{Seed: rand.Uint64N(1e6), Duration: 5 * time.Minute, Replicas: 2, Guard: guardBoth}
}

func (c *config) define(flags *pflag.FlagSet) {
	flags.DurationVar(&c.Duration, "duration", c.Duration, "how long the attacks go on, all in all")
	flags.Uint64Var(&c.Seed, "seed", c.Seed, "seed of what the tenant writes")
	flags.Lookup("seed").DefValue = "random"
	flags.Var(show.Number(&c.Replicas, 1, 9), "replicas", "replicas of the add-on")
	flags.StringSliceVar(&c.Only, "only", nil, "attacks: "+strings.Join(names(attacks()), ", "))
	flags.Var(show.Choice(&c.Guard, guardBoth, guardOn, guardOff), "guard", "attack with the guard of the chart, without it, or both")
	flags.StringVar(&c.Memory, "memory", "", "memory limit of a replica's container, such as 128Mi; empty means the chart's")
}

// complete checks the attacks and the time that there is for each.
func (c *config) complete() error {
	for _, name := range c.Only {
		if !slices.Contains(names(attacks()), name) {
			return fmt.Errorf("there is no attack %q: want some of %s", name, strings.Join(names(attacks()), ", "))
		}
	}
	if _, err := resource.ParseQuantity(c.Memory); c.Memory != "" && err != nil {
		return fmt.Errorf("the memory is %q: want a quantity such as 128Mi: %w", c.Memory, err)
	}
	plan := c.plan()
	if len(plan) == 0 {
		return fmt.Errorf("nothing is left to do: %s without the guard is the same as with it", strings.Join(c.Only, ", "))
	}
	if least := time.Duration(len(plan)) * leastPhase; c.Duration < least {
		return fmt.Errorf("the duration is %s: want at least %s, or fewer attacks than %d (ONLY=)", c.Duration, least, len(plan))
	}
	return nil
}

// phase is one attack, with the guard or without.
type phase struct {
	attack
	guarded bool
}

// plan lists the phases in order. The guard is taken away once.
func (c *config) plan() []phase {
	if c.phases != nil {
		return c.phases
	}
	var plan []phase
	for _, guarded := range []bool{true, false} {
		if c.Guard == guardOn && !guarded || c.Guard == guardOff && guarded {
			continue
		}
		for _, a := range attacks() {
			if len(c.Only) > 0 && !slices.Contains(c.Only, a.name) || !guarded && !a.unguarded {
				continue
			}
			plan = append(plan, phase{a, guarded})
		}
	}
	return plan
}
