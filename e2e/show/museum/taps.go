package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// mishap is something that happens to a request on its way.
type mishap struct {
	what     string
	happened chan struct{} // closed once it has
}

// unused reports the mishaps that did not happen.
func (s *scene) unused() error {
	var errs []error
	for _, m := range s.mishaps {
		select {
		case <-m.happened:
		default:
			errs = append(errs, fmt.Errorf("this did not happen: %s", m.what))
		}
	}
	return errors.Join(errs...)
}

// once applies a tap to the first request for which the condition holds.
func (s *scene) once(what string, condition func(wire.Request) bool, tap wire.Tap) wire.Tap {
	m := &mishap{what: what, happened: make(chan struct{})}
	s.mishaps = append(s.mishaps, m)
	first := make(chan struct{}, 1)
	first <- struct{}{}
	return wire.When(condition, func(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		select {
		case <-first:
			defer close(m.happened)
			s.Say("%s: %s", s.key, what)
			return tap(r, send)
		default:
			return send(r.Request)
		}
	})
}

// tapStarters puts taps between the API server and every process that starts runs: PAC's watchers,
// and the add-on's replicas if there are any.
func (s *scene) tapStarters(taps ...wire.Tap) error {
	through, err := s.relay(taps...)
	if err != nil {
		return err
	}
	for _, w := range s.Watchers() {
		s.undo = append(s.undo, func(context.Context) error { w.SetEnv(); return nil }) // the watchers are stopped by then
		if err := s.reroute(w, stack.PACWatcherUser, through); err != nil {
			return err
		}
	}
	if s.addon == nil {
		return nil
	}
	for _, r := range s.addon.Replicas() {
		s.undo = append(s.undo, func(ctx context.Context) error { r.SetEnv(); return r.Restart(ctx) })
		if err := s.reroute(r.Process, stack.User(r.Name()), through); err != nil {
			return err
		}
	}
	return nil
}

// tapController puts taps between the API server and PAC's controller, and returns the controller.
func (s *scene) tapController(taps ...wire.Tap) (*process.Process, error) {
	through, err := s.relay(taps...)
	if err != nil {
		return nil, err
	}
	controller := s.Process("pac-controller")
	s.undo = append(s.undo, func(ctx context.Context) error { controller.SetEnv(); return controller.Restart(ctx) })
	return controller, s.reroute(controller, stack.PACControllerUser, through)
}

func (s *scene) relay(taps ...wire.Tap) (*wire.Relay, error) {
	r, err := wire.NewRelay(s.Config(stack.Admin), taps...)
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, func(context.Context) error { r.Close(); return nil })
	return r, nil
}

// reroute restarts a process with a relay between it and the API server.
func (s *scene) reroute(p *process.Process, user stack.User, through *wire.Relay) error {
	kubeconfig := s.Kubeconfig(user) + "-relay"
	if err := through.Kubeconfig(s.Kubeconfig(user), kubeconfig); err != nil {
		return err
	}
	p.SetEnv("KUBECONFIG=" + kubeconfig)
	return p.Restart(s.ctx)
}
