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
	// termination is how long a process may take to end politely: as long as
	// Kubernetes would give it, cut short.
	termination = 5 * time.Second
	// restartPause is between the end of a process and its next start, when nobody
	// killed it: the kubelet's back-off, cut short.
	restartPause = time.Second
)

// happening is a fault that was carried out.
type happening struct {
	fault
	began, ended time.Time
}

// faults are what is done to the processes of a stack, and what was.
type faults struct {
	chaos *chaos

	mu    sync.Mutex
	lives map[string]*sync.Mutex // by process or its way: whoever holds it decides whether it runs, and how it is connected

	happened []happening
	ended    map[string]int // processes that ended by themselves
}

// carryOut carries the plan out and returns when every fault is over.
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
	if what.way == disturb {
		// Lives are left alone: who cannot start over a bad network may try again.
		// The plan has one fault begin when another ends, and ending takes a moment.
		release := f.hold(waysOf(what.targets))
		defer release()
	} else {
		release := f.hold(what.targets)
		defer release()
		if i := slices.IndexFunc(what.targets, func(name string) bool { return !f.process(name).Running() }); i >= 0 {
			f.chaos.say("(%s: left out, %s is down already)", what, what.targets[i])
			return nil
		}
	}
	f.chaos.say("%s", what)
	h := happening{fault: what, began: time.Now()}
	if err := f.each(ctx, what, f.begin); err != nil {
		return err
	}
	select {
	case <-time.After(what.length):
	case <-ctx.Done():
		return context.Cause(ctx) // everything is stopped
	}
	if err := f.each(ctx, what, f.end); err != nil {
		return err
	}
	h.ended = time.Now()
	f.chaos.say("over after %s: %s", h.ended.Sub(h.began).Round(100*time.Millisecond), what)
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
	switch what.way {
	case kill:
		return p.Kill()
	case terminate:
		polite, cancel := context.WithTimeout(ctx, termination)
		defer cancel()
		_ = p.Terminate(polite) // it is gone either way
		return context.Cause(ctx)
	case pause:
		return p.Pause()
	default:
		return f.chaos.network.harm(f.chaos.replica(name), what.harms)
	}
}

func (f *faults) end(ctx context.Context, what fault, name string) error {
	p := f.process(name)
	switch {
	case what.way == pause:
		return p.Resume()
	case what.way == disturb:
		return f.chaos.network.heal(f.chaos.replica(name))
	case name == apiServer:
		return p.Start(ctx)
	default:
		// Whether it can get ready depends on what else is going on.
		return p.Launch()
	}
}

func (f *faults) process(name string) *process.Process { return f.chaos.stack.Process(name) }

// waysOf names, for hold, what is between processes and the API server.
func waysOf(processes []string) []string {
	ways := make([]string, len(processes))
	for i, p := range processes {
		ways[i] = "way of " + p
	}
	return ways
}

// hold takes the lives of some processes, or their ways, into the caller's hands.
func (f *faults) hold(names []string) (release func()) {
	var held []*sync.Mutex
	for _, name := range slices.Sorted(slices.Values(names)) { // in one order, or two would wait for each other
		f.mu.Lock()
		life := f.lives[name]
		if life == nil {
			life = &sync.Mutex{}
			f.lives[name] = life
		}
		f.mu.Unlock()
		life.Lock()
		held = append(held, life)
	}
	return func() {
		for _, life := range held {
			life.Unlock()
		}
	}
}

// keep starts a process again whenever it ends by itself, as the kubelet would.
func (f *faults) keep(ctx context.Context, p *process.Process) error {
	for {
		_ = p.Wait(ctx) // the stack says how it ended
		if ctx.Err() != nil {
			return nil
		}
		release := f.hold([]string{p.Name()})
		if !p.Running() && ctx.Err() == nil {
			f.mu.Lock()
			f.ended[p.Name()]++
			f.mu.Unlock()
			f.chaos.say("%s is started again", p.Name())
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

// count lists what happened by kind, the most frequent first.
func (f *faults) count() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for _, h := range f.happened {
		counts[h.name]++
	}
	return fmt.Sprintf("%d: %s", len(f.happened), strings.Join(tally(counts), ", "))
}
