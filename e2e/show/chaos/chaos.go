package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Deadlines for what follows the last fault.
const (
	// readyDeadline is how long all processes may take to be ready again.
	readyDeadline = 90 * time.Second
	// creationDeadline is how long PAC may take to create the pushed runs. Runs that it has not
	// created by then never come: its webhook is not called again.
	creationDeadline = 20 * time.Second
	// drainDeadline is how long all runs may take to finish. Queues in which nothing happens for
	// standstill are not waited for.
	drainDeadline = 5 * time.Minute
	standstill    = time.Minute
)

const (
	// runTime is how long pods take that do not say so. All of them do.
	runTime = 2 * time.Second
	// lag is how far behind a replica may be before an overtaking is its fault: as far as a fault
	// delays it, and the usual lag.
	lag = mostDelay + history.Lag
	// progressEvery is the pause between two lines about the queues.
	progressEvery = 30 * time.Second
)

// chaos is one performance.
type chaos struct {
	*show.Stage
	config config
	began  time.Time // of the faults

	network  *network
	addon    *stack.Addon // nil without replicas
	recorder *history.Recorder
	lines    []*line
	faults   *faults
}

func (c *chaos) play(ctx context.Context) (result show.Result, err error) {
	if c.network, err = newNetwork(); err != nil {
		return result, err
	}
	c.Cleanup(c.network.close)
	defer func() {
		if ctx.Err() == nil && (err != nil || !result.OK || c.Keep) {
			err = errors.Join(err, c.writeRecords())
		}
	}()
	if err := c.prepare(ctx); err != nil {
		return result, err
	}
	defer c.recorder.Stop()
	if err := c.rage(ctx); err != nil {
		return result, err
	}
	r, err := c.judge()
	if err != nil {
		return result, err
	}
	broken := len(r.broken()) > 0
	if broken {
		c.KeepDir()
	}
	return show.Result{OK: !broken, Report: r.text()}, nil
}

// prepare starts the record and the add-on, and creates the Repositories.
func (c *chaos) prepare(ctx context.Context) (err error) {
	if c.recorder, err = history.RecordEtcd(ctx, c.EtcdURL()); err != nil {
		return err
	}
	c.recorder.Lag = lag
	if c.config.Replicas > 0 {
		if err := c.install(ctx); err != nil {
			return err
		}
	}
	return c.newLines(ctx)
}

// install installs the add-on.
func (c *chaos) install(ctx context.Context) (err error) {
	c.Say("installing the add-on with helm, each replica behind a proxy")
	c.addon, err = c.InstallAddon(ctx, stack.AddonOptions{
		Replicas: c.config.Replicas,
		Race:     true,
		Via:      c.network.via,
		Values: []string{
			"concurrency.claimTTL=" + claimTTL.String(),
			"concurrency.takeoverAfter=" + takeoverAfter.String(),
			"concurrency.recoveryInterval=" + recoveryInterval.String(),
			"concurrency.orderGrace=" + orderGrace.String(),
			"concurrency.backoffBase=" + backoffBase.String(),
			"concurrency.backoffMax=" + backoffMax.String(),
		},
	})
	return err
}

// rage lets everything happen at once and returns when the queues have drained, or have had their
// time.
func (c *chaos) rage(ctx context.Context) error {
	keeping, stop := context.WithCancel(ctx)
	keepers, keeping := errgroup.WithContext(keeping)
	c.Say("everything is up; the faults begin, and time is counted from here")
	c.began = c.ResetClock()
	c.faults = &faults{chaos: c, locks: map[string]*sync.Mutex{}, ended: map[string]int{}}
	for _, p := range c.Processes() {
		keepers.Go(func() error { return c.faults.keep(keeping, p) })
	}
	keepers.Go(func() error { return c.reportProgress(keeping) })

	storm, raging := errgroup.WithContext(keeping)
	storm.Go(func() error {
		return c.faults.carryOut(raging, plan(c.config.Seed, c.config.Duration, c.config.Replicas))
	})
	storm.Go(func() error { return c.push(raging, load(c.config)) })
	err := storm.Wait()
	if err == nil {
		c.Say("all faults are over, the queues drain")
		err = c.drain(keeping)
	}
	stop()
	return errors.Join(err, keepers.Wait(), context.Cause(ctx))
}

// drain waits until every process is ready and every run is done. The audit reports runs that are
// not.
func (c *chaos) drain(ctx context.Context) error {
	ready, cancel := context.WithTimeoutCause(ctx, readyDeadline,
		fmt.Errorf("not every process is ready %s after the last fault", readyDeadline))
	defer cancel()
	for _, p := range c.Processes() {
		for p.WaitReady(ready) != nil { // it may have exited, and keep is about to start it again
			select {
			case <-time.After(restartPause):
			case <-ready.Done():
				return fmt.Errorf("%s: %w", p.Name(), context.Cause(ready))
			}
		}
	}
	if err := c.wait(ctx, creationDeadline, func(l *line, v history.View) bool {
		runs, _ := l.missing(v)
		return runs == 0
	}); err != nil {
		return err
	}
	return c.wait(ctx, drainDeadline, func(_ *line, v history.View) bool { return drained(v) })
}

// wait waits until a condition holds for every queue, but no longer than the deadline, and not for
// queues in which nothing happens any more.
func (c *chaos) wait(ctx context.Context, within time.Duration, condition func(*line, history.View) bool) error {
	deadline := time.After(within)
	for {
		changed := c.recorder.Changed()
		if !slices.ContainsFunc(c.lines, func(l *line) bool { return !condition(l, c.recorder.View(l.key)) }) {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(standstill):
			c.Say("nothing has happened for %s", standstill)
			return nil
		case <-deadline:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drained reports whether every run is done and every slot is free.
func drained(v history.View) bool {
	return len(v.In(queue.Done)) == len(v.Runs) && v.Free()
}

// reportProgress prints, from time to time, how the queues stand.
func (c *chaos) reportProgress(ctx context.Context) error {
	for {
		select {
		case <-time.After(progressEvery):
		case <-ctx.Done():
			return nil
		}
		var pending, started, done int
		for _, l := range c.lines {
			v := c.recorder.View(l.key)
			pending, started, done = pending+len(v.In(queue.Pending)), started+len(v.In(queue.Started)), done+len(v.In(queue.Done))
		}
		c.Say("-- runs: %d waiting, %d started, %d done", pending, started, done)
	}
}

// until waits for a point in time of the plan.
func (c *chaos) until(ctx context.Context, at time.Duration) error {
	select {
	case <-time.After(time.Until(c.began.Add(at))):
		return ctx.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// replica returns the index of a replica by the name of its process.
func (c *chaos) replica(name string) int {
	return slices.IndexFunc(c.addon.Replicas(), func(r *stack.Replica) bool { return r.Name() == name })
}
