package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// refusal is PAC's message (cancel_pipelineruns.go:cancelInProgressMatchingPipelineRun).
const refusal = "cancel in progress is not supported with concurrency limit"

// cancelling returns two runs that ask to cancel their predecessors.
func cancelling(each time.Duration) map[string]string {
	files := stack.RunFiles(2, each)
	for path, file := range files {
		files[path] = strings.Replace(file, "  annotations:\n", "  annotations:\n    "+keys.CancelInProgress+": \"true\"\n", 1)
	}
	return files
}

// newerPush pushes again while the runs of the first push run for a long time.
func newerPush(s *scene) error {
	if err := s.push(cancelling(10 * time.Minute)); err != nil {
		return err
	}
	if _, err := s.running(); err != nil {
		return err
	}
	if err := s.push(cancelling(short)); err != nil {
		return err
	}
	_, err := s.queued()
	return err
}

// cancelRefused waits for PAC to refuse while the older runs go on.
func cancelRefused(s *scene) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, stepDeadline)
	defer cancel()
	for {
		events, err := s.Kubernetes().CoreV1().Events(s.key.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		refused := 0
		for _, e := range events.Items {
			if strings.Contains(e.Message, refusal) {
				refused++
			}
		}
		v := s.view()
		switch {
		case len(v.In(queue.Done)) > 0:
			return "", nil // a run was cancelled
		case refused == s.runs:
			return fmt.Sprintf("refused: %q; the older push goes on, %d runs wait behind it", refusal, len(v.In(queue.Pending))), nil
		}
		select { // the record has no events
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("%d refusals within %s, want %d", refused, stepDeadline, s.runs)
		}
	}
}

// olderCancelled waits until every run of the older push is cancelled and those of the newer one
// are worked off.
func olderCancelled(s *scene) (string, error) {
	if _, err := s.worksOff(); err != nil {
		return "", err
	}
	var errs []error
	for name, pr := range s.view().PipelineRuns {
		older := pr.Annotations[keys.SHA] == s.pushes[0]
		if cancelled := pr.IsCancelled() || pr.IsGracefullyCancelled(); cancelled != older {
			errs = append(errs, fmt.Errorf("%s: of the older push %t, cancelled %t", name, older, cancelled))
		}
	}
	return fmt.Sprintf("the older runs are cancelled, the newer ones done, at most %d at a time", limit), errors.Join(errs...)
}
