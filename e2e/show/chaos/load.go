package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// line is one queue of a chaos.
type line struct {
	key        queue.Key
	limit      int
	repository *stack.PACRepository
	pushed     map[string]int // runs by commit
}

// push is one planned push.
type push struct {
	at    time.Duration
	queue int
	runs  int
	each  time.Duration // how long their pods take
}

// The size of the largest push, and the part of the duration in which pushes come: early enough for
// the last faults to hit full queues.
const (
	largestPush = 8
	loadPart    = 0.9
)

// load draws the pushes of a chaos, in order. Every queue gets one at the start; later, queues with
// a higher limit get more.
func load(c config) []push {
	random := rand.New(rand.NewPCG(c.Seed, 1))
	var chances []int // queue indexes; a higher limit makes more entries
	for i, limit := range c.limits() {
		for range limit + 1 {
			chances = append(chances, i)
		}
	}
	var pushes []push
	for left := c.Runs; left > 0; {
		p := push{
			at:    time.Duration(random.Float64() * loadPart * float64(c.Duration)),
			queue: chances[random.IntN(len(chances))],
			runs:  min(left, 1+random.IntN(largestPush)),
			each:  between(random, 500*time.Millisecond, 4*time.Second),
		}
		if len(pushes) < c.Queues {
			p.queue, p.at = len(pushes), 0
		}
		left -= p.runs
		pushes = append(pushes, p)
	}
	slices.SortStableFunc(pushes, func(a, b push) int { return cmp.Compare(a.at, b.at) })
	return pushes
}

// newLines creates the Repositories.
func (c *chaos) newLines(ctx context.Context) error {
	for i, limit := range c.config.limits() {
		name := fmt.Sprintf("queue-%d", i)
		git, err := c.Gitea().NewRepository(ctx, name)
		if err != nil {
			return err
		}
		repository, err := c.NewPACRepository(ctx, name, name, git, &limit)
		if err != nil {
			return err
		}
		c.lines = append(c.lines, &line{
			key: queue.Key{Namespace: name, Repository: name}, limit: limit, repository: repository, pushed: map[string]int{},
		})
	}
	return nil
}

// push carries out the planned pushes. Without an API server PAC would create no runs, so push
// waits for one; an API server that goes away while PAC creates them is a fault like any other.
func (c *chaos) push(ctx context.Context, pushes []push) error {
	for i, p := range pushes {
		if err := c.until(ctx, p.at); err != nil {
			return err
		}
		l := c.lines[p.queue]
		files := stack.RunFiles(p.runs, p.each)
		files["README.md"] = fmt.Sprintf("This is push %d.\n", i+1)
		release := c.faults.hold([]string{apiServer})
		commit, err := l.repository.Git.Push(ctx, files, fmt.Sprintf("push %d with %d runs", i+1, p.runs))
		release()
		if err != nil {
			return err
		}
		l.pushed[commit] = p.runs
	}
	return nil
}

// missing counts the pushed runs that PAC has not created, and the pushes they belong to.
func (l *line) missing(v history.View) (runs, pushes int) {
	missing := maps.Clone(l.pushed)
	for _, run := range v.PipelineRuns {
		missing[run.Annotations[keys.SHA]]--
	}
	for _, n := range missing {
		if n > 0 {
			runs, pushes = runs+n, pushes+1
		}
	}
	return runs, pushes
}
