package pac_test

import (
	"testing"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// TestNews: what decisions depend on wakes a queue, what the add-on or PAC writes for people does
// not.
func TestNews(t *testing.T) {
	later := func(changes ...change) *tektonv1.PipelineRun {
		return pipelineRun("build", append(changes, func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "8" })...)
	}
	repository := func(version string, limit *int) *pacv1alpha1.Repository {
		return &pacv1alpha1.Repository{
			ObjectMeta: metav1.ObjectMeta{
				Name: "app", Namespace: "shop", ResourceVersion: version, Labels: map[string]string{"version": version},
			},
			Spec: pacv1alpha1.RepositorySpec{ConcurrencyLimit: limit},
		}
	}
	configMap := func(version, value string) *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "settings", ResourceVersion: version, Annotations: map[string]string{"version": version}},
			Data:       map[string]string{"setting": value},
		}
	}
	for name, tc := range map[string]struct {
		was, is any
		want    bool
	}{
		"nothing":           {pipelineRun("build"), later(), false},
		"texts":             {pipelineRun("build"), later(annotated(pac.Position, "3"), annotated(pac.Reason, "waits")), false},
		"other texts":       {pipelineRun("build", annotated(pac.Status, "queued")), later(annotated(pac.Status, "claimed")), false},
		"a label by people": {pipelineRun("build"), later(labelled("team", "infra")), true}, // it may have a priority for that
		"a label by Tekton": {pipelineRun("build"), later(labelled("tekton.dev/pipeline", "ci")), false},
		"a start":           {pipelineRun("build"), later(specStatus("")), true},
		"a claim":           {pipelineRun("build"), later(annotated(pac.Claim, "0/1/0")), true},
		"an order":          {pipelineRun("build"), later(annotated(pac.HeldOrder, "shop/build")), true},
		"a back-off":        {pipelineRun("build"), later(annotated(pac.NotBefore, "2026-07-01T12:00:00Z")), true},
		"no queue any more": {pipelineRun("build"), later(without("pipelinesascode.tekton.dev/repository")), true},
		"a deletion": {
			pipelineRun("build"), later(func(pr *tektonv1.PipelineRun) { pr.DeletionTimestamp = ptr.To(metav1.NewTime(noon)) }), true,
		},
		"a label of a Repository":      {repository("7", ptr.To(2)), repository("8", ptr.To(2)), false},
		"a limit":                      {repository("7", ptr.To(2)), repository("8", ptr.To(3)), true},
		"a first limit":                {repository("7", nil), repository("8", ptr.To(3)), true},
		"an annotation of a ConfigMap": {configMap("7", "1"), configMap("8", "1"), false},
		"a setting":                    {configMap("7", "1"), configMap("8", "2"), true},
		"anything else":                {"a Lease", "a Lease", true},
	} {
		t.Run(name, func(t *testing.T) {
			trim := func(obj any) any {
				for _, trim := range []func(any) (any, error){pac.CacheRun, pac.TrimRepository} {
					trimmed, err := trim(obj)
					if err != nil {
						t.Fatal(err)
					}
					obj = trimmed
				}
				return obj
			}
			if got := pac.IsNews(trim(tc.was), trim(tc.is)); got != tc.want {
				t.Errorf("news: %t, want %t", got, tc.want)
			}
		})
	}
}

// TestCanWait: only what makes no room can wait.
func TestCanWait(t *testing.T) {
	run := func(changes ...change) *pac.Cached { return cachedRun(pipelineRun("build", changes...)) }
	waits, started := run(), run(specStatus(""))
	begun, done := run(specStatus(""), startedAt(noon)), run(specStatus(""), succeeded(corev1.ConditionTrue))
	for name, tc := range map[string]struct {
		was, is any
		want    bool
	}{
		"it is started":       {waits, started, true},
		"Tekton begins":       {started, begun, true},
		"it waits still":      {waits, run(annotated(keys.SecretCreated, "true")), false},
		"it is done":          {begun, done, false},
		"it is new":           {nil, started, false},
		"it moves to a queue": {started, run(specStatus(""), annotated(keys.Repository, "other")), false},
		"a Repository":        {nil, &pacv1alpha1.Repository{}, false},
	} {
		if got := pac.CanWait(tc.was, tc.is); got != tc.want {
			t.Errorf("%s: can wait %t, want %t", name, got, tc.want)
		}
	}
}
