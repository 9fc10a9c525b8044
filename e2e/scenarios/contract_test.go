package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// some returns one of the PipelineRuns that PAC made, to make others like it.
func some(v history.View) *tektonv1.PipelineRun {
	return v.PipelineRuns[v.Runs[0].Name]
}

func TestMalformedExecutionOrder(t *testing.T) {
	s := newScene(t, 1, 2)
	s.mayWarn = anybody
	s.push(2, time.Second)
	like := some(s.queued(2))
	for i, order := range []string{"no-slash", "", ",,", "elsewhere/run", s.key.Namespace + "/somebody-else"} {
		s.create(like, fmt.Sprintf("malformed-%d-x", i), map[string]string{keys.ExecutionOrder: order})
	}
	s.done(7)
	s.audited()
	if e := s.event("BadAnnotation"); e.Type != corev1.EventTypeWarning || !strings.Contains(e.Message, "queued by its creation time") {
		t.Errorf("the event is %s %q, want a Warning that says what became of the run", e.Type, e.Message)
	}
}

func TestExecutionOrderNeverArrives(t *testing.T) {
	s := newScene(t, 1, 2)
	s.mayWarn = anybody // PAC tells that it could not write the order
	s.policy("no-order", `has(object.metadata.annotations) && '`+pac.HeldOrder+`' in object.metadata.annotations`, "false")
	s.push(3, time.Second)
	s.done(3)
	s.audited()
	if e := s.event("NotWaitedFor"); e.Type != corev1.EventTypeNormal {
		t.Errorf("the event is %s, want Normal", e.Type)
	}
}

func TestUnknownRepository(t *testing.T) {
	s := newScene(t, 1, 2)
	s.mayWarn = anybody
	s.push(3, time.Second)
	like := some(s.queued(3))
	s.create(like, "stray-x", map[string]string{keys.Repository: "nowhere", keys.ExecutionOrder: s.key.Namespace + "/stray-x"})
	s.event("RepositoryNotFound")
	s.finished(3)
	stray := recorder.View(queue.Key{Namespace: s.key.Namespace, Repository: "nowhere"})
	if len(stray.In(queue.Pending)) != 1 {
		t.Errorf("the stray run is %+v, want it pending", stray.Runs)
	}
	s.patch("stray-x", cancelled) // or it waits for ever
}

func TestAbsurdLimit(t *testing.T) {
	s := newScene(t, 1<<40, 2)
	s.push(4, time.Second)
	s.finished(4)
}

func TestGuardKeepsRunsHeld(t *testing.T) {
	s := newScene(t, 1, 2)
	s.mayWarn = others
	s.push(4, 5*time.Second)
	s.started(1)
	v := s.queued(4)
	last := v.In(queue.Pending)[2].Name
	for name, c := range map[string]struct{ user, body, says string }{
		"start as developer":     {string(stack.Developer), `{"spec":{"status":null}}`, "starts by itself when a slot is free"},
		"start as PAC's watcher": {string(stack.PACWatcherUser), `{"spec":{"status":""}}`, "starts by itself when a slot is free"},
		"start as administrator": {string(stack.Admin), `{"spec":{"status":""}}`, "starts by itself when a slot is free"},
		"jump the queue":         {string(stack.Developer), `{"metadata":{"annotations":{"` + pac.HeldOrder + `":"` + s.key.Namespace + `/` + last + `"}}}`, "keeps its place"},
		"raise the attempt":      {string(stack.Developer), `{"metadata":{"annotations":{"` + pac.Attempt + `":"7"}}}`, "only pac-lease-queue writes"},
		"forge a claim":          {string(stack.Developer), `{"metadata":{"annotations":{"` + pac.Claim + `":"0/1/0"}}}`, "only pac-lease-queue writes"},
	} {
		err := s.patchAs(stack.User(c.user), last, c.body)
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
	configMaps := cluster.Kubernetes().CoreV1().ConfigMaps(addon.Namespace())
	const name = "pac-lease-queue-config"
	patch := func(body string) {
		t.Helper()
		_, err := configMaps.Patch(s.ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
		s.must(err)
	}
	patch(`{"data":{"no-such-setting":"1","claim-ttl":"soon"}}`)
	defer patch(fmt.Sprintf(`{"data":{"no-such-setting":null,"claim-ttl":%q}}`, claimTTL))
	s.eventually("a Warning about the ConfigMap", stepDeadline, func() error {
		events, err := cluster.Kubernetes().CoreV1().Events(addon.Namespace()).List(s.ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Reason == "ConfigurationRefused" && strings.Contains(e.Message, "no-such-setting") && strings.Contains(e.Message, "claim-ttl") {
				return nil
			}
		}
		return fmt.Errorf("%d events, none of that kind", len(events.Items))
	})
	s.push(3, time.Second)
	s.finished(3)
}

func TestRunsStartedBeforeTheAddonAreAdopted(t *testing.T) {
	s := newScene(t, 2, 2)
	s.mayWarn = others // PAC's watcher may complain of the guard
	s.without()
	files := stack.RunFiles(6, time.Second)
	files[".tekton/run-01.yaml"] = stack.RunFile("run-01", 30*time.Second)
	files[".tekton/run-02.yaml"] = stack.RunFile("run-02", 30*time.Second)
	s.pushFiles(files)
	s.started(2) // by PAC's own queue, which has the other four in its memory
	s.install()
	s.wait("both have a slot", stepDeadline, func(v history.View) bool {
		return len(v.Slots) == 2 && v.Slots[0].Holder != nil && v.Slots[1].Holder != nil
	})
	s.event("Adopted")
	s.finished(6)
}

// wedged is how long nothing may happen in a queue with work and room before it
// counts as stuck for good.
const wedged = 20 * time.Second

// TestNegativeControl shows that this suite can fail: PAC's own queue, shared by
// two watchers, breaks what every other scenario asserts. The add-on then takes
// the broken queue over and finishes it.
func TestNegativeControl(t *testing.T) {
	s := newScene(t, 1, 2)
	s.mayWarn = anybody
	s.without()
	s.watchers(2)
	t.Cleanup(func() { s.ctx = s.background(); s.watchers(1) })
	s.push(8, time.Second)
	s.wait("the first run starts", queuedDeadline, func(v history.View) bool { return len(v.In(queue.Pending)) < len(v.Runs) })
	var broken []queue.Violation
	s.eventually("PAC's own queue breaks an invariant", drainDeadline, func() error {
		audit, err := recorder.Audit(s.key)
		if err != nil {
			return err
		}
		broken = audit.Report().Violations
		if v := recorder.View(s.key); len(broken) == 0 && len(v.In(queue.Started)) == 0 && time.Since(v.Changed) > wedged {
			broken = audit.Finish(time.Now()).Violations
		}
		if len(broken) == 0 {
			return errors.New("none is broken yet")
		}
		return nil
	})
	t.Logf("PAC's own queue with two watchers: %s", broken[0])
	s.install()
	s.done(8)
}
