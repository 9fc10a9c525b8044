package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// pipelineascode.go:Run writes the order when all runs have been created; nobody
// does it in its place, and queue_pipelineruns.go:queuePipelineRun waits for it.
func controllerDies(s *scene) error {
	gate := wire.NewGate() // never opened
	orders := func(r wire.Request) bool {
		if r.Verb != "patch" || r.Resource != "pipelineruns" || r.Namespace != s.key.Namespace {
			return false
		}
		body, err := r.Body()
		return err == nil && strings.Contains(string(body), keys.ExecutionOrder)
	}
	controller, err := s.tapController(wire.When(orders, gate.Tap))
	if err != nil {
		return err
	}
	if err := s.push(stack.RunFiles(3, short)); err != nil {
		return err
	}
	select {
	case <-gate.Reached():
	case <-time.After(queuedDeadline):
		return fmt.Errorf("the controller wrote no order within %s", queuedDeadline)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	if err := controller.Kill(); err != nil {
		return err
	}
	controller.SetEnv()
	if err := controller.Start(s.ctx); err != nil {
		return err
	}
	v, err := s.wait("the runs", stepDeadline, func(v history.View) bool { return len(v.Runs) == s.runs })
	for _, r := range v.Runs {
		if r.Order != nil {
			err = errors.Join(err, fmt.Errorf("%s got an order all the same", r.Name))
		}
	}
	// Not for want of a fresh watcher.
	return errors.Join(err, s.stack.StartWatchers(s.ctx, 1))
}
