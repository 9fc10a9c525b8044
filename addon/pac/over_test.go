package pac_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	paclister "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// ended is a run that is over, which PAC has not reported.
func ended(name string, at time.Time) *tektonv1.PipelineRun {
	return pipelineRun(name, specStatus(""), startedAt(at.Add(-time.Minute)), succeeded(corev1.ConditionTrue),
		annotated(keys.State, "started"), annotated(keys.ControllerInfo, `{"gRepo":"of-`+name+`"}`),
		annotated(pac.HeldOrder, "shop/"+name), func(pr *tektonv1.PipelineRun) {
			pr.UID = types.UID("uid-" + name)
			pr.Status.CompletionTime = &metav1.Time{Time: at}
		})
}

// counter counts the objects that an indexer hands out, under their own names and those of its
// indexes.
type counter struct {
	cache.Indexer
	n int
}

func (c *counter) ByIndex(index, value string) ([]any, error) {
	all, err := c.Indexer.ByIndex(index, value)
	c.n += len(all)
	return all, err
}

func (c *counter) IndexKeys(index, value string) ([]string, error) {
	all, err := c.Indexer.IndexKeys(index, value)
	c.n += len(all)
	return all, err
}

func (c *counter) ListIndexFuncValues(index string) []string {
	all := c.Indexer.ListIndexFuncValues(index)
	c.n += len(all)
	return all
}

func (c *counter) List() []any {
	all := c.Indexer.List()
	c.n += len(all)
	return all
}

func (c *counter) ListKeys() []string {
	all := c.Indexer.ListKeys()
	c.n += len(all)
	return all
}

func (c *counter) GetByKey(key string) (any, bool, error) {
	c.n++
	return c.Indexer.GetByKey(key)
}

type countedInformer struct {
	cache.SharedIndexInformer
	counter *counter
}

func (i countedInformer) GetStore() cache.Store     { return i.counter }
func (i countedInformer) GetIndexer() cache.Indexer { return i.counter }

// TestRunsThatPACCannotReportCostNothing is case P11.
func TestRunsThatPACCannotReportCostNothing(t *testing.T) {
	const many, waiting = 5000, 3
	informer := runInformer()
	counted := countedInformer{informer, &counter{Indexer: informer.GetIndexer()}}
	client, err := tektonclient.NewForConfig(&rest.Config{Host: "http://192.0.2.1"}) // nothing is asked of it
	if err != nil {
		t.Fatal(err)
	}
	runs, err := pac.NewRuns(pac.By{Clock: clocktesting.NewFakePassiveClock(noon)}, client.TektonV1(), nil, pac.OfPAC(counted))
	if err != nil {
		t.Fatal(err)
	}
	for i := range many {
		add(t, informer.GetIndexer(), ended(fmt.Sprint("over-", i), noon.Add(-time.Hour-time.Duration(i)*time.Second)))
	}
	for i := range waiting {
		add(t, informer.GetIndexer(), at(fmt.Sprint("waits-", i), "7"))
	}
	repositories := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	add(t, repositories, repository("shop", "app", ptr.To(1)))
	limits := pac.NewRepositories(nil, paclister.NewRepositoryLister(repositories), counted.counter, func() pac.Settings {
		return pac.Settings{Namespace: "pac", GlobalRepository: "pipelines-as-code"}
	}, nil)
	for _, freshness := range []queue.Freshness{queue.Cached, queue.Confirmed} {
		counted.counter.n = 0
		if _, _, err := limits.Get(t.Context(), shopApp, freshness); err != nil {
			t.Fatal(err)
		}
		list, err := runs.List(t.Context(), shopApp, freshness)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != waiting {
			t.Errorf("a %s look has %d runs, want the %d that are not over", freshness, len(list), waiting)
		}
		if most := 4 * waiting; counted.counter.n > most {
			t.Errorf("a %s look goes through %d objects, want %d at most", freshness, counted.counter.n, most)
		}
	}
	counted.counter.n = 0
	if keys := runs.Keys(); len(keys) != 1 || counted.counter.n > 1 {
		t.Errorf("a round of recovery finds queues %v among %d", keys, counted.counter.n)
	}
}

// What PAC is only slow to report is seen: it may supersede others, or be the first of its event.
func TestRunsThatEndedLatelyAreListed(t *testing.T) {
	undated := ended("undated", noon)
	undated.Status.CompletionTime = nil
	all := []*tektonv1.PipelineRun{
		ended("just-now", noon), ended("lately", noon.Add(-9*time.Minute)), ended("by-a-fast-clock", noon.Add(time.Minute)), undated,
		ended("long-ago", noon.Add(-21*time.Minute)), ended("by-a-wrong-clock", noon.Add(time.Hour)),
	}
	names := func(freshness queue.Freshness) map[string]bool {
		runs, _, _ := newRuns(t, answer(http.StatusOK, metadataOf(all...)), all...)
		listed, err := runs.List(t.Context(), shopApp, freshness)
		if err != nil {
			t.Fatal(err)
		}
		is := map[string]bool{}
		for _, r := range listed {
			is[r.Name] = true
		}
		return is
	}
	want := map[string]bool{"just-now": true, "lately": true, "by-a-fast-clock": true, "undated": true}
	for _, freshness := range []queue.Freshness{queue.Cached, queue.Fresh} {
		if diff := cmp.Diff(want, names(freshness)); diff != "" {
			t.Errorf("a %s list (-want +got):\n%s", freshness, diff)
		}
	}
}
