package pac_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// identified is a run with an identity of its own.
func identified(i int, changes ...change) *tektonv1.PipelineRun {
	pr := pipelineRun(fmt.Sprintf("pull-request-build-and-test-%05d", i), changes...)
	pr.UID = types.UID(fmt.Sprintf("0f0e7c2c-8b60-4f4b-9f6a-%012d", i))
	pr.ResourceVersion = fmt.Sprint(100_000_000 + i)
	return pr
}

// typical is a run as PAC makes it, four to an event, with the annotations for people.
func typical(i int) *tektonv1.PipelineRun {
	pr := identified(i)
	var order []string
	for of := i / 4 * 4; len(order) < 4; of++ {
		order = append(order, "shop/"+identified(of).Name)
	}
	for key, value := range map[string]string{
		pac.HeldOrder:         strings.Join(order, ","),
		keys.Repository:       "app",
		keys.SecretCreated:    "true",
		keys.InstallationID:   "1234567",
		keys.CheckRunID:       fmt.Sprint(2_341_234_123 + i),
		keys.ControllerInfo:   `{"name":"default","configmap":"pipelines-as-code","secret":"pipelines-as-code-secret","gRepo":"global"}`,
		keys.OriginalPRName:   "pull-request-build-and-test",
		keys.EventType:        "pull_request",
		keys.PullRequest:      fmt.Sprint(i / 4),
		keys.SourceBranch:     fmt.Sprintf("feature/branch-%d", i/4),
		keys.CancelInProgress: "true",
		pac.Status:            "queued",
		pac.Position:          "more than 20",
		pac.Reason:            "waiting for a slot, behind more than 20 others",
		pac.QueuedAt:          "2026-07-01T12:00:05Z",
	} {
		pr.Annotations[key] = value
	}
	return pr
}

// manyNames are in the order of every heavy run.
var manyNames = func() string {
	var names strings.Builder
	for i := range 199 {
		fmt.Fprintf(&names, "shop/%d,", i)
	}
	return names.String()
}()

// heavy is a run with the longest usable text in every annotation that is kept, and 200 runs in its
// order, unlike any other.
func heavy(i int) *tektonv1.PipelineRun {
	pr := identified(i)
	for key, bytes := range map[string]int{
		pac.Attempt: 32, pac.Arrived: 32, pac.NotBefore: 64, pac.Claim: 64, pac.Status: 64, pac.Position: 64, pac.QueueLength: 64,
		pac.Reason: 1024, pac.EstimatedStart: 128, pac.QueuedAt: 64, keys.Repository: 253, keys.SecretCreated: 32, keys.InstallationID: 32,
		keys.CheckRunID: 32, keys.ControllerInfo: 512, keys.OriginalPRName: 253, keys.EventType: 64, keys.PullRequest: 32,
		keys.SourceBranch: 256, keys.CancelInProgress: 32,
	} {
		pr.Annotations[key] = fmt.Sprintf("%06d%s", i, strings.Repeat("x", bytes-6))
	}
	pr.Annotations[pac.HeldOrder] = manyNames + "shop/" + pr.Name
	return pr
}

// runCache is what an informer keeps.
type runCache struct {
	*testing.T
	trimmer *pac.Trimmer
	kept    cache.Indexer
	deleted cache.ResourceEventHandler
}

func newRunCache(t *testing.T) *runCache {
	c := &runCache{T: t, trimmer: pac.NewTrimmer(), kept: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})}
	if err := c.trimmer.Follow(handlers{deleted: &c.deleted}); err != nil {
		t.Fatal(err)
	}
	return c
}

// handlers is an informer that only takes a handler.
type handlers struct {
	cache.SharedIndexInformer
	deleted *cache.ResourceEventHandler
}

func (h handlers) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	*h.deleted = handler
	return nil, nil
}

// put adds or updates a run, and returns it as it is kept.
func (c *runCache) put(pr *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	c.Helper()
	obj, err := c.trimmer.Cache(pr)
	if err == nil {
		err = c.kept.Update(obj)
	}
	if err != nil {
		c.Fatal(err)
	}
	return obj.(*pac.Cached).Run()
}

// drop deletes a run, perhaps while the watch was interrupted.
func (c *runCache) drop(pr *tektonv1.PipelineRun, unseen bool) {
	c.Helper()
	if err := c.kept.Delete(pr); err != nil {
		c.Fatal(err)
	}
	var obj any = pr
	if unseen {
		obj = cache.DeletedFinalStateUnknown{Key: pr.Namespace + "/" + pr.Name, Obj: pr}
	}
	c.deleted.OnDelete(obj)
}

// heapBytes is how much memory is in use.
func heapBytes() int {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestManyRuns: the cache has a bound in bytes for all runs of a namespace, not only for each.
func TestManyRuns(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(int) *tektonv1.PipelineRun
		n    int
		most int // bytes for each run
	}{
		"as heavy as they may be": {heavy, 20_000, 3_300},
		"as PAC makes them":       {typical, 20_000, 800},
		"done": {func(i int) *tektonv1.PipelineRun {
			pr := heavy(i)
			pr.Annotations[keys.Repository], pr.Annotations[keys.ControllerInfo] = "app", "{}"
			pr.Annotations[pac.Attempt], pr.Annotations[pac.Claim] = "0", fmt.Sprintf("0/%d/0", i)
			startedAt(noon)(pr)
			succeeded(corev1.ConditionTrue)(pr)
			return pr
		}, 2_000, 2_600},
		"in no queue": {func(i int) *tektonv1.PipelineRun {
			pr := heavy(i)
			delete(pr.Annotations, keys.Repository)
			return pr
		}, 2_000, 3_000},
	} {
		t.Run(name, func(t *testing.T) {
			before := heapBytes()
			kept := newRunCache(t)
			for i := range c.n {
				kept.put(c.run(i))
			}
			bytes := heapBytes() - before
			t.Logf("%d runs keep %d KiB, %d bytes each", c.n, bytes>>10, bytes/c.n)
			if bytes > c.n*c.most {
				t.Errorf("%d runs keep %d KiB, %d bytes each, want %d at most", c.n, bytes>>10, bytes/c.n, c.most)
			}
			runtime.KeepAlive(kept)
		})
	}
}

func isStub(pr *tektonv1.PipelineRun) bool { return pr.Kind == "StubPipelineRun" }

// TestStub: a stub keeps what the limit and its start depend on, and says what it lacks.
func TestStub(t *testing.T) {
	c := newRunCache(t)
	n := 0
	for n < 5_000 && !isStub(c.put(heavy(n))) {
		n++
	}
	if n < 1_500 {
		t.Fatalf("the first stub is run %d", n)
	}
	for i := range 10_000 { // until there is no room for a small one either
		if isStub(c.put(identified(200_000 + i))) {
			break
		}
	}
	for name, whole := range map[string]*tektonv1.PipelineRun{
		"queued":      typical(100_000),
		"in back-off": identified(100_001, annotated(pac.Attempt, "3"), annotated(pac.NotBefore, "2026-07-01T12:00:05Z")),
		"not ready":   identified(100_002, annotated(keys.SecretCreated, "false")),
		"not held": identified(
			100_003, without(pac.HeldOrder), annotated(keys.ExecutionOrder, "shop/pull-request-build-and-test-100003"),
		),
		"without order": identified(100_004, without(pac.HeldOrder)),
		"started":       identified(100_005, annotated(pac.Claim, "0/1/0"), func(pr *tektonv1.PipelineRun) { pr.Spec.Status = "" }),
		"done": identified(100_006, annotated(keys.ControllerInfo, strings.Repeat("z", 300)), startedAt(noon),
			succeeded(corev1.ConditionTrue)),
		"a broken order": identified(100_007, annotated(pac.HeldOrder, "no slash")),
	} {
		for key, value := range map[string]string{pac.Reason: strings.Repeat("x", 1000), keys.EventType: "push"} {
			whole.Annotations[key] = value
		}
		kept := c.put(whole)
		was, is := pac.ReadRun(whole), pac.ReadRun(kept)
		if whole, _ := pac.KeyOf(whole); true {
			if key, ok := pac.KeyOf(kept); key != whole || !ok {
				t.Errorf("%s: is of queue %v, want %v", name, key, whole)
			}
		}
		said := strings.Join(is.Problems, "\n")
		if strings.Contains(said, "more than 16 MiB") != (is.Phase == queue.Pending) {
			t.Errorf("%s (%v): the problems are %q", name, is.Phase, said)
		}
		if (was.Order == nil) != (is.Order == nil) || was.Held() != is.Held() || was.Order.Malformed() != is.Order.Malformed() {
			t.Errorf("%s: the order is %+v, want %+v", name, is.Order, was.Order)
		}
		if s := was.Sequence(); s != nil && is.Sequence().ID != s.ID {
			t.Errorf("%s: its event is %s, want %s", name, is.Sequence().ID, s.ID)
		}
		was.Order, is.Order, was.Origin, is.Origin, was.Problems, is.Problems = nil, nil, queue.Origin{}, queue.Origin{}, nil, nil
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s: reads otherwise (-whole +stub):\n%s", name, diff)
		}
	}
	other := typical(1)
	other.Namespace = "bank"
	if isStub(c.put(other)) {
		t.Error("a run of another namespace is a stub")
	}
	for i := range n {
		c.drop(heavy(i), i%2 > 0)
	}
	if isStub(c.put(heavy(300_000))) {
		t.Error("a run stays a stub when there is room again")
	}
}
