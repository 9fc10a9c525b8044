package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// exhibit is one way in which PAC's own queue fails.
type exhibit struct {
	name string
	// what happens, and the number of the upstream issue if there is one.
	what, issue string
	// watchers is how many PAC watchers share the work; zero means one.
	watchers int
	// provoke makes it happen, with and without the add-on.
	provoke func(*scene) error
	// fails waits until PAC's own queue shows its failure and describes it. The description is
	// empty if the queue has worked everything off instead.
	fails func(*scene) (string, error)
	// fixed says why PAC is known not to fail any more; empty if it fails.
	fixed string
	// holds waits until the add-on has shown that it does not fail, and describes that. Nil means
	// that it works everything off.
	holds func(*scene) (string, error)
}

// museum is what all exhibits share.
type museum struct {
	*show.Stage
	recorder *history.Recorder
	addon    *stack.Addon // nil on PAC alone
}

// addonOptions install the add-on with a short wait for an order that never comes, the only setting
// that differs from the chart's.
var addonOptions = stack.AddonOptions{Replicas: 2, Values: []string{"concurrency.orderGrace=6s"}}

// play shows all exhibits on PAC alone, then installs the add-on and shows them again.
func (m *museum) play(ctx context.Context, exhibits []exhibit) (result show.Result, err error) {
	if m.recorder, err = history.Record(ctx, m.Config(stack.Admin)); err != nil {
		return result, err
	}
	defer m.recorder.Stop()
	rows := make([]row, len(exhibits))
	for i, e := range exhibits {
		rows[i] = row{exhibit: e, alone: m.show(ctx, e)}
		if err := ctx.Err(); err != nil {
			return result, err
		}
	}
	m.Say("installing the add-on with helm, %s", show.Count(addonOptions.Replicas, "replica"))
	if m.addon, err = m.InstallAddon(ctx, addonOptions); err != nil {
		return result, err
	}
	for i, e := range exhibits {
		rows[i].addon = m.show(ctx, e)
		if err := ctx.Err(); err != nil {
			return result, err
		}
	}
	if names := unexpected(rows); len(names) > 0 {
		m.KeepDir()
		return show.Result{Report: fmt.Sprintf("%s\n\nNot as declared: %s.", render(rows), strings.Join(names, ", "))}, nil
	}
	return show.Result{OK: true, Report: fmt.Sprintf("%s\n\nOK: %s, all as declared.", render(rows), show.Count(len(rows), "exhibit"))}, nil
}

// show provokes one exhibit on the current queue, judges it and tidies up.
func (m *museum) show(ctx context.Context, e exhibit) (v verdict) {
	queue := "on PAC alone"
	if m.addon != nil {
		queue = "with the add-on"
	}
	m.Say("%s, %s: %s", e.name, queue, e.title())
	defer func() { m.Say("%s, %s: %s", e.name, queue, v) }()
	s, err := newScene(ctx, m, e.name, max(e.watchers, 1))
	defer func() {
		if err := s.clear(); err != nil && ctx.Err() == nil {
			v = verdict{text: fmt.Sprintf("%s; tidying up: %v", v.text, err)}
		}
	}()
	if err != nil {
		return verdict{text: "could not be set up: " + err.Error()}
	}
	if err := e.provoke(s); err != nil {
		return verdict{text: "could not be provoked: " + err.Error()}
	}
	if m.addon == nil {
		return e.judgeAlone(s)
	}
	return e.judgeAddon(s)
}

// judgeAlone judges PAC's own queue.
func (e exhibit) judgeAlone(s *scene) verdict {
	failure, err := e.fails(s)
	switch err := errors.Join(err, s.unused()); {
	case err != nil:
		return verdict{text: "cannot be judged: " + err.Error()}
	case failure == "" && e.fixed == "":
		return verdict{text: "does not fail: everything was worked off"}
	case failure != "" && e.fixed != "":
		return verdict{text: "fails: " + failure}
	case failure == "":
		return verdict{expected: true, text: "works: " + e.fixed}
	default:
		return verdict{expected: true, text: failure}
	}
}

// judgeAddon judges the add-on.
func (e exhibit) judgeAddon(s *scene) verdict {
	holds := e.holds
	if holds == nil {
		holds = (*scene).worksOff
	}
	proof, err := holds(s)
	if err := errors.Join(err, s.unused()); err != nil {
		return verdict{text: "FAILS: " + err.Error()}
	}
	return verdict{expected: true, text: proof}
}
