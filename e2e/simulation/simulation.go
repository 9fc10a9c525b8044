package simulation

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Options are what a simulation depends on besides its seed.
type Options struct {
	// Trace, if set, is told everything that happens.
	Trace func(line string)
	// Without are names of events that do not happen.
	Without []string

	mutant *mutant
}

// Run simulates one seed to its end or to the first invariant that breaks.
func Run(seed uint64, o Options) error {
	c := newCluster(seed, o)
	defer c.stopAll()
	for range steps {
		if c.problem != nil {
			return c.problem
		}
		c.step()
	}
	c.end()
	return c.problem
}

// stopAll ends the coroutines that are left.
func (c *Cluster) stopAll() {
	for _, r := range c.replicas {
		for _, p := range r.passes {
			p.end()
		}
	}
}

// Search tries the seeds from first to last on all processors. It returns the
// lowest that fails and says whether there is one.
func Search(first, last uint64, o Options) (uint64, bool) {
	var next, lowest atomic.Uint64
	next.Store(first)
	lowest.Store(last + 1)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= lowest.Load() {
					return
				}
				if Run(seed, o) == nil {
					continue
				}
				for was := lowest.Load(); seed < was && !lowest.CompareAndSwap(was, seed); was = lowest.Load() {
				}
			}
		})
	}
	wait.Wait()
	return lowest.Load(), lowest.Load() <= last
}

// Shrink finds events without which the seed still breaks an invariant: what is
// left is easier to read.
func Shrink(seed uint64, o Options) []string {
	for _, e := range events {
		if slices.Contains(o.Without, e.name) {
			continue
		}
		less := o
		less.Without = append(slices.Clone(o.Without), e.name)
		if Run(seed, less) != nil {
			o = less
		}
	}
	return o.Without
}
