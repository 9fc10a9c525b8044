package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// exhibit is one way in which PAC's own queue fails.
type exhibit struct {
	name string
	// what happens, and the number of the issue upstream if there is one.
	what, issue string
	// watchers is how many PAC watchers share the work; zero means one.
	watchers int
	// provoke makes it happen, with and without the add-on.
	provoke func(*scene) error
	// fails waits until PAC's own queue shows its failure and says what is seen,
	// or nothing once the queue has worked everything off.
	fails func(*scene) (string, error)
	// fixed says why PAC does not fail, if it is known not to.
	fixed string
	// holds waits until the add-on has shown that it does not fail, and says how;
	// nil means that it works everything off.
	holds func(*scene) (string, error)
}

// museum is what all exhibits share.
type museum struct {
	stack    *stack.Stack
	recorder *history.Recorder
	addon    *stack.Addon // nil on PAC's own queue
	began    time.Time
}

// addonOptions install the add-on with a short wait for what never comes, which
// is all that it changes.
var addonOptions = stack.AddonOptions{Replicas: 2, Values: []string{"concurrency.orderGrace=6s"}}

// open shows the exhibits, all of them on PAC alone before the add-on is
// installed, and returns the rows of the table and where the logs are.
func open(ctx context.Context, exhibits []exhibit) (rows []row, logs string, err error) {
	m := &museum{began: time.Now()}
	m.say("starting etcd, kube-apiserver, Tekton, Pipelines-as-Code, Gitea and kwok")
	if m.stack, err = stack.Start(ctx, stack.Options{Components: stack.Everything, Log: m.say}); err != nil {
		return nil, "", err
	}
	defer func() {
		if ctx.Err() == nil && (err != nil || len(unexpected(rows)) > 0) {
			m.stack.KeepDir()
		}
		err = errors.Join(err, m.stack.Stop())
	}()
	if m.recorder, err = history.Record(ctx, m.stack.Config(stack.Admin)); err != nil {
		return nil, "", err
	}
	defer m.recorder.Stop()
	for _, e := range exhibits {
		r := row{exhibit: e, alone: m.show(ctx, e)}
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		rows = append(rows, r)
	}
	m.say("installing the add-on")
	if m.addon, err = m.stack.InstallAddon(ctx, addonOptions); err != nil {
		return nil, "", err
	}
	for i := range rows {
		rows[i].addon = m.show(ctx, rows[i].exhibit)
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
	}
	return rows, m.stack.LogsDir(), nil
}

// say prints a line of progress.
func (m *museum) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0fs  %s\n", time.Since(m.began).Seconds(), fmt.Sprintf(format, args...))
}

// show provokes one exhibit on the queue that is in place, judges it and tidies
// up.
func (m *museum) show(ctx context.Context, e exhibit) (v verdict) {
	mode := "on PAC alone"
	if m.addon != nil {
		mode = "with the add-on"
	}
	m.say("%s, %s: %s", e.name, mode, e.title())
	defer func() { m.say("%s, %s: %s", e.name, mode, v) }()
	s, err := newScene(ctx, m, e.name, max(e.watchers, 1))
	if s != nil {
		defer func() {
			if err := s.clear(); err != nil && ctx.Err() == nil {
				v = verdict{says: fmt.Sprintf("%s; tidying up: %v", v.says, err)}
			}
		}()
	}
	if err != nil {
		return verdict{says: "could not be set up: " + err.Error()}
	}
	if err := e.provoke(s); err != nil {
		return verdict{says: "could not be provoked: " + err.Error()}
	}
	if m.addon == nil {
		return e.alone(s)
	}
	return e.withAddon(s)
}

// alone judges PAC's own queue.
func (e exhibit) alone(s *scene) verdict {
	seen, err := e.fails(s)
	switch err := errors.Join(err, s.untouched()); {
	case err != nil:
		return verdict{says: "cannot be judged: " + err.Error()}
	case seen == "" && e.fixed == "":
		return verdict{says: "does not fail: everything was worked off"}
	case seen != "" && e.fixed != "":
		return verdict{says: "fails: " + seen}
	case seen == "":
		return verdict{expected: true, says: "works: " + e.fixed}
	default:
		return verdict{expected: true, says: seen}
	}
}

// withAddon judges the add-on.
func (e exhibit) withAddon(s *scene) verdict {
	holds := e.holds
	if holds == nil {
		holds = (*scene).worksOff
	}
	seen, err := holds(s)
	if err := errors.Join(err, s.untouched()); err != nil {
		return verdict{says: "FAILS: " + err.Error()}
	}
	return verdict{expected: true, says: seen}
}
