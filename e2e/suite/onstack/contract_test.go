package onstack_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// sample returns one of PAC's PipelineRuns, as a model for others.
func sample(v history.View) *tektonv1.PipelineRun {
	return v.PipelineRuns[v.Runs[0].Name]
}

func TestMalformedExecutionOrder(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings
	s.push(2, time.Second)
	like := sample(s.queued(2))
	for i, order := range []string{"no-slash", "", ",,", "elsewhere/run", s.Key.Namespace + "/another-run"} {
		s.create(like, fmt.Sprintf("malformed-%d-x", i), map[string]string{keys.ExecutionOrder: order})
	}
	s.done(7)
	s.audited()
	if e := s.event("BadAnnotation"); e.Type != corev1.EventTypeWarning || !strings.Contains(e.Message, "queued by its creation time") {
		t.Errorf("the event is %s %q, want a Warning that says how the run is queued", e.Type, e.Message)
	}
}

func TestExecutionOrderNeverArrives(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings // PAC warns that it could not write the order
	s.policy("no-order", withHeldOrder, "false")
	s.push(3, time.Second)
	s.done(3)
	s.audited()
	if e := s.event("OrderTimedOut"); e.Type != corev1.EventTypeNormal {
		t.Errorf("the event is %s, want Normal", e.Type)
	}
}

func TestUnknownRepository(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.AllWarnings
	s.push(3, time.Second)
	like := sample(s.queued(3))
	s.create(like, "stray-x", map[string]string{keys.Repository: "nowhere", keys.ExecutionOrder: s.Key.Namespace + "/stray-x"})
	s.event("RepositoryNotFound")
	s.finished(3)
	stray := env.Recorder.View(queue.Key{Namespace: s.Key.Namespace, Repository: "nowhere"})
	if len(stray.In(queue.Pending)) != 1 {
		t.Errorf("the stray run is %+v, want it to be pending", stray.Runs)
	}
	s.patch("stray-x", cancelled) // it would wait forever
}

func TestAbsurdLimit(t *testing.T) {
	s := newScene(t, 1<<40, 2)
	s.push(4, time.Second)
	s.finished(4)
}

// A Repository without a limit has that of Pipelines-as-Code's global Repository.
func TestGlobalLimit(t *testing.T) {
	s := newScene(t, 0, 2)
	global := &pacv1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: history.GlobalRepository.Repository}}
	global.Spec.ConcurrencyLimit = new(2)
	repositories := s.PAC.PipelinesascodeV1alpha1().Repositories(history.GlobalRepository.Namespace)
	_, err := repositories.Create(s.ctx, global, metav1.CreateOptions{})
	s.must(err)
	t.Cleanup(func() {
		if err := repositories.Delete(s.background(), global.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	s.push(6, time.Second)
	if report := s.finished(6); report.MostStarted != 2 {
		t.Errorf("at most %d runs were started at once, want 2, the limit", report.MostStarted)
	}
}

func TestGuardKeepsRunsHeld(t *testing.T) {
	s := newScene(t, 1, 2)
	s.Tolerated = suite.OthersWarnings
	s.push(4, 5*time.Second)
	s.started(1)
	v := s.queued(4)
	last := v.In(queue.Pending)[2].Name
	annotate := func(key, value string) string { return fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value) }
	for name, c := range map[string]struct {
		user       stack.User
		body, says string
	}{
		"start as developer":     {stack.Developer, `{"spec":{"status":null}}`, "starts by itself when a slot is free"},
		"start as PAC's watcher": {stack.PACWatcherUser, `{"spec":{"status":""}}`, "starts by itself when a slot is free"},
		"start as administrator": {stack.Admin, `{"spec":{"status":""}}`, "starts by itself when a slot is free"},
		"jump the queue":         {stack.Developer, annotate(pac.HeldOrder, s.Key.Namespace+"/"+last), "keeps its place"},
		"raise the attempt":      {stack.Developer, annotate(pac.Attempt, "7"), "only pac-lease-queue writes"},
		"forge a claim":          {stack.Developer, annotate(pac.Claim, "0/1/0"), "only pac-lease-queue writes"},
	} {
		err := s.patchAs(c.user, last, c.body)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a refusal that says %q", name, err, c.says)
		}
	}
	if err := s.patchAs(stack.Developer, last, cancelled); err != nil {
		t.Errorf("a developer cannot cancel a queued run: %v", err)
	}
	s.done(4)
	s.audited()
}

func TestConfigurationRefused(t *testing.T) {
	s := newScene(t, 1, 2)
	configMaps := s.Kube.CoreV1().ConfigMaps(cluster.Addon().Namespace())
	const name = "pac-lease-queue-config"
	patch := func(body string) {
		t.Helper()
		_, err := configMaps.Patch(s.ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
		s.must(err)
	}
	patch(`{"data":{"no-such-setting":"1","claim-ttl":"soon"}}`)
	defer patch(fmt.Sprintf(`{"data":{"no-such-setting":null,"claim-ttl":%q}}`, claimTTL))
	missing := map[string]string{"ConfigurationRefused": "claim-ttl", "UnknownSetting": "no-such-setting"}
	s.eventually("Warnings about the ConfigMap", suite.StepDeadline, func() error {
		events, err := s.Kube.CoreV1().Events(cluster.Addon().Namespace()).List(s.ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if key, expected := missing[e.Reason]; expected && e.Type == "Warning" && strings.Contains(e.Message, key) {
				delete(missing, e.Reason)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%d events, and none of them is %v", len(events.Items), missing)
		}
		return nil
	})
	s.push(3, time.Second)
	s.finished(3)
}

func TestRunsStartedBeforeTheAddonAreAdopted(t *testing.T) {
	s := newScene(t, 2, 2)
	s.Tolerated = suite.OthersWarnings // PAC's watcher may warn about the guard
	s.must(cluster.Uninstall(s.ctx))
	files := s.Files(6, time.Second)
	files[".tekton/run-01.yaml"] = stack.RunFile("run-01", 30*time.Second)
	files[".tekton/run-02.yaml"] = stack.RunFile("run-02", 30*time.Second)
	s.pushFiles(files)
	s.started(2) // by PAC's own queue, which keeps the other four in its memory
	s.must(cluster.Upgrade(s.ctx))
	s.wait("a slot for both runs", suite.StepDeadline, func(v history.View) bool {
		return len(v.Slots) == 2 && v.Slots[0].Holder != nil && v.Slots[1].Holder != nil
	})
	s.event("Adopted")
	s.finished(6)
}
