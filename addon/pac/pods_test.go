package pac_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func podOf(run, uid, name string, deleted *time.Time) *metav1.PartialObjectMetadata {
	pod := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, Annotations: map[string]string{keys.Repository: "app", "long": strings.Repeat("x", 5000)},
		Labels: map[string]string{"tekton.dev/pipelineRun": run, "tekton.dev/pipelineTask": "compile"},
	}}
	if uid != "" {
		pod.Labels["tekton.dev/pipelineRunUID"] = uid
	}
	if deleted != nil {
		pod.DeletionTimestamp = &metav1.Time{Time: *deleted}
	}
	return pod
}

func TestPodsLeft(t *testing.T) {
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{}, &metav1.PartialObjectMetadata{}, 0, cache.Indexers{})
	pods, err := pac.NewPods(informer)
	if err != nil {
		t.Fatal(err)
	}
	sooner, later := noon, noon.Add(time.Minute)
	elsewhere := podOf("build", "uid-1", "elsewhere", nil)
	elsewhere.Namespace = "bank"
	for _, pod := range []*metav1.PartialObjectMetadata{
		podOf("build", "uid-1", "b", &later), podOf("build", "", "a", &sooner), podOf("build", "uid-0", "former", nil),
		podOf("test", "uid-2", "runs", nil), elsewhere,
	} {
		trimmed, err := pac.TrimPod(pod)
		if err != nil {
			t.Fatal(err)
		}
		small := trimmed.(*metav1.PartialObjectMetadata)
		want := queue.Key{Namespace: pod.Namespace, Repository: "app"}
		if key, ok := pac.KeyOf(small); !ok || key != want || len(small.Annotations) > 1 {
			t.Errorf("%s is of queue %s, %t, with %d annotations", pod.Name, key, ok, len(small.Annotations))
		}
		add(t, informer.GetIndexer(), trimmed)
	}
	for name, tc := range map[string]struct {
		holder queue.Holder
		want   *queue.Pods
	}{
		"its own, and no former ones": {queue.Holder{Name: "build", UID: "uid-1"}, &queue.Pods{Number: 2, First: "a", Due: later}},
		"not told to go":              {queue.Holder{Name: "test", UID: "uid-2"}, &queue.Pods{Number: 1, First: "runs"}},
		"of another run of the name":  {queue.Holder{Name: "test", UID: "uid-3"}, nil},
		"none":                        {queue.Holder{Name: "lint", UID: "uid-4"}, nil},
	} {
		if diff := cmp.Diff(tc.want, pods.Left(shopApp, tc.holder)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
