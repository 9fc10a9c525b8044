package onstack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// spec shapes the queue, as an administrator does: the RunQueue is there, or is made.
func (s *scene) spec(spec v1alpha1.RunQueueSpec) {
	s.Helper()
	client, err := runqueue.NewClient(cluster.Stack.Config(stack.Admin))
	s.must(err)
	repository, err := s.PAC.PipelinesascodeV1alpha1().Repositories(s.Key.Namespace).Get(s.ctx, s.Key.Repository, metav1.GetOptions{})
	s.must(err)
	in := client.In(s.Key.Namespace)
	if _, err := in.Create(s.ctx, runqueue.Of(s.Key, repository.UID), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		s.must(err)
	}
	// A merge patch leaves out what is empty, and nothing else is in the spec of a scene.
	body, err := json.Marshal(map[string]any{"spec": spec})
	s.must(err)
	_, err = in.Patch(s.ctx, s.Key.Repository, types.MergePatchType, body, metav1.PatchOptions{})
	s.must(err)
}

// kill kills the leading replica.
func (s *scene) kill() {
	s.Helper()
	replica, err := cluster.Kill(s.ctx)
	s.must(err)
	s.Logf("killed %s", replica)
}

// status waits until the RunQueue shows what is wanted of it.
func (s *scene) status(what string, condition func(v1alpha1.RunQueueStatus) bool) {
	s.Helper()
	s.wait("the RunQueue to show "+what, suite.StepDeadline, func(v history.View) bool {
		return v.RunQueue != nil && condition(v.RunQueue.Status)
	})
}

// inPullRequest has a file's run be one of pull requests.
func inPullRequest(file string) string { return strings.Replace(file, "[push]", "[pull_request]", 1) }

// TestPauseAmidRuns: nothing starts while the queue is paused, although its leader dies, and
// everything afterwards.
func TestPauseAmidRuns(t *testing.T) {
	s := newScene(t, 2, 2)
	s.push(30, time.Second)
	s.done(4)
	s.spec(v1alpha1.RunQueueSpec{Paused: true})
	s.status("a pause", func(is v1alpha1.RunQueueStatus) bool {
		return is.State == v1alpha1.StatePaused && is.Running+is.Starting == 0 && is.Waiting > 0
	})
	started := len(s.View().In(queue.Done))
	s.kill()
	// The next leader has looked at the queue once it has noted a change.
	s.must(s.SetLimit(s.ctx, 3))
	s.status("the new limit", func(is v1alpha1.RunQueueStatus) bool { return is.Limit != nil && *is.Limit == 3 })
	if n := len(s.View().In(queue.Done)) + len(s.View().In(queue.Started)); n != started {
		t.Errorf("%d runs were started during the pause", n-started)
	}
	s.event("Paused")
	s.must(s.SetLimit(s.ctx, 2))
	s.resume()
	s.finished(30)
	s.event("Resumed")
	s.status("that it is idle", func(is v1alpha1.RunQueueStatus) bool { return is.State == v1alpha1.StateIdle })
}

// resume ends a pause once PAC has prepared all runs: one that is still being prepared is passed
// over.
func (s *scene) resume() {
	s.Helper()
	s.wait("all runs to be prepared", suite.QueuedDeadline, func(v history.View) bool {
		return !slices.ContainsFunc(v.In(queue.Pending), func(r queue.Run) bool { return r.Order == nil || r.Owed != "" })
	})
	client, err := runqueue.NewClient(cluster.Stack.Config(stack.Admin))
	s.must(err)
	_, err = client.In(s.Key.Namespace).Patch(s.ctx, s.Key.Repository, types.MergePatchType, []byte(`{"spec":{"paused":false}}`),
		metav1.PatchOptions{})
	s.must(err)
}

// block has one run take the queue, however long what follows takes, and returns what ends
// it.
func (s *scene) block() (end func()) {
	s.Helper()
	s.pushFiles(map[string]string{".tekton/block.yaml": stack.RunFile("block", time.Hour)})
	name := s.started(1).Runs[0].Name
	return func() { s.patch(name, cancelled) }
}

// TestReleaseWhenPodsAreGone: a queue that asks for it keeps the slot of a run that is over for a
// pod that is left, although its leader dies, and says so. Where no replica sees pods, it says
// that.
func TestReleaseWhenPodsAreGone(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings
	s.spec(v1alpha1.RunQueueSpec{Release: v1alpha1.ReleasePodsGone})
	end := s.block()
	ready := func(is v1alpha1.RunQueueStatus) string {
		return meta.FindStatusCondition(is.Conditions, v1alpha1.ConditionReady).Reason
	}
	s.status("that the add-on sees no pods", func(is v1alpha1.RunQueueStatus) bool { return ready(is) == "ReleaseIgnored" })
	s.upgrade("concurrency.release=perQueue", "concurrency.release=done")
	s.status("that all of its spec can be used", func(is v1alpha1.RunQueueStatus) bool { return ready(is) == "Usable" })

	blocker := s.View().In(queue.Started)[0]
	pods := s.Kube.CoreV1().Pods(s.Key.Namespace)
	_, err := pods.Create(s.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "left", Labels: map[string]string{pipeline.PipelineRunLabelKey: blocker.Name}},
		Spec: corev1.PodSpec{
			NodeName: "lost", Containers: []corev1.Container{{Name: "step", Image: "example.com/none"}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	s.push(2, time.Second)
	s.queued(3)
	end()
	kept := func(is v1alpha1.RunQueueStatus) bool {
		return is.Running == 0 && is.Waiting == 2 && len(is.Slots) == 1 && is.Slots[0].Run == blocker.Name &&
			strings.Contains(is.Front[0].Reason, "pods of "+blocker.Name+" are left")
	}
	s.status("the slot that is kept", kept)
	s.kill()
	// The next leader has looked at the queue once it has noted a change.
	s.must(s.SetLimit(s.ctx, 2))
	s.status("a start in the other slot, and this one kept", func(is v1alpha1.RunQueueStatus) bool {
		return is.Limit != nil && *is.Limit == 2 && len(is.Slots) > 0 && is.Slots[0].Run == blocker.Name
	})
	s.done(2)
	if holder := s.View().Slots[0].Holder; holder == nil || holder.Name != blocker.Name {
		t.Errorf("slot 0 is that of %v while a pod of %s is left", holder, blocker.Name)
	}
	now := int64(0)
	s.must(pods.Delete(s.ctx, "left", metav1.DeleteOptions{GracePeriodSeconds: &now}))
	s.push(2, time.Second)
	s.done(5)
	s.audited()
}

// TestNewestFirst: of what waits, the newest push starts first, in its own order.
func TestNewestFirst(t *testing.T) {
	s := newScene(t, 1, 2)
	s.spec(v1alpha1.RunQueueSpec{Order: v1alpha1.OrderNewestFirst, Paused: true}) // until all are there
	for i := range 4 {
		files := map[string]string{}
		for _, part := range []string{"a", "b"} {
			name := fmt.Sprintf("push-%d-%s", i, part)
			files[".tekton/"+name+".yaml"] = stack.RunFile(name, time.Second)
		}
		s.pushFiles(files)
		s.queued(2 * (i + 1))
	}
	s.resume()
	s.done(3)
	s.kill()
	want := []string{"push-3-a", "push-3-b", "push-2-a", "push-2-b", "push-1-a", "push-1-b", "push-0-a", "push-0-b"}
	if got := suite.Definitions(s.finished(8)); !slices.Equal(got, want) {
		t.Errorf("started in the order %v, want %v", got, want)
	}
}

// TestFairBetweenBranches: three pull requests of different lengths take turns; while all of them
// wait, none is more than one run ahead.
func TestFairBetweenBranches(t *testing.T) {
	s := newScene(t, 1, 2)
	s.spec(v1alpha1.RunQueueSpec{Order: v1alpha1.OrderFair, FairBy: v1alpha1.FairByBranch, Paused: true}) // until all are there
	const each = 5
	for i, branch := range []string{"red", "green", "blue"} {
		files := map[string]string{}
		for n := range each {
			name := fmt.Sprintf("%s-%d", branch, n)
			files[".tekton/"+name+".yaml"] = inPullRequest(stack.RunFile(name, time.Second))
		}
		_, err := s.Git.OpenPullRequest(s.ctx, branch, files, branch)
		s.must(err)
		s.queued(each * (i + 1))
	}
	s.resume()
	s.done(4)
	s.kill()
	s.done(3 * each)
	report := s.audited()
	ahead := map[string]int{"red": 0, "green": 0, "blue": 0}
	for i, name := range suite.Definitions(report) {
		branch, _, _ := strings.Cut(name, "-")
		ahead[branch]++
		turns := slices.Collect(maps.Values(ahead))
		if slices.Max(turns)-slices.Min(turns) > 1 {
			t.Errorf("after %d runs, %v have had their turns", i+1, ahead)
		}
	}
}

// TestKeepNewest: of 20 pushes, the first goes on, the last one waits and then runs, and the others
// are cancelled.
func TestKeepNewest(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.OthersWarnings // Tekton warns of runs that are cancelled
	s.spec(v1alpha1.RunQueueSpec{Waiting: v1alpha1.Waiting{Keep: v1alpha1.KeepNewest}})
	s.pushFiles(map[string]string{".tekton/ci.yaml": stack.RunFile("ci", time.Hour)})
	first := s.started(1).Runs[0].Name
	for i := range 19 {
		s.pushFiles(map[string]string{".tekton/ci.yaml": stack.RunFile("ci", time.Second, fmt.Sprintf("push: %q", fmt.Sprint(i)))})
		s.wait(fmt.Sprintf("%d runs", i+2), suite.QueuedDeadline, func(v history.View) bool { return len(v.Runs) == i+2 })
		if i == 9 {
			s.kill()
		}
	}
	v := s.wait("18 of them to be cancelled", suite.StepDeadline, func(v history.View) bool {
		return len(v.In(queue.Done)) == 18 && len(v.In(queue.Started)) == 1 && len(v.In(queue.Pending)) == 1
	})
	if is := v.In(queue.Started)[0].Name; is != first {
		t.Errorf("%s goes on, want %s", is, first)
	}
	s.event("NotNewest")
	// PAC shows a run as cancelled, or, if it looks before Tekton has said so, as neutral.
	s.eventually("Gitea to show that each of them has ended", suite.StepDeadline, func() error {
		shown, err := s.Shown(s.ctx)
		if err == nil && (shown[provider.Pending] != 2 || shown[provider.Failure] < 10) {
			err = fmt.Errorf("it shows %v", shown)
		}
		return err
	})
	s.patch(first, cancelled)
	s.done(20)
	s.audited()
	v = s.View()
	succeeded := slices.DeleteFunc(slices.Collect(maps.Values(v.PipelineRuns)), func(pr *tektonv1.PipelineRun) bool {
		return !pr.Status.GetCondition(pac.Succeeded).IsTrue()
	})
	if len(succeeded) != 1 {
		t.Errorf("%d runs succeeded, want the last", len(succeeded))
	}
}

// TestMostWaiting: of 15 runs behind one, ten may wait, and the newest are cancelled.
func TestMostWaiting(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings
	s.spec(v1alpha1.RunQueueSpec{Waiting: v1alpha1.Waiting{Max: 10}})
	end := s.block()
	s.push(10, time.Second)
	s.queued(11)
	s.kill()
	s.pushFiles(map[string]string{
		".tekton/late-1.yaml": stack.RunFile("late-1", time.Second), ".tekton/late-2.yaml": stack.RunFile("late-2", time.Second),
	})
	s.wait("both late runs to be cancelled", suite.StepDeadline, func(v history.View) bool { return len(v.In(queue.Done)) == 2 })
	s.event("MayNotWait")
	end()
	s.done(13)
	for _, name := range suite.Definitions(s.audited()) {
		if strings.HasPrefix(name, "late") {
			t.Errorf("%s was started", name)
		}
	}
}

// TestMaxAge: what has waited for too long is cancelled.
func TestMaxAge(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings
	s.spec(v1alpha1.RunQueueSpec{Waiting: v1alpha1.Waiting{MaxAge: "15s"}})
	end := s.block()
	s.push(3, time.Second)
	s.queued(4)
	s.kill()
	s.wait("what waits to be cancelled", suite.StepDeadline, func(v history.View) bool {
		return len(v.In(queue.Done)) == 3 && len(v.In(queue.Started)) == 1
	})
	s.event("MayNotWait")
	end()
	s.done(4)
	if got, want := suite.Definitions(s.audited()), []string{"block"}; !slices.Equal(got, want) {
		t.Errorf("started are %v, want %v", got, want)
	}
}

// TestPriorities: what the queue says of runs comes first, and then what they say of themselves.
func TestPriorities(t *testing.T) {
	s := newScene(t, 1, 2)
	s.spec(v1alpha1.RunQueueSpec{Paused: true, Priorities: []v1alpha1.PriorityRule{ // until all are there
		{When: "definition.startsWith('deploy')", Priority: 100}, {When: "annotations[?'team'].orValue('') == 'bots'", Priority: -100},
	}})
	s.pushFiles(map[string]string{
		".tekton/a-bot.yaml":       stack.RunFile("a-bot", time.Second, "team: bots"),
		".tekton/b-plain.yaml":     stack.RunFile("b-plain", time.Second),
		".tekton/c-urgent.yaml":    stack.RunFile("c-urgent", time.Second, pac.Priority+`: "10"`),
		".tekton/deploy.yaml":      stack.RunFile("deploy", time.Second),
		".tekton/deploy-soon.yaml": stack.RunFile("deploy-soon", time.Second, pac.Priority+`: "5"`),
		".tekton/e-bad.yaml":       stack.RunFile("e-bad", time.Second, pac.Priority+`: "soon"`),
	})
	s.Tolerated = suite.AllWarnings // of the priority that is no number
	s.queued(6)
	s.resume()
	s.done(2)
	s.kill()
	want := []string{"deploy-soon", "deploy", "c-urgent", "b-plain", "e-bad", "a-bot"}
	if got := suite.Definitions(s.finished(6)); !slices.Equal(got, want) {
		t.Errorf("started in the order %v, want %v", got, want)
	}
	s.event("BadAnnotation")
}
