package pac_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/labels"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestFreshListsAreShared: a hundred queues of a namespace that are looked at afresh at the same
// time cost a few lists, and each gets its own runs. An API server has to look at all runs of the
// namespace for each list: with one for each queue, it may get to answer none in time.
func TestFreshListsAreShared(t *testing.T) {
	const queues = 100
	informer := runInformer()
	var runs []*tektonv1.PipelineRun
	for i := range queues {
		run := at(fmt.Sprint("run-", i), "7")
		run.Labels = map[string]string{
			"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev", "pipelinesascode.tekton.dev/state": "queued",
			"pipelinesascode.tekton.dev/repository": fmt.Sprint("app-", i),
		}
		run.Annotations["pipelinesascode.tekton.dev/repository"] = fmt.Sprint("app-", i)
		runs = append(runs, run)
	}
	var calls atomic.Int32
	crowd := make(chan struct{})
	by := pac.By{Clock: clocktesting.NewFakePassiveClock(noon), Gate: paged.NewGate(1)}
	all, server := runsFrom(t, by, func(w http.ResponseWriter, r *http.Request) {
		<-crowd
		selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
		if err != nil {
			t.Error(err)
		}
		var selected []*tektonv1.PipelineRun
		for _, run := range runs {
			if selector.Matches(labels.Set(run.Labels)) {
				selected = append(selected, run)
			}
		}
		answer(http.StatusOK, metadataOf(selected...))(w, r)
	}, pac.OfPAC(informer))
	add(t, informer.GetIndexer(), runs...)
	var callers sync.WaitGroup
	for i := range queues {
		callers.Go(func() {
			if calls.Add(1) == queues {
				close(crowd)
			}
			key := queue.Key{Namespace: shopApp.Namespace, Repository: fmt.Sprint("app-", i)}
			list, err := all.List(t.Context(), key, queue.Fresh)
			if err != nil || len(list) != 1 || list[0].Name != fmt.Sprint("run-", i) {
				t.Errorf("%s has %v, %v", key, list, err)
			}
		})
	}
	callers.Wait()
	requests := server.got()
	if len(requests) > queues/4 {
		t.Errorf("%d requests for %d queues", len(requests), queues)
	}
	for _, r := range requests {
		if !strings.HasSuffix(r.Path, "/pipelineruns") || len(r.Query) > 4<<10 {
			t.Errorf("request %+v", r)
		}
	}
}
