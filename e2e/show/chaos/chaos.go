package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Deadlines for what comes after the last fault.
const (
	// readyDeadline is for every process to work again.
	readyDeadline = 90 * time.Second
	// creationDeadline is for PAC to create what was pushed. What it has not
	// created by then, it never will: its webhook is not called again.
	creationDeadline = 20 * time.Second
	// drainDeadline is for every run to finish, and standstill is how long nothing
	// may happen to any before it counts as over.
	drainDeadline = 5 * time.Minute
	standstill    = time.Minute
)

const (
	// runTime is that of pods which do not say; all do.
	runTime = 2 * time.Second
	// lag is how far behind a replica may be before an overtaking is its fault:
	// as far as a fault puts it, and the usual.
	lag = mostDelay + history.Lag
	// progressEvery is how often it is told how the queues stand.
	progressEvery = 30 * time.Second
)

// chaos is one performance.
type chaos struct {
	config config
	out    io.Writer
	began  time.Time // of the faults, once there are any

	stack    *stack.Stack
	network  *network
	addon    *stack.Addon // nil without replicas
	recorder *history.Recorder
	lines    []*line
	faults   *faults

	printing sync.Mutex
}

// run goes through the whole chaos. Whatever happens, nothing runs on when it
// returns; the logs are kept if anything is wrong.
func run(ctx context.Context, config config, out io.Writer) (r report, err error) {
	c := &chaos{config: config, out: out, began: time.Now()}
	c.say("chaos %s", config)
	if c.network, err = newNetwork(); err != nil {
		return r, err
	}
	defer c.network.close()
	watchers := 1
	if config.Replicas == 0 {
		watchers = 2 // PAC's own way to be there twice
	}
	c.stack, err = stack.Start(ctx, stack.Options{Components: stack.Everything, Watchers: &watchers, RunTime: runTime, Log: c.say})
	if err != nil {
		return r, err
	}
	defer func() {
		if ctx.Err() == nil && (err != nil || len(r.broken()) > 0 || config.Keep) {
			c.stack.KeepDir()
			err = errors.Join(err, c.writeRecord())
		}
		err = errors.Join(err, c.stack.Stop())
	}()
	if err := c.prepare(ctx); err != nil {
		return r, err
	}
	defer c.recorder.Stop()
	if err := c.rage(ctx); err != nil {
		return r, err
	}
	return c.judge()
}

// prepare starts what the stack has not, and the record.
func (c *chaos) prepare(ctx context.Context) (err error) {
	if c.recorder, err = history.RecordEtcd(ctx, c.stack.EtcdURL()); err != nil {
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
	c.say("installing the add-on with helm, each replica behind a proxy")
	c.addon, err = c.stack.InstallAddon(ctx, stack.AddonOptions{
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

// rage has everything happen at once and returns when the queues are empty again,
// or have had their time.
func (c *chaos) rage(ctx context.Context) error {
	keeping, stop := context.WithCancel(ctx)
	keepers, keeping := errgroup.WithContext(keeping)
	c.say("everything is up; the faults begin, and time starts anew")
	c.begin()
	c.faults = &faults{chaos: c, lives: map[string]*sync.Mutex{}, ended: map[string]int{}}
	for _, p := range c.stack.Processes() {
		keepers.Go(func() error { return c.faults.keep(keeping, p) })
	}
	keepers.Go(func() error { return c.tell(keeping) })

	storm, raging := errgroup.WithContext(keeping)
	storm.Go(func() error {
		return c.faults.carryOut(raging, plan(c.config.Seed, c.config.Duration, c.config.Replicas))
	})
	storm.Go(func() error { return c.push(raging, load(c.config)) })
	err := storm.Wait()
	if err == nil {
		c.say("all faults are over")
		err = c.drain(keeping)
	}
	stop()
	return errors.Join(err, keepers.Wait(), context.Cause(ctx))
}

// drain waits until everything works and every run is done. What is not by then is
// for the audit to report.
func (c *chaos) drain(ctx context.Context) error {
	ready, cancel := context.WithTimeoutCause(ctx, readyDeadline, fmt.Errorf("not every process works %s after the last fault", readyDeadline))
	defer cancel()
	for _, p := range c.stack.Processes() {
		for p.WaitReady(ready) != nil { // ended by itself, perhaps, and to be started again
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

// wait waits for every queue, until the deadline at most, or until nothing happens
// any more.
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
			c.say("nothing has happened for %s", standstill)
			return nil
		case <-deadline:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drained says whether nothing is left of a queue.
func drained(v history.View) bool {
	return len(v.In(queue.Done)) == len(v.Runs) && !slices.ContainsFunc(v.Slots, func(s queue.Slot) bool { return s.Holder != nil })
}

// tell tells now and then how the queues stand.
func (c *chaos) tell(ctx context.Context) error {
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
		c.say("-- runs: %d waiting, %d started, %d done", pending, started, done)
	}
}

// until waits for a point of the plan.
func (c *chaos) until(ctx context.Context, at time.Duration) error {
	select {
	case <-time.After(time.Until(c.began.Add(at))):
		return ctx.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// replica is the index of a replica by its process.
func (c *chaos) replica(name string) int {
	return slices.IndexFunc(c.addon.Replicas(), func(r *stack.Replica) bool { return r.Name() == name })
}

// begin sets the time to zero.
func (c *chaos) begin() {
	c.printing.Lock()
	defer c.printing.Unlock()
	c.began = time.Now()
}

// say prints a line, with the time since the faults began, or since the start.
func (c *chaos) say(format string, args ...any) {
	c.printing.Lock()
	defer c.printing.Unlock()
	fmt.Fprintf(c.out, "%7.1fs  %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}
