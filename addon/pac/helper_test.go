package pac_test

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// noon is when every run of these tests was created.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

var shopApp = queue.Key{Namespace: "shop", Repository: "app"}

// sequencesByNames lets cmp compare what has a Sequence.
var sequencesByNames = cmp.Comparer(func(a, b *queue.Sequence) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Pack() == b.Pack()
})

// change is one difference from the run that pipelineRun makes.
type change func(*tektonv1.PipelineRun)

// pipelineRun is a run of shop/app that PAC has queued and the hold has caught.
func pipelineRun(name string, changes ...change) *tektonv1.PipelineRun {
	pr := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", UID: "uid-1", ResourceVersion: "7",
			CreationTimestamp: metav1.NewTime(noon),
			Annotations: map[string]string{
				keys.Repository: "app",
				pac.HeldOrder:   "shop/build,shop/test",
			},
		},
		Spec: tektonv1.PipelineRunSpec{Status: tektonv1.PipelineRunSpecStatusPending},
	}
	for _, c := range changes {
		c(pr)
	}
	return pr
}

// fromCache is the run as the cache keeps it.
func fromCache(pr *tektonv1.PipelineRun) *tektonv1.PipelineRun { return cachedRun(pr).Run() }

func cachedRun(pr *tektonv1.PipelineRun) *pac.Cached {
	cached, err := pac.CacheRun(pr)
	if err != nil {
		panic(err)
	}
	return cached.(*pac.Cached)
}

func annotated(key, value string) change {
	return func(pr *tektonv1.PipelineRun) { pr.Annotations[key] = value }
}

func labelled(key, value string) change {
	return func(pr *tektonv1.PipelineRun) {
		if pr.Labels == nil {
			pr.Labels = map[string]string{}
		}
		pr.Labels[key] = value
	}
}

func without(key string) change {
	return func(pr *tektonv1.PipelineRun) { delete(pr.Annotations, key) }
}

func specStatus(s tektonv1.PipelineRunSpecStatus) change {
	return func(pr *tektonv1.PipelineRun) { pr.Spec.Status = s }
}

func startedAt(t time.Time) change {
	return func(pr *tektonv1.PipelineRun) { pr.Status.StartTime = &metav1.Time{Time: t} }
}

func succeeded(s corev1.ConditionStatus) change {
	return func(pr *tektonv1.PipelineRun) {
		pr.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: s, Reason: "Whatever"}}
	}
}

func deleted(pr *tektonv1.PipelineRun) {
	pr.DeletionTimestamp = &metav1.Time{Time: noon}
	pr.Finalizers = []string{"chains.tekton.dev"}
}
