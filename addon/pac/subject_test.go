package pac_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// shape notes what it is asked of, and gives every run the same priority.
type shape struct {
	asked    []pac.Subject
	priority int
	err      error
}

func (s *shape) Spec() queue.Spec { return queue.Spec{} }

func (s *shape) Priority(of pac.Subject) (int, error) {
	s.asked = append(s.asked, of)
	return s.priority, s.err
}

// TestSubject: conditions see the event and what people wrote on the run, whether the run was
// trimmed or not.
func TestSubject(t *testing.T) {
	pr := pipelineRun("build",
		annotated(keys.OriginalPRName, "ci"), annotated(keys.EventType, "pull_request"), annotated(keys.PullRequest, "7"),
		annotated(keys.SourceBranch, "hotfix"), annotated(keys.Branch, "refs/heads/main"), annotated(keys.Sender, "ann"),
		annotated("note", "x"), annotated("example.com/note", "y"), annotated("chains.tekton.dev/signed", "true"),
		annotated(pac.Priority, "5"), annotated("kubectl.kubernetes.io/last-applied-configuration", "{}"),
		labelled("team", "infra"), labelled("app.kubernetes.io/name", "shop"), labelled("app.kubernetes.io/managed-by", "m"),
		labelled("pipelinesascode.tekton.dev/sha", "f00"), labelled("kueue.x-k8s.io/queue-name", "q"),
	)
	want := pac.Subject{
		Name: "build", Definition: "ci",
		Event:       pac.SubjectEvent{Type: "pull_request", Branch: "hotfix", Target: "main", PullRequest: "7", Sender: "ann"},
		Labels:      map[string]string{"team": "infra", "app.kubernetes.io/name": "shop"},
		Annotations: map[string]string{"note": "x", "example.com/note": "y"},
	}
	for name, as := range map[string]*tektonv1.PipelineRun{"whole": pr, "cached": fromCache(pr)} {
		run, asked := pac.ReadRun(as), &shape{priority: 3}
		pac.Prioritize(&run, as, asked)
		if diff := cmp.Diff([]pac.Subject{want}, asked.asked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if want := (queue.Priority{Listed: 3, Own: 5}); run.Priority != want || len(run.Problems) > 0 {
			t.Errorf("%s: priority %s, problems %v; want %s", name, run.Priority, run.Problems, want)
		}
	}
}

// TestConditionsThatFail are problems of the run that they fail for.
func TestConditionsThatFail(t *testing.T) {
	pr := pipelineRun("build")
	run := pac.ReadRun(pr)
	pac.Prioritize(&run, pr, &shape{priority: 2, err: errors.New("it costs too much")})
	if want := []string{"the priorities of RunQueue app: it costs too much"}; run.Priority.Listed != 2 || !cmp.Equal(want, run.Problems) {
		t.Errorf("priority %s, problems %v", run.Priority, run.Problems)
	}
}

// TestStartedRunsHaveNoPriority: nothing depends on it any more, so nothing of theirs is kept.
func TestStartedRunsHaveNoPriority(t *testing.T) {
	pr := pipelineRun("build", specStatus(""), labelled("team", "infra"), annotated("note", "x"))
	if is := fromCache(pr); len(is.Labels) > 0 || is.Annotations["note"] != "" {
		t.Errorf("kept are %v and %v", is.Labels, is.Annotations)
	}
	asked := &shape{}
	run := pac.ReadRun(pr)
	if pac.Prioritize(&run, pr, asked); len(asked.asked) > 0 {
		t.Errorf("asked of %v", asked.asked)
	}
}

// TestManyTexts: what people write on a run is kept up to a bound, and conditions hear that there
// is more.
func TestManyTexts(t *testing.T) {
	long := strings.Repeat("x", 900)
	pr := pipelineRun("build", labelled("a", "1"), annotated("b", long), annotated("c", long), annotated("d", long), annotated("e", "5"))
	run, asked := pac.ReadRun(pr), &shape{}
	pac.Prioritize(&run, pr, asked)
	want := pac.Subject{
		Name: "build", Labels: map[string]string{"a": "1"}, Annotations: map[string]string{"b": long, "c": long},
		Cut: "it has more than 2048 bytes of labels and annotations, and those from d on are not seen",
	}
	if diff := cmp.Diff([]pac.Subject{want}, asked.asked); diff != "" {
		t.Errorf("asked of (-want +got):\n%s", diff)
	}
}
