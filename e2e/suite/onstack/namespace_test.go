package onstack_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// target-namespace puts runs into the namespace of another Repository of the same URL. Each of the
// two queues goes by its limit and by its part of the order that the runs of both share, and gets
// back its own part when the add-on is uninstalled: PAC's queue never gives back a slot that it has
// taken for a run of another one.
func TestTargetNamespace(t *testing.T) {
	s := newScene(t, 1, 2)
	opened, err := s.Beside(s.ctx, "targetnamespace-there", 1)
	s.must(err)
	there := &scene{T: t, Scene: opened, ctx: s.ctx}
	push := func(first time.Duration, elsewhere ...string) {
		t.Helper()
		files := map[string]string{".tekton/run-01.yaml": stack.RunFile("run-01", time.Second)}
		for _, name := range elsewhere {
			files[".tekton/"+name+".yaml"] = stack.RunFile(name, first, keys.TargetNamespace+": "+there.Key.Namespace)
			first = time.Second
		}
		s.pushFiles(files)
	}
	check := func(of *scene, definitions ...string) {
		t.Helper()
		report := of.audited()
		if got := suite.Definitions(report); !slices.Equal(got, definitions) || report.MostStarted != 1 {
			t.Errorf("%s starts %v, at most %d at once, want %v, one at a time", of.Key, got, report.MostStarted, definitions)
		}
	}

	push(2*time.Second, "run-02", "run-03")
	there.queued(2)
	push(time.Second, "run-02", "run-03")
	there.done(4)
	s.done(2)
	check(s, "run-01", "run-01")
	check(there, "run-02", "run-03", "run-02", "run-03")
	s.reported(6)

	s.Tolerated, there.Tolerated = suite.OthersWarnings, suite.OthersWarnings
	push(25*time.Second, "run-02", "run-03", "run-04")
	there.queued(7)
	s.queued(3)
	there.started(1)
	t.Cleanup(func() {
		if err := cluster.Upgrade(s.background()); err != nil {
			t.Error(err)
		}
	})
	s.must(cluster.Uninstall(s.ctx))
	there.done(7)
	s.done(3)
	s.audited()
	there.audited()
	s.reported(10)
	handedBack := 0
	for _, pr := range there.View().PipelineRuns {
		order, is := pr.Annotations[keys.ExecutionOrder]
		if !is {
			continue
		}
		handedBack++
		if n := strings.Count(order, there.Key.Namespace+"/"); n != 3 || strings.Contains(order, s.Key.Namespace+"/") {
			t.Errorf("%s was handed back with the order %q, want the three runs of its namespace", pr.Name, order)
		}
	}
	if handedBack != 2 {
		t.Errorf("%d runs were handed back, want the two that waited", handedBack)
	}
}
