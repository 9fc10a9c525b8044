package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

// OpenWithoutRepository creates a namespace with nothing in it. Its queue is that of a RunQueue.
func (e *Env) OpenWithoutRepository(ctx context.Context, name string) (*Scene, error) {
	s := &Scene{Key: queue.Key{Namespace: name + "-" + rand.String(5), Repository: "deploy"}, Tolerated: e.Tolerated, env: e}
	if e.session != nil {
		e.session.scenes = append(e.session.scenes, s)
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s, s.createNamespace(ctx)
}

// CreateLabelled creates n PipelineRuns as a user of Tekton does, each of which takes the given
// time and is labelled for the queue of the scene.
func (s *Scene) CreateLabelled(ctx context.Context, n int, each time.Duration) error {
	for i := 1; i <= n; i++ {
		var file tektonv1.PipelineRun
		if err := yaml.Unmarshal([]byte(s.env.Cluster.RunFile(fmt.Sprintf("labelled-%02d", i), each)), &file); err != nil {
			return err
		}
		for key := range file.Annotations {
			if key != "stack.pac-lease-queue.dev/delay" { // what is for PAC
				delete(file.Annotations, key)
			}
		}
		file.Labels = map[string]string{pac.QueueLabel: s.Key.Repository}
		if _, err := s.Tekton.TektonV1().PipelineRuns(s.Key.Namespace).Create(ctx, &file, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// CreateRunQueue makes the queue of the scene one that needs no Repository.
func (s *Scene) CreateRunQueue(ctx context.Context, limit int32) error {
	client, err := runqueue.NewClient(s.env.Cluster.Config())
	if err != nil {
		return err
	}
	_, err = client.In(s.Key.Namespace).Create(ctx, &v1alpha1.RunQueue{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RunQueue"},
		ObjectMeta: metav1.ObjectMeta{Name: s.Key.Repository, Namespace: s.Key.Namespace},
		Spec:       v1alpha1.RunQueueSpec{Limit: limit},
	}, metav1.CreateOptions{})
	return err
}

// Forgotten waits until every run that was queued by its label, and is done, is marked as finished.
func (s *Scene) Forgotten(ctx context.Context) error {
	return Eventually(ctx, "runs that are done to be marked as finished", StepDeadline, func() error {
		runs, err := s.Tekton.TektonV1().PipelineRuns(s.Key.Namespace).List(ctx, metav1.ListOptions{LabelSelector: pac.LabelledSelector})
		if err != nil {
			return err
		}
		if n := len(runs.Items); n > 0 {
			return fmt.Errorf("%d are not, the first is %s", n, runs.Items[0].Name)
		}
		return nil
	})
}

// AnyPipelineRun is the scenario for a cluster without PAC.
func AnyPipelineRun() Scenario { return Scenario{"any_pipelinerun", 2, anyPipelineRun} }

// anyPipelineRun: runs that PAC knows nothing of wait in the queue of a RunQueue, from before that
// is there, and also while a leader dies.
func anyPipelineRun(ctx context.Context, e *Env) error {
	const runs, limit = 10, 2
	s, err := e.OpenWithoutRepository(ctx, "any")
	if err != nil {
		return err
	}
	s.Tolerated = AllWarnings
	if err := s.CreateLabelled(ctx, runs, 2*time.Second); err != nil {
		return err
	}
	if _, err := s.Event(ctx, "RunQueueNotFound"); err != nil {
		return err
	}
	if n := len(s.View().In(queue.Pending)); n != runs {
		return fmt.Errorf("%d of %d runs wait for their queue", n, runs)
	}
	if err := s.CreateRunQueue(ctx, limit); err != nil {
		return err
	}
	if _, err := s.Started(ctx, limit); err != nil {
		return err
	}
	if _, err := s.Done(ctx, limit); err != nil {
		return err
	}
	if err := s.stillWaiting(); err != nil {
		return err
	}
	return s.outlivesALeader(ctx, runs, limit)
}

// sharedQueue: runs of PAC's and others wait in one queue, and share its limit.
func sharedQueue(ctx context.Context, e *Env) error {
	const ofPAC, others, limit = 6, 6, 2
	s, err := e.loaded(ctx, "shared", limit, ofPAC, 2*time.Second)
	if err != nil {
		return err
	}
	if err := s.CreateLabelled(ctx, others, 2*time.Second); err != nil {
		return err
	}
	if _, err := s.Done(ctx, limit); err != nil {
		return err
	}
	return errors.Join(s.outlivesALeader(ctx, ofPAC+others, limit), s.Reported(ctx, ofPAC))
}

// outlivesALeader kills the leader and waits until all runs are done: at most as many as the limit
// went on at a time, and those that are queued by their label are marked as finished.
func (s *Scene) outlivesALeader(ctx context.Context, runs, limit int) error {
	if _, err := s.env.Cluster.Kill(ctx); err != nil {
		return err
	}
	if _, err := s.Done(ctx, runs); err != nil {
		return err
	}
	report, err := s.Audited(ctx)
	if err == nil && report.MostStarted != limit {
		err = fmt.Errorf("at most %d runs went on at a time, want %d", report.MostStarted, limit)
	}
	return errors.Join(err, s.Forgotten(ctx))
}
