package main

import (
	"fmt"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// queue_manager.go:InitQueues counts whoever says `started`, and the slot comes
// free only when the reconciler has reported the end of that run. After most
// restarts it does so at once (watcherDown), so this takes a run that cannot be
// reported.
func staleState(s *scene) error {
	if err := s.push(threeRuns()); err != nil {
		return err
	}
	first, err := s.running()
	if err != nil {
		return err
	}
	if err := s.stack.Watchers()[0].Kill(); err != nil {
		return err
	}
	if err := s.endUnknown(first); err != nil {
		return err
	}
	return s.stack.StartWatchers(s.ctx, 1)
}

// reconciler.go:ReconcileKind gives up without an error when it cannot tell the
// provider of a run that is over, before it would free the slot.
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

// endUnknown waits until a run is over, and sees to it that by then it names a Git
// provider that PAC does not know. Tekton puts annotations that change while it
// looks at the run back to what they were (pipelinerun.go:updateLabelsAndAnnotations).
func (s *scene) endUnknown(r queue.Run) error {
	for {
		v, err := s.wait(definition(r.Name)+" is over", stepDeadline, func(v history.View) bool {
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
			return fmt.Errorf("%s was over too early", r.Name)
		default:
			if _, err := s.patch(r.Name, `{"metadata":{"annotations":{"`+keys.GitProvider+`":"`+noProvider+`"}}}`); err != nil {
				return err
			}
			_, err := s.wait("the patch shows", stepDeadline, func(v history.View) bool {
				return v.PipelineRuns[r.Name].ResourceVersion != pr.ResourceVersion
			})
			if err != nil {
				return err
			}
		}
	}
}
