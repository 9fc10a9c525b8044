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

// push is one push that is planned.
type push struct {
	at    time.Duration
	queue int
	runs  int
	each  time.Duration // run time of their pods
}

// The largest push, and the part of a chaos in which they come: the last faults
// then hit full queues too.
const (
	mostRuns = 8
	loadPart = 0.9
)

// load draws the pushes of a chaos, in order. Every queue gets one at once, and
// later more of them if it can work more off at a time.
func load(c config) []push {
	random := rand.New(rand.NewPCG(c.Seed, 1))
	var chances []int // queues, some more often than others
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
			runs:  min(left, 1+random.IntN(mostRuns)),
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

// newLines makes the Repositories.
func (c *chaos) newLines(ctx context.Context) error {
	for i, limit := range c.config.limits() {
		name := fmt.Sprintf("queue-%d", i)
		git, err := c.stack.Gitea().NewRepository(ctx, name)
		if err != nil {
			return err
		}
		repository, err := c.stack.NewPACRepository(ctx, name, name, git, &limit)
		if err != nil {
			return err
		}
		c.lines = append(c.lines, &line{key: queue.Key{Namespace: name, Repository: name}, limit: limit, repository: repository, pushed: map[string]int{}})
	}
	return nil
}

// push carries the plan out. It waits for an API server that is away: PAC would
// create nothing. One that goes away while PAC is at it is a fault like others.
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

// missing counts the pushed runs of which PAC has made no PipelineRun, and their
// pushes.
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
