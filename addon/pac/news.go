package pac

import (
	"maps"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// IsNews reports whether a later version of an object, as the cache keeps it, says anything that
// the earlier one does not.
//
// A run on which only the annotations for people have changed says nothing: the add-on writes them
// itself, and a queue that woke at each of them would decide as often as it tells how it has
// decided. Neither does a Repository to whose status PAC (up to 0.49) has added a run, nor one of
// PAC's ConfigMaps (after 0.50) on which it has written an annotation: each concerns many queues.
func IsNews(was, is any) bool {
	switch earlier := was.(type) {
	case *Cached:
		later, ok := is.(*Cached)
		return !ok || !equality.Semantic.DeepEqual(decides(earlier), decides(later))
	case *pacv1alpha1.Repository:
		later, ok := is.(*pacv1alpha1.Repository)
		if !ok {
			return true
		}
		bare := *earlier
		bare.ResourceVersion = later.ResourceVersion
		return !equality.Semantic.DeepEqual(&bare, later)
	case *corev1.ConfigMap:
		later, ok := is.(*corev1.ConfigMap)
		return !ok || !maps.Equal(earlier.Data, later.Data)
	}
	return true
}

// CanWait reports whether what a later version of a run says can wait for a moment: that it has
// been started, or goes on. That makes no room in a queue, and lets no other run go first.
func CanWait(was, is any) bool {
	earlier, existed := was.(*Cached)
	later, ok := is.(*Cached)
	if !existed || !ok || later.phase != queue.Started || earlier.phase == queue.Done {
		return false
	}
	from, _ := earlier.Key()
	to, _ := later.Key()
	return from == to
}

// decides returns the run without its version and its annotations for people.
func decides(c *Cached) *tektonv1.PipelineRun {
	pr := c.Run()
	pr.ResourceVersion = ""
	for _, name := range waiting {
		delete(pr.Annotations, name)
	}
	return pr
}
