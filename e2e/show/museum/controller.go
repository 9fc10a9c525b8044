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

// pipelineascode.go:Run writes the order once all runs are created. Nothing else writes it, and
// queue_pipelineruns.go:queuePipelineRun waits for it.
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
	v, err := s.wait("the runs of the push", stepDeadline, func(v history.View) bool { return len(v.Runs) == s.runs })
	for _, r := range v.Runs {
		if r.Sequence() != nil {
			err = errors.Join(err, fmt.Errorf("%s has an order nevertheless", r.Name))
		}
	}
	// A fresh watcher makes no difference either.
	return errors.Join(err, s.StartWatchers(s.ctx, 1))
}
