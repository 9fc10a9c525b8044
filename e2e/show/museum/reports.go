package main

import (
	"fmt"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// queue_manager.go:InitQueues counts every run whose state is `started`, and frees the slot only
// once the reconciler has reported the end of that run. After most restarts it reports at once
// (watcherDown), so this takes a run whose end cannot be reported.
func staleState(s *scene) error {
	if err := s.push(threeRuns()); err != nil {
		return err
	}
	first, err := s.running()
	if err != nil {
		return err
	}
	if err := s.Watchers()[0].Kill(); err != nil {
		return err
	}
	if err := s.endUnknown(first); err != nil {
		return err
	}
	return s.StartWatchers(s.ctx, 1)
}

// reconciler.go:ReconcileKind gives up without an error, before it frees the slot, when it cannot
// detect the provider of a finished run.
func providerLost(s *scene) error {
	if err := s.push(threeRuns()); err != nil {
		return err
	}
	first, err := s.running()
	if err != nil {
		return err
	}
	return s.endUnknown(first)
}

// noProvider is a Git provider that PAC does not know.
const noProvider = "none"

// endUnknown waits until a run is done and makes it name a Git provider that PAC does not know by
// then. It patches again whenever Tekton reverts annotations that change during a reconcile
// (pipelinerun.go:updateLabelsAndAnnotations).
func (s *scene) endUnknown(r queue.Run) error {
	for {
		v, err := s.wait("the end of "+definition(r.Name), stepDeadline, func(v history.View) bool {
			pr := v.PipelineRuns[r.Name]
			return pr.IsDone() || pr.Annotations[keys.GitProvider] != noProvider
		})
		if err != nil {
			return err
		}
		switch pr := v.PipelineRuns[r.Name]; {
		case pr.Annotations[keys.GitProvider] == noProvider:
			return nil
		case pr.IsDone():
			return fmt.Errorf("%s ended too early", r.Name)
		default:
			if _, err := s.patch(r.Name, `{"metadata":{"annotations":{"`+keys.GitProvider+`":"`+noProvider+`"}}}`); err != nil {
				return err
			}
			_, err := s.wait("the patch in the record", stepDeadline, func(v history.View) bool {
				return v.PipelineRuns[r.Name].ResourceVersion != pr.ResourceVersion
			})
			if err != nil {
				return err
			}
		}
	}
}
