package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// queue_manager.go:FilterPipelineRunByState splits every entry of the order at a slash without
// checking that there is one. Both the reconciler and InitQueues call it.
func malformedOrder(s *scene) error {
	if err := s.push(stack.RunFiles(2, short)); err != nil {
		return err
	}
	v, err := s.queued()
	if err != nil {
		return err
	}
	like := v.PipelineRuns[v.Runs[0].Name]
	pr := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Name: "malformed-x", Namespace: like.Namespace, Labels: maps.Clone(like.Labels), Annotations: maps.Clone(like.Annotations),
	}}
	pr.Spec = *like.Spec.DeepCopy()
	pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	for _, key := range []string{pac.HeldOrder, pac.Claim, keys.SCMReportingPLRStarted} {
		delete(pr.Annotations, key)
	}
	pr.Labels[keys.State], pr.Annotations[keys.State] = "queued", "queued"
	pr.Annotations[keys.ExecutionOrder] = "no-slash"
	s.runs++
	// Of other users' runs, the hold takes the order away.
	pacs, err := tektonclient.NewForConfig(s.Config(stack.PACControllerUser))
	if err != nil {
		return err
	}
	_, err = pacs.TektonV1().PipelineRuns(pr.Namespace).Create(s.ctx, pr, metav1.CreateOptions{})
	return err
}

// crashes is how often the watcher must panic.
const crashes = 3

var panicked = regexp.MustCompile(`(?m)^panic: (?:runtime error: )?(.*?)(?: \[recovered.*)?$`)

// crashLoop waits for the watcher to panic, and to panic again at every start.
func crashLoop(s *scene) (string, error) {
	watcher := s.Watchers()[0]
	ctx, cancel := context.WithTimeout(s.ctx, stepDeadline)
	defer cancel()
	for n := range crashes {
		if n > 0 {
			if err := watcher.Launch(); err != nil {
				return "", err
			}
		}
		if _ = watcher.Wait(ctx); ctx.Err() != nil {
			return "", fmt.Errorf("%d panics within %s, want %d", n, stepDeadline, crashes)
		}
	}
	log, err := os.ReadFile(watcher.LogFile())
	if err != nil {
		return "", err
	}
	reasons := panicked.FindAllStringSubmatch(string(log), -1)
	if len(reasons) < crashes {
		return "", fmt.Errorf("the watcher exited %d times, with %d panics", crashes, len(reasons))
	}
	return fmt.Sprintf("crash loop: the watcher, which serves all Repositories, panics (%s), and panics again at each of %d starts",
		reasons[len(reasons)-1][1], crashes-1), nil
}

// crashFree checks that the watcher survives that run, and a restart.
func crashFree(s *scene) (string, error) {
	watcher := s.Watchers()[0]
	if !watcher.Running() {
		return "", errors.New("the watcher has exited")
	}
	if err := watcher.Restart(s.ctx); err != nil {
		return "", err
	}
	proof, err := s.worksOff()
	if err == nil && !watcher.Running() {
		err = errors.New("the watcher has exited after its restart")
	}
	return proof + "; the watcher survives", err
}
