package onstack_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// Durations of the add-on that tests wait for. They are short where that only shortens the tests.
const (
	orderGrace = 6 * time.Second
	claimTTL   = 8 * time.Second
)

// scene is a suite.Scene whose errors end the test.
type scene struct {
	*testing.T
	*suite.Scene
	ctx context.Context
}

// newScene opens a scene with the given limit, zero for none, on an add-on with n replicas.
func newScene(t *testing.T, limit, n int) *scene {
	t.Helper()
	replicas(t, n)
	opened, err := environment(t).Open(t.Context(), strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), limit)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{T: t, Scene: opened, ctx: t.Context()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\nlogs in %s", s.Explain(), cluster.LogsDir())
		}
	})
	return s
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) mustView(v history.View, err error) history.View {
	s.Helper()
	s.must(err)
	return v
}

func (s *scene) mustReport(r audit.Report, err error) audit.Report {
	s.Helper()
	s.must(err)
	return r
}

// replicas makes the add-on run with n healthy replicas.
func replicas(t *testing.T, n int) {
	t.Helper()
	if cluster.Healthy(t.Context(), n) {
		return
	}
	if err := cluster.Upgrade(t.Context(), fmt.Sprintf("replicaCount=%d", n)); err != nil {
		t.Fatal(err)
	}
}

// background returns a context for cleaning up after the test.
func (s *scene) background() context.Context { return context.WithoutCancel(s.ctx) }

// upgrade changes chart values for the rest of the test.
func (s *scene) upgrade(value, afterwards string) {
	s.Helper()
	s.must(cluster.Upgrade(s.ctx, value))
	s.Cleanup(func() {
		if err := cluster.Upgrade(s.background(), afterwards); err != nil {
			s.Errorf("helm upgrade --set %s: %v", afterwards, err)
		}
	})
}

// leads waits until the replica leads. It is the only one, but the Lease of the last leader may
// have to expire first.
func (s *scene) leads(r *stack.Replica) {
	s.Helper()
	leader, err := cluster.Addon().Leader(s.ctx, s.Key)
	s.must(err)
	if leader != r {
		s.Fatalf("%s leads, want %s", leader.Name(), r.Name())
	}
}

func isDead(r *stack.Replica) error {
	if r.Running() {
		return fmt.Errorf("%s is alive", r.Name())
	}
	return nil
}

// The methods below are those of suite.Scene; their errors end the test.

func (s *scene) push(n int, each time.Duration) {
	s.Helper()
	s.must(s.Push(s.ctx, n, each))
}

func (s *scene) pushFiles(files map[string]string) {
	s.Helper()
	s.must(s.PushFiles(s.ctx, files))
}

func (s *scene) wait(what string, within time.Duration, condition func(history.View) bool) history.View {
	s.Helper()
	return s.mustView(s.Wait(s.ctx, what, within, condition))
}

func (s *scene) queued(n int) history.View {
	s.Helper()
	return s.mustView(s.Queued(s.ctx, n))
}

func (s *scene) started(n int) history.View {
	s.Helper()
	return s.mustView(s.Started(s.ctx, n))
}

func (s *scene) done(n int) history.View {
	s.Helper()
	return s.mustView(s.Done(s.ctx, n))
}

func (s *scene) audited() audit.Report {
	s.Helper()
	return s.mustReport(s.Audited(s.ctx))
}

func (s *scene) finished(n int) audit.Report {
	s.Helper()
	return s.mustReport(s.Finished(s.ctx, n))
}

func (s *scene) event(reason string) *corev1.Event {
	s.Helper()
	e, err := s.Event(s.ctx, reason)
	s.must(err)
	return e
}

func (s *scene) reported(n int, except ...string) {
	s.Helper()
	s.must(s.Reported(s.ctx, n, except...))
}

func (s *scene) eventually(what string, within time.Duration, check func() error) {
	s.Helper()
	s.must(suite.Eventually(s.ctx, what, within, check))
}

// patch patches a run as the administrator.
func (s *scene) patch(run, body string) {
	s.Helper()
	s.must(s.patchAs(stack.Admin, run, body))
}

func (s *scene) patchAs(user stack.User, run, body string) error {
	tekton, err := tektonclient.NewForConfig(cluster.Stack.Config(user))
	if err != nil {
		return err
	}
	_, err = tekton.TektonV1().PipelineRuns(s.Key.Namespace).Patch(s.ctx, run, types.MergePatchType, []byte(body), metav1.PatchOptions{})
	return err
}

const cancelled = `{"spec":{"status":"Cancelled"}}`

// remove deletes a run. PAC's watcher removes its finalizer when it sees that.
func (s *scene) remove(run string) {
	s.Helper()
	s.must(s.Tekton.TektonV1().PipelineRuns(s.Key.Namespace).Delete(s.ctx, run, metav1.DeleteOptions{}))
}

// create creates a queued PipelineRun as PAC does, but with annotations that PAC would not write.
// All else comes from a real run of PAC's.
func (s *scene) create(like *tektonv1.PipelineRun, name string, annotations map[string]string) {
	s.Helper()
	pr := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: s.Key.Namespace, Labels: maps.Clone(like.Labels), Annotations: maps.Clone(like.Annotations),
	}}
	pr.Spec = *like.Spec.DeepCopy()
	pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	for _, key := range []string{pac.HeldOrder, pac.Claim, keys.ExecutionOrder, keys.SCMReportingPLRStarted} {
		delete(pr.Annotations, key)
	}
	pr.Labels[keys.State], pr.Annotations[keys.State] = "queued", "queued"
	maps.Copy(pr.Annotations, annotations)
	// The hold takes what other users make for copies.
	pacs, err := tektonclient.NewForConfig(cluster.Stack.Config(stack.PACControllerUser))
	s.must(err)
	_, err = pacs.TektonV1().PipelineRuns(s.Key.Namespace).Create(s.ctx, pr, metav1.CreateOptions{})
	s.must(err)
}
