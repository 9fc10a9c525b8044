package pac_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	paclister "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

const minusOne = "concurrency_limit is -1, which is not a valid limit; runs start one at a time. Set it to 1 or more, or remove it."

func TestReadLimit(t *testing.T) {
	none := (*int)(nil)
	for name, tc := range map[string]struct {
		own          *int
		hasGlobal    bool
		global       *int
		want         queue.Limit
		wantProblems []string
	}{
		"own":                               {own: ptr.To(3), want: 3},
		"own, 1":                            {own: ptr.To(1), want: 1},
		"own, absurd":                       {own: ptr.To(1 << 40), want: 1 << 40},
		"absent":                            {own: none, want: queue.Unlimited},
		"0":                                 {own: ptr.To(0), want: queue.Unlimited},
		"negative":                          {own: ptr.To(-1), want: 1, wantProblems: []string{minusOne}},
		"own before global":                 {own: ptr.To(3), hasGlobal: true, global: ptr.To(5), want: 3},
		"absent, inherited":                 {own: none, hasGlobal: true, global: ptr.To(5), want: 5},
		"0 is set, so nothing is inherited": {own: ptr.To(0), hasGlobal: true, global: ptr.To(5), want: queue.Unlimited},
		"absent everywhere":                 {own: none, hasGlobal: true, global: none, want: queue.Unlimited},
		"absent, inherited 0":               {own: none, hasGlobal: true, global: ptr.To(0), want: queue.Unlimited},
		"absent, inherited negative":        {own: none, hasGlobal: true, global: ptr.To(-1), want: 1, wantProblems: []string{minusOne}},
		"negative before global": {
			own: ptr.To(-1), hasGlobal: true, global: ptr.To(5), want: 1,
			wantProblems: []string{minusOne},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := repository("shop", "app", tc.own)
			var global *pacv1alpha1.Repository
			if tc.hasGlobal {
				global = repository("pac", "global", tc.global)
			}
			limit, problems := pac.ReadLimit(r, global)
			if limit != tc.want {
				t.Errorf("limit %d, want %d", limit, tc.want)
			}
			if diff := cmp.Diff(tc.wantProblems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if r.Spec.ConcurrencyLimit != tc.own {
				t.Error("the cached Repository was changed")
			}
		})
	}
}

func TestRepositoriesGet(t *testing.T) {
	// age makes a run that was created so long before noon.
	run := func(name string, age time.Duration, changes ...change) *tektonv1.PipelineRun {
		pr := pipelineRun(name, changes...)
		pr.CreationTimestamp = metav1.NewTime(noon.Add(-age))
		return pr
	}
	global := func(name string) change {
		return annotated(keys.ControllerInfo, `{"name":"default","gRepo":"`+name+`"}`)
	}
	inherits := repository("shop", "app", nil)
	deletedRepository := repository("shop", "app", ptr.To(1))
	deletedRepository.DeletionTimestamp = &metav1.Time{Time: noon}
	found := func(limit queue.Limit, problems ...string) engine.Repository {
		return engine.Repository{
			Key: shopApp, UID: "uid-app", Limit: limit, Problems: problems,
		}
	}

	for name, tc := range map[string]struct {
		repositories []*pacv1alpha1.Repository
		runs         []*tektonv1.PipelineRun
		want         engine.Repository
		wantMissing  bool
	}{
		"own limit":        {repositories: []*pacv1alpha1.Repository{repository("shop", "app", ptr.To(2))}, want: found(2)},
		"no limit":         {repositories: []*pacv1alpha1.Repository{inherits}, want: found(queue.Unlimited)},
		"negative limit":   {repositories: []*pacv1alpha1.Repository{repository("shop", "app", ptr.To(-1))}, want: found(1, minusOne)},
		"does not exist":   {repositories: []*pacv1alpha1.Repository{repository("bank", "app", ptr.To(2))}, wantMissing: true},
		"is being deleted": {repositories: []*pacv1alpha1.Repository{deletedRepository}, wantMissing: true},
		"the default global one": {
			repositories: []*pacv1alpha1.Repository{inherits, repository("pac", "pipelines-as-code", ptr.To(4))},
			want:         found(4),
		},
		"one called like the global one in another namespace": {
			repositories: []*pacv1alpha1.Repository{inherits, repository("shop", "pipelines-as-code", ptr.To(4))},
			want:         found(queue.Unlimited),
		},
		"the global one of the run's controller": {
			repositories: []*pacv1alpha1.Repository{
				inherits, repository("pac", "pipelines-as-code", ptr.To(4)),
				repository("pac", "second", ptr.To(5)),
			},
			runs: []*tektonv1.PipelineRun{run("a", 0, global("second"))},
			want: found(5),
		},
		"which does not exist": {
			repositories: []*pacv1alpha1.Repository{inherits, repository("pac", "pipelines-as-code", ptr.To(4))},
			runs:         []*tektonv1.PipelineRun{run("a", 0, global("second"))},
			want:         found(queue.Unlimited),
		},
		"the newest run decides": {
			repositories: []*pacv1alpha1.Repository{
				inherits, repository("pac", "first", ptr.To(4)),
				repository("pac", "second", ptr.To(5)),
			},
			runs: []*tektonv1.PipelineRun{
				run("a", 2*time.Second, global("first")), run("b", time.Second, global("second")),
				run("c", 3*time.Second, global("first")),
			},
			want: found(5),
		},
		"of two created at once the last by name decides": {
			repositories: []*pacv1alpha1.Repository{
				inherits, repository("pac", "first", ptr.To(4)),
				repository("pac", "second", ptr.To(5)),
			},
			runs: []*tektonv1.PipelineRun{run("b", 0, global("second")), run("a", 0, global("first"))},
			want: found(5),
		},
		"runs of another queue do not decide": {
			repositories: []*pacv1alpha1.Repository{
				inherits, repository("pac", "pipelines-as-code", ptr.To(4)),
				repository("pac", "second", ptr.To(5)),
			},
			runs: []*tektonv1.PipelineRun{run("a", 0, global("second"), annotated(keys.Repository, "other"))},
			want: found(4),
		},
		"without readable controller info the default is the global one": {
			repositories: []*pacv1alpha1.Repository{inherits, repository("pac", "pipelines-as-code", ptr.To(4))},
			runs: []*tektonv1.PipelineRun{
				run("a", 0, annotated(keys.ControllerInfo, "{")),
				run("b", 0, annotated(keys.ControllerInfo, `{"gRepo":""}`)), run("c", 0),
			},
			want: found(4),
		},
		// Otherwise one run made by hand lifts the limit of all.
		"a newer run without readable controller info does not hide it": {
			repositories: []*pacv1alpha1.Repository{inherits, repository("pac", "second", ptr.To(5))},
			runs: []*tektonv1.PipelineRun{
				run("a", 5*time.Second, global("second")),
				run("b", 3*time.Second, annotated(keys.ControllerInfo, `{"gRepo":7}`)),
				run("c", 2*time.Second, annotated(keys.ControllerInfo, "null")), run("d", time.Second),
			},
			want: found(5),
		},
		"no name of an object": {
			repositories: []*pacv1alpha1.Repository{inherits},
			runs:         []*tektonv1.PipelineRun{run("a", 0, global("../../secrets"))},
			want:         found(queue.Unlimited),
		},
	} {
		t.Run(name, func(t *testing.T) {
			repositories := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
			add(t, repositories, tc.repositories...)
			informer := runInformer()
			if _, err := pac.NewRuns(pac.By{}, nil, nil, pac.OfPAC(informer)); err != nil {
				t.Fatal(err)
			}
			add(t, informer.GetIndexer(), tc.runs...)
			r := pac.NewRepositories(nil, paclister.NewRepositoryLister(repositories), informer.GetIndexer(), func() pac.Settings {
				return pac.Settings{Namespace: "pac", GlobalRepository: "pipelines-as-code"}
			}, nil)

			got, exists, err := r.Get(t.Context(), shopApp, queue.Cached)
			if err != nil {
				t.Fatal(err)
			}
			if exists == tc.wantMissing {
				t.Errorf("exists: %t, want %t", exists, !tc.wantMissing)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("queue (-want +got):\n%s", diff)
			}
		})
	}
}

// T15: where PAC cannot be seen, a limit that its runs prove counts as 1, and never as none.
func TestLimitIsNeverNoneForWantOfSight(t *testing.T) {
	held := func(pr *tektonv1.PipelineRun) {
		pr.Annotations[pac.HeldOrder], pr.Spec.Status = "shop/a", tektonv1.PipelineRunSpecStatusPending
	}
	started := func(pr *tektonv1.PipelineRun) {
		pr.Spec.Status = ""
		delete(pr.Annotations, pac.HeldOrder)
		delete(pr.Annotations, keys.ExecutionOrder)
	}
	wasHeld := func(pr *tektonv1.PipelineRun) { pr.Annotations[pac.HeldOrder], pr.Spec.Status = "shop/a", "" }
	created := func(pr *tektonv1.PipelineRun) { pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending }
	for name, tc := range map[string]struct {
		own    *int
		absent bool
		runs   []*tektonv1.PipelineRun
		want   queue.Limit
	}{
		"PAC is there, and nothing limits": {nil, false, []*tektonv1.PipelineRun{pipelineRun("a", held)}, queue.Unlimited},
		"a limit of its own":               {ptr.To(3), true, []*tektonv1.PipelineRun{pipelineRun("a", held)}, 3},
		"a held run":                       {nil, true, []*tektonv1.PipelineRun{pipelineRun("a", held), pipelineRun("b", started)}, 1},
		"a run that was held":              {nil, true, []*tektonv1.PipelineRun{pipelineRun("a", wasHeld)}, 1},
		"a run without its order yet":      {nil, true, []*tektonv1.PipelineRun{pipelineRun("a", created)}, 1},
		"a run that is not seen yet":       {nil, true, nil, 1},
		"runs that PAC did not queue": {
			nil, true, []*tektonv1.PipelineRun{pipelineRun("a", started), pipelineRun("b", started)}, queue.Unlimited,
		},
	} {
		t.Run(name, func(t *testing.T) {
			repositories := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
			add(t, repositories, repository("shop", "app", tc.own))
			informer := runInformer()
			if _, err := pac.NewRuns(pac.By{}, nil, nil, pac.OfPAC(informer)); err != nil {
				t.Fatal(err)
			}
			add(t, informer.GetIndexer(), tc.runs...)
			r := pac.NewRepositories(nil, paclister.NewRepositoryLister(repositories), informer.GetIndexer(), func() pac.Settings {
				return pac.Settings{Namespace: "nowhere", Absent: tc.absent, GlobalRepository: "pipelines-as-code"}
			}, nil)
			got, _, err := r.Get(t.Context(), shopApp, queue.Cached)
			if err != nil || got.Limit != tc.want {
				t.Errorf("limit %s (%v), want %s", got.Limit, err, tc.want)
			}
			unseen := tc.absent && tc.own == nil && tc.want == 1
			if said := len(got.Problems) > 0 && strings.Contains(got.Problems[0], "not in namespace nowhere"); said != unseen {
				t.Errorf("problems: %q", got.Problems)
			}
		})
	}
}

func add[T any](t *testing.T, to cache.Store, objects ...T) {
	t.Helper()
	for _, o := range objects {
		cached, err := pac.CacheRun(o)
		if err == nil {
			err = to.Add(cached)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// runInformer is an informer that is never started: tests fill it by hand.
func runInformer() cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &tektonv1.PipelineRun{}, 0, cache.Indexers{})
}
