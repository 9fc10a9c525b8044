package scenarios

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Durations of the add-on that scenarios wait out, short where that changes
// nothing but the waiting.
const (
	orderGrace    = 6 * time.Second
	claimTTL      = 8 * time.Second
	takeoverAfter = 3 * time.Second // the chart's default
)

// Deadlines. They bound how long a failing scenario takes; none is a measure of
// speed.
const (
	queuedDeadline = 90 * time.Second // from a push to all of its runs being held in order
	stepDeadline   = 60 * time.Second // one thing happening
	drainDeadline  = 4 * time.Minute  // everything finished
)

// scene is one queue of its own, in its own namespace, with its own repository
// in Gitea.
type scene struct {
	*testing.T
	ctx     context.Context
	key     queue.Key
	repo    *stack.PACRepository
	tekton  tektonclient.Interface
	paas    pacclient.Interface
	pushes  []string // commits
	mayWarn warner
}

// warner says who may emit Warning events in a scene's namespace.
type warner int

const (
	nobody  warner = iota // the normal flow
	others                // Tekton and PAC, of a run that somebody took out
	anybody               // the add-on too: the scene is about what a person should look at
)

// newScene makes a Repository with the given limit, zero for none, and sees to
// it that the add-on runs with so many replicas.
func newScene(t *testing.T, limit, replicas int) *scene {
	t.Helper()
	s := &scene{T: t, ctx: t.Context()}
	s.replicas(replicas)
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "=", "-").Replace(strings.TrimPrefix(t.Name(), "Test")))
	git, err := cluster.Gitea().NewRepository(s.ctx, name)
	s.must(err)
	s.key = queue.Key{Namespace: name, Repository: name}
	s.repo, err = cluster.NewPACRepository(s.ctx, s.key.Namespace, s.key.Repository, git, pointer(limit))
	s.must(err)
	s.tekton, err = tektonclient.NewForConfig(cluster.Config(stack.Admin))
	s.must(err)
	s.paas, err = pacclient.NewForConfig(cluster.Config(stack.Admin))
	s.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			s.explain()
		}
	})
	return s
}

func pointer(limit int) *int {
	if limit == 0 {
		return nil
	}
	return &limit
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// replicas has the add-on run with n healthy replicas.
func (s *scene) replicas(n int) {
	s.Helper()
	if addon == nil {
		s.install()
	}
	s.must(addon.Scale(s.ctx, n))
	for _, r := range addon.Replicas() {
		if !r.Running() {
			s.must(r.Restart(s.ctx))
		}
	}
}

// background is a context for what comes after the test.
func (s *scene) background() context.Context { return context.WithoutCancel(s.ctx) }

// without has the scene go on without the add-on, until it is installed again.
func (s *scene) without() {
	s.Helper()
	s.must(addon.Uninstall(s.ctx))
	addon = nil
}

// install installs the add-on as every scenario has it.
func (s *scene) install() {
	s.Helper()
	var err error
	addon, err = cluster.InstallAddon(s.ctx, addonOptions)
	s.must(err)
}

// watchers has so many PAC watchers share the work.
func (s *scene) watchers(n int) {
	s.Helper()
	s.must(cluster.StopWatchers(s.ctx))
	s.must(cluster.StartWatchers(s.ctx, n))
}

// leads waits until the replica leads: it is the only one, but the lease of the
// last leader may have to run out first.
func (s *scene) leads(r *stack.Replica) {
	s.Helper()
	s.eventually(r.Name()+" leads", stepDeadline, func() error {
		log, err := os.ReadFile(r.LogFile())
		if err != nil {
			return err
		}
		// The log goes on over restarts of the process: the last word counts.
		said := string(log)
		if strings.LastIndex(said, "has started leading") <= strings.LastIndex(said, "will run in leader-elected mode") {
			return errors.New("it has not said so yet")
		}
		return nil
	})
}

func isDead(r *stack.Replica) error {
	if r.Running() {
		return fmt.Errorf("%s is alive", r.Name())
	}
	return nil
}

// push pushes n runs, each of which takes so long, in one commit.
func (s *scene) push(n int, each time.Duration) {
	s.Helper()
	s.pushFiles(stack.RunFiles(n, each))
}

func (s *scene) pushFiles(files map[string]string) {
	s.Helper()
	sha, err := s.repo.Git.Push(s.ctx, files, fmt.Sprintf("push %d", len(s.pushes)+1))
	s.must(err)
	s.pushes = append(s.pushes, sha)
}

// wait waits for the queue to be so.
func (s *scene) wait(what string, within time.Duration, condition func(history.View) bool) history.View {
	s.Helper()
	ctx, cancel := context.WithTimeoutCause(s.ctx, within, fmt.Errorf("not within %s: %s", within, what))
	defer cancel()
	var last history.View
	if err := recorder.Wait(ctx, s.key, func(v history.View) bool { last = v; return condition(v) }); err != nil {
		s.Fatal(errors.Join(err, recorder.Err()))
	}
	return last
}

// queued waits until n runs exist and PAC has given all that wait an order.
func (s *scene) queued(n int) history.View {
	s.Helper()
	return s.wait(fmt.Sprintf("%d runs in order", n), queuedDeadline, func(v history.View) bool {
		return len(v.Runs) == n && !slices.ContainsFunc(v.In(queue.Pending), func(r queue.Run) bool { return r.Order == nil })
	})
}

// done waits until n runs are done.
func (s *scene) done(n int) history.View {
	s.Helper()
	return s.wait(fmt.Sprintf("%d runs done", n), drainDeadline, func(v history.View) bool { return len(v.In(queue.Done)) >= n })
}

// started waits until n runs are started.
func (s *scene) started(n int) history.View {
	s.Helper()
	return s.wait(fmt.Sprintf("%d runs started", n), queuedDeadline, func(v history.View) bool { return len(v.In(queue.Started)) == n })
}

// audited waits until every slot is free, audits the whole history and returns
// the report, which names every run that started.
func (s *scene) audited() queue.Report {
	s.Helper()
	s.wait("no slot is held by a finished run", stepDeadline, func(v history.View) bool {
		return !slices.ContainsFunc(v.Slots, func(slot queue.Slot) bool {
			return slot.Holder != nil && !slices.ContainsFunc(v.In(queue.Started), func(r queue.Run) bool { return r.UID == slot.Holder.UID })
		})
	})
	audit, err := recorder.Audit(s.key)
	s.must(err)
	report := audit.Finish(time.Now())
	for _, v := range report.Violations {
		s.Errorf("violation %s", v)
	}
	events, err := cluster.Kubernetes().CoreV1().Events(s.key.Namespace).List(s.ctx, metav1.ListOptions{})
	s.must(err)
	for _, e := range events.Items {
		ours := e.Source.Component == "pac-lease-queue"
		if e.Type == corev1.EventTypeWarning && !tektonRetries(e) && (s.mayWarn == nobody || s.mayWarn == others && ours) {
			s.Errorf("Warning event of %s on %s %s: %s: %s", e.Source.Component, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
	s.Logf("%d runs, at most %d started at once, pauses %s", report.Runs, report.MostStarted, pauses(report))
	return report
}

// tektonRetries recognizes the Warning by which Tekton's controller tells that
// somebody wrote to a run while it did, after which it tries again. PAC's own
// patches of running runs cause it too.
func tektonRetries(e corev1.Event) bool {
	return e.Source.Component == "PipelineRun" && strings.Contains(e.Message, "the object has been modified")
}

// finished is the usual end: n runs are done, no invariant broke, and PAC has
// reported every run of every push to Gitea as a success.
func (s *scene) finished(n int) queue.Report {
	s.Helper()
	s.done(n)
	report := s.audited()
	s.reported(n)
	return report
}

// reported waits until n commit statuses, over all pushes, are a success. PAC
// may call a run that was taken out a success too; except names its definition.
func (s *scene) reported(n int, except ...string) {
	s.Helper()
	s.eventually(fmt.Sprintf("%d commit statuses are a success", n), stepDeadline, func() error {
		count, all := 0, []string{}
		for _, sha := range slices.Compact(slices.Sorted(slices.Values(s.pushes))) {
			statuses, err := s.repo.Git.Statuses(s.ctx, sha)
			if err != nil {
				return err
			}
			for _, status := range statuses {
				all = append(all, fmt.Sprintf("%s=%s", status.Context, status.State))
				excepted := slices.ContainsFunc(except, func(name string) bool { return strings.HasSuffix(status.Context, "/ "+name) })
				if status.State == sdk.StatusSuccess && !excepted {
					count++
				}
			}
		}
		if count != n {
			return fmt.Errorf("%d are: %v", count, all)
		}
		return nil
	})
}

// eventually asks again and again, for what no watch tells of.
func (s *scene) eventually(what string, within time.Duration, check func() error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.Fatalf("not within %s: %s: %v", within, what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// patch changes a run as the administrator.
func (s *scene) patch(run, body string) {
	s.Helper()
	s.must(s.patchAs(stack.Admin, run, body))
}

func (s *scene) patchAs(user stack.User, run, body string) error {
	tekton, err := tektonclient.NewForConfig(cluster.Config(user))
	if err != nil {
		return err
	}
	_, err = tekton.TektonV1().PipelineRuns(s.key.Namespace).Patch(s.ctx, run, types.MergePatchType, []byte(body), metav1.PatchOptions{})
	return err
}

const cancelled = `{"spec":{"status":"Cancelled"}}`

// remove deletes a run. PAC's finalizer goes as soon as its watcher has seen it.
func (s *scene) remove(run string) {
	s.Helper()
	s.must(s.tekton.TektonV1().PipelineRuns(s.key.Namespace).Delete(s.ctx, run, metav1.DeleteOptions{}))
}

// event waits for an event with a reason in the scene's namespace.
func (s *scene) event(reason string) *corev1.Event {
	s.Helper()
	var found *corev1.Event
	s.eventually("an event "+reason, stepDeadline, func() error {
		events, err := cluster.Kubernetes().CoreV1().Events(s.key.Namespace).List(s.ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		reasons := map[string]int{}
		for i, e := range events.Items {
			reasons[e.Reason]++
			if e.Reason == reason {
				found = &events.Items[i]
				return nil
			}
		}
		return fmt.Errorf("there are only %v", slices.Sorted(maps.Keys(reasons)))
	})
	return found
}

// create makes a PipelineRun the way PAC does, for runs that PAC itself would
// not make so: name and annotations as given, everything else of a real one.
func (s *scene) create(like *tektonv1.PipelineRun, name string, annotations map[string]string) {
	s.Helper()
	pr := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: s.key.Namespace, Labels: maps.Clone(like.Labels), Annotations: maps.Clone(like.Annotations),
	}}
	pr.Spec = *like.Spec.DeepCopy()
	pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	for _, key := range []string{pac.HeldOrder, pac.Claim, keys.ExecutionOrder, keys.SCMReportingPLRStarted} {
		delete(pr.Annotations, key)
	}
	pr.Labels[keys.State], pr.Annotations[keys.State] = "queued", "queued"
	maps.Copy(pr.Annotations, annotations)
	_, err := s.tekton.TektonV1().PipelineRuns(s.key.Namespace).Create(s.ctx, pr, metav1.CreateOptions{})
	s.must(err)
}

// definitions are the .tekton names of the runs that started, in order.
func definitions(r queue.Report) []string {
	var names []string
	for _, start := range r.Starts {
		names = append(names, definition(start.Run))
	}
	return names
}

// definition is a run's name without PAC's random suffix.
func definition(run string) string { return run[:max(strings.LastIndex(run, "-"), 0)] }

func pauses(r queue.Report) string {
	var all []time.Duration
	for _, s := range r.Starts {
		all = append(all, s.Pause)
	}
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	return fmt.Sprintf("median %s, worst %s", all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
}

// explain prints what a person would look at first.
func (s *scene) explain() {
	v := recorder.View(s.key)
	s.Logf("queue %s, limit %d; logs in %s", s.key, v.Limit, cluster.LogsDir())
	for _, slot := range v.Slots {
		s.Logf("  slot %d: %+v", slot.Index, slot.Holder)
	}
	for _, r := range v.Runs {
		s.Logf("  run %s: %s version %s ordered %t attempt %d claim %v", r.Name, r.Phase, r.Version, r.Order != nil, r.Attempt, r.Claim)
	}
}
