package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

const (
	// termination is how long a process may take to end after SIGTERM: Kubernetes' grace period,
	// shortened.
	termination = 5 * time.Second
	// restartPause is the pause before a process that exited by itself is started again: the
	// kubelet's back-off, shortened.
	restartPause = time.Second
)

// happening is a fault that was carried out.
type happening struct {
	fault
	began, ended time.Time
}

// faults inflicts faults on the processes of a stack and keeps count of them.
type faults struct {
	chaos *chaos

	mu sync.Mutex
	// locks are by process or route; the holder decides whether the process runs, or how it is
	// connected.
	locks map[string]*sync.Mutex

	happened []happening
	ended    map[string]int // processes that exited by themselves
}

// carryOut carries out the plan and returns when every fault is over.
func (f *faults) carryOut(ctx context.Context, plan []fault) error {
	all, going := errgroup.WithContext(ctx)
	for _, next := range plan {
		if f.chaos.until(going, next.at) != nil {
			break
		}
		all.Go(func() error { return f.inflict(going, next) })
	}
	return errors.Join(all.Wait(), context.Cause(ctx))
}

// inflict carries out one fault, from its beginning to its end.
func (f *faults) inflict(ctx context.Context, what fault) error {
	if what.means == disturb {
		// The processes stay unlocked: one that cannot start over a bad network may be started
		// again. The routes are locked because the plan lets a fault begin when another ends, and
		// ending takes a moment.
		release := f.hold(routesOf(what.targets))
		defer release()
	} else {
		release := f.hold(what.targets)
		defer release()
		if i := slices.IndexFunc(what.targets, func(name string) bool { return !f.process(name).Running() }); i >= 0 {
			f.chaos.Say("(skipped: %s; %s is down already)", what, what.targets[i])
			return nil
		}
	}
	f.chaos.Say("%s", what)
	h := happening{fault: what, began: time.Now()}
	if err := f.each(ctx, what, f.begin); err != nil {
		return err
	}
	select {
	case <-time.After(what.length):
	case <-ctx.Done():
		return context.Cause(ctx) // the stack stops everything
	}
	if err := f.each(ctx, what, f.end); err != nil {
		return err
	}
	h.ended = time.Now()
	f.chaos.Say("over after %s: %s", h.ended.Sub(h.began).Round(100*time.Millisecond), what)
	f.mu.Lock()
	f.happened = append(f.happened, h)
	f.mu.Unlock()
	return nil
}

func (f *faults) each(ctx context.Context, what fault, do func(context.Context, fault, string) error) error {
	var all errgroup.Group
	for _, name := range what.targets {
		all.Go(func() error {
			if err := do(ctx, what, name); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	return all.Wait()
}

func (f *faults) begin(ctx context.Context, what fault, name string) error {
	p := f.process(name)
	switch what.means {
	case kill:
		return p.Kill()
	case terminate:
		polite, cancel := context.WithTimeout(ctx, termination)
		defer cancel()
		_ = p.Terminate(polite) // it has ended either way
		return context.Cause(ctx)
	case pause:
		return p.Pause()
	case disturb:
		return f.chaos.network.harm(f.chaos.replica(name), what.harms)
	}
	return fmt.Errorf("a fault of %s has no means", name)
}

func (f *faults) end(ctx context.Context, what fault, name string) error {
	p := f.process(name)
	switch {
	case what.means == pause:
		return p.Resume()
	case what.means == disturb:
		return f.chaos.network.heal(f.chaos.replica(name))
	case name == apiServer:
		return p.Start(ctx)
	default:
		// Whether it becomes ready depends on the other faults.
		return p.Launch()
	}
}

func (f *faults) process(name string) *process.Process { return f.chaos.Process(name) }

// routesOf names, for hold, the routes of processes to the API server.
func routesOf(processes []string) []string {
	routes := make([]string, len(processes))
	for i, p := range processes {
		routes[i] = "route of " + p
	}
	return routes
}

// hold locks processes or routes.
func (f *faults) hold(names []string) (release func()) {
	var held []*sync.Mutex
	for _, name := range slices.Sorted(slices.Values(names)) { // always in the same order, which prevents deadlocks
		f.mu.Lock()
		lock := f.locks[name]
		if lock == nil {
			lock = &sync.Mutex{}
			f.locks[name] = lock
		}
		f.mu.Unlock()
		lock.Lock()
		held = append(held, lock)
	}
	return func() {
		for _, lock := range held {
			lock.Unlock()
		}
	}
}

// keep starts a process again whenever it exits by itself, as the kubelet would.
func (f *faults) keep(ctx context.Context, p *process.Process) error {
	for {
		_ = p.Wait(ctx) // the stack prints how it ended
		if ctx.Err() != nil {
			return nil
		}
		release := f.hold([]string{p.Name()})
		if !p.Running() && ctx.Err() == nil {
			f.mu.Lock()
			f.ended[p.Name()]++
			f.mu.Unlock()
			f.chaos.Say("%s is started again", p.Name())
			if err := p.Launch(); err != nil {
				release()
				return err
			}
		}
		release()
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// count lists the faults by kind, the most frequent first.
func (f *faults) count() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for _, h := range f.happened {
		counts[h.name]++
	}
	return fmt.Sprintf("%d: %s", len(f.happened), strings.Join(tally(counts), ", "))
}
