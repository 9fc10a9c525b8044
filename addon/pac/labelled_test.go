package pac_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	paclister "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// labelledRun is a run that PAC knows nothing of, as the hold leaves it.
func labelledRun(name string, changes ...change) *tektonv1.PipelineRun {
	return pipelineRun(name, append([]change{labelled(pac.QueueLabel, "app"), func(pr *tektonv1.PipelineRun) {
		pr.UID = types.UID("uid-" + name)
		pr.Annotations = map[string]string{pac.HeldOrder: pac.Itself}
		pr.Spec.PipelineRef = &tektonv1.PipelineRef{Name: "deploy"}
	}}, changes...)...)
}

// TestLabelled: any run is in the queue that its label names, and reads alike whether it is cached
// or not, and whatever it has of PAC's.
func TestLabelled(t *testing.T) {
	ofPAC := labelled("app.kubernetes.io/managed-by", "pipelinesascode.tekton.dev")
	for name, tc := range map[string]struct {
		run        *tektonv1.PipelineRun
		queue      string
		labelled   bool
		definition string
	}{
		"it names a Pipeline":      {labelledRun("a"), "app", true, "deploy"},
		"of a name that is made":   {labelledRun("a", withoutPipeline, generated("ship-")), "app", true, "ship"},
		"with a name only":         {labelledRun("a", withoutPipeline), "app", true, "a"},
		"labelled when it went on": {labelledRun("a", without(pac.HeldOrder), specStatus("")), "", false, ""},
		"a copy of one of PAC's": {
			labelledRun("a", annotated(keys.Repository, "other"), annotated(keys.SecretCreated, "false")), "app", true, "deploy",
		},
		"one of PAC's":               {pipelineRun("a", labelled(pac.QueueLabel, "deploy"), ofPAC), "app", false, ""},
		"one that names no queue":    {pipelineRun("a", labelled(pac.QueueLabel, ""), without(keys.Repository)), "", false, ""},
		"done, and not marked as it": {labelledRun("a", specStatus(""), succeeded(corev1.ConditionTrue)), "app", true, "deploy"},
	} {
		t.Run(name, func(t *testing.T) {
			if pac.IsLabelled(tc.run) != tc.labelled {
				t.Errorf("labelled %t", pac.IsLabelled(tc.run))
			}
			whole, cached := pac.ReadRun(tc.run), pac.ReadRun(fromCache(tc.run))
			if diff := cmp.Diff(whole, cached, sequencesByNames); diff != "" {
				t.Errorf("reads otherwise (-whole +cached):\n%s", diff)
			}
			for what, of := range map[string]metav1.Object{"whole": tc.run, "trimmed": pac.Trim(tc.run)} {
				if key, ok := pac.KeyOf(of); key.Repository != tc.queue || ok != (tc.queue != "") {
					t.Errorf("%s, it is of queue %q, %t", what, key.Repository, ok)
				}
			}
			if whole.Labelled != tc.labelled || whole.Origin.Definition != tc.definition || whole.Owed != "" {
				t.Errorf("it reads as %+v", whole)
			}
			if tc.labelled && whole.Phase != queue.Done && (!whole.Held() || whole.Sequence() == nil || whole.Sequence().Len() != 1) {
				t.Errorf("its order is %+v", whole.Order)
			}
		})
	}
}

func withoutPipeline(pr *tektonv1.PipelineRun) { pr.Spec.PipelineRef = nil }

func generated(name string) change {
	return func(pr *tektonv1.PipelineRun) { pr.GenerateName = name }
}

// TestSelectors: each run that counts is watched by one informer, and by one only.
func TestSelectors(t *testing.T) {
	const managedBy, of = "app.kubernetes.io/managed-by", "pipelinesascode.tekton.dev"
	for _, tc := range []struct {
		labels           map[string]string
		byPAC, byLabel   bool
		finishedLabelled bool
	}{
		{map[string]string{managedBy: of}, true, false, false},
		{map[string]string{managedBy: of, pac.QueueLabel: "app"}, true, false, false},
		{map[string]string{managedBy: "argo", pac.QueueLabel: "app"}, false, true, false},
		{map[string]string{pac.QueueLabel: "app"}, false, true, false},
		{map[string]string{pac.QueueLabel: "app", keys.State: "completed"}, false, true, false},
		{map[string]string{pac.QueueLabel: "app", pac.FinishedLabel: "true"}, false, false, true},
		{map[string]string{"team": "infra"}, false, false, false},
	} {
		matches := func(selector string) bool {
			s, err := labels.Parse(selector)
			if err != nil {
				t.Fatal(err)
			}
			return s.Matches(labels.Set(tc.labels))
		}
		for selector, want := range map[string]bool{
			pac.Selector: tc.byPAC, pac.LabelledSelector: tc.byLabel, pac.LabelledSelectorOf("app"): tc.byLabel,
			pac.LabelledSelectorOf("web"): false, pac.FinishedLabelledSelector("app"): tc.finishedLabelled,
		} {
			if got := matches(selector); got != want {
				t.Errorf("%s selects %v: %t, want %t", selector, tc.labels, got, want)
			}
		}
	}
}

// bothSources are Runs over PAC's runs and the labelled ones.
func bothSources(t *testing.T, answer http.HandlerFunc, ofPAC, others []*tektonv1.PipelineRun) (*pac.Runs, *apiServer) {
	t.Helper()
	informers := []cache.SharedIndexInformer{runInformer(), runInformer()}
	by := pac.By{Clock: clocktesting.NewFakePassiveClock(noon)}
	runs, server := runsFrom(t, by, answer, pac.OfPAC(informers[0]), pac.Labelled(informers[1]))
	add(t, informers[0].GetIndexer(), ofPAC...)
	add(t, informers[1].GetIndexer(), others...)
	return runs, server
}

// TestBothSources: a queue has the runs of both informers, and a fresh look lists those of both.
func TestBothSources(t *testing.T) {
	mine, others := at("mine", "7"), labelledRun("other")
	var selectors []string
	runs, _ := bothSources(t, func(w http.ResponseWriter, r *http.Request) {
		selectors = append(selectors, r.URL.Query().Get("labelSelector"))
		list := metadataOf(mine)
		if len(selectors) == 2 {
			list = metadataOf(others)
		}
		answer(http.StatusOK, list)(w, r)
	}, []*tektonv1.PipelineRun{mine}, []*tektonv1.PipelineRun{others})
	for _, freshness := range []queue.Freshness{queue.Cached, queue.Fresh} {
		list, err := runs.List(t.Context(), shopApp, freshness)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, run := range list {
			names = append(names, fmt.Sprint(run.Name, " ", run.Labelled))
		}
		slices.Sort(names)
		if diff := cmp.Diff([]string{"mine false", "other true"}, names); diff != "" {
			t.Errorf("%s list (-want +got):\n%s", freshness, diff)
		}
	}
	if diff := cmp.Diff([]string{pac.SelectorOf("app"), pac.LabelledSelectorOf("app")}, selectors); diff != "" {
		t.Errorf("selectors (-want +got):\n%s", diff)
	}
}

// TestForget marks a run as finished, if it is still as observed.
func TestForget(t *testing.T) {
	done := labelledRun("other", specStatus(""), succeeded(corev1.ConditionTrue))
	runs, server := bothSources(t, answer(http.StatusOK, done), nil, []*tektonv1.PipelineRun{done})
	if err := runs.Forget(t.Context(), shopApp, pac.ReadRun(done)); err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"labels":{"pac-lease-queue.dev/finished":"true"},"resourceVersion":"7","uid":"uid-other"}}`
	if diff := cmp.Diff(decoded(t, want), server.got()[0].Body); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}

// ownShapes are Shapes that have one queue without a Repository.
type ownShapes struct {
	is    pac.Own
	err   error
	fresh int
}

func (*ownShapes) Of(queue.Key) pac.Shape { return nil }

func (o *ownShapes) Own(_ context.Context, key queue.Key, freshness queue.Freshness) (pac.Own, bool, error) {
	if freshness == queue.Fresh {
		o.fresh++
	}
	return o.is, key == shopApp && o.is.UID != "", o.err
}

// TestOwnQueue: a queue without a Repository is that of a RunQueue with a limit, and any Repository
// goes before it.
func TestOwnQueue(t *testing.T) {
	deleting := repository("shop", "app", ptr.To(3))
	deleting.DeletionTimestamp = &metav1.Time{Time: noon}
	two := ownShapes{is: pac.Own{UID: "uid-rq", Limit: 2}}
	byRunQueue := engine.Repository{Key: shopApp, UID: "uid-rq", ByRunQueue: true, Limit: 2}
	for name, tc := range map[string]struct {
		repository *pacv1alpha1.Repository
		withoutPAC bool
		own        ownShapes
		want       engine.Repository
		exists     bool
		fails      bool
	}{
		"a RunQueue":             {nil, false, two, byRunQueue, true, false},
		"a RunQueue without PAC": {nil, true, two, byRunQueue, true, false},
		"none":                   {nil, false, ownShapes{}, engine.Repository{}, false, false},
		"it cannot be read":      {nil, false, ownShapes{err: errors.New("timeout")}, engine.Repository{}, false, true},
		"beside a Repository": {
			repository("shop", "app", ptr.To(3)), false, two, engine.Repository{Key: shopApp, UID: "uid-app", Limit: 3}, true, false,
		},
		"beside one that is on its way": {deleting, false, two, engine.Repository{}, false, false},
		"beside one that has no limit": {
			repository("shop", "app", nil), false, two, engine.Repository{Key: shopApp, UID: "uid-app"}, true, false,
		},
		"the Repository of another name": {repository("shop", "web", ptr.To(3)), false, two, byRunQueue, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
			if tc.repository != nil {
				add(t, indexer, tc.repository)
			}
			informer := runInformer()
			if _, err := pac.NewRuns(pac.By{}, nil, nil, pac.OfPAC(informer)); err != nil {
				t.Fatal(err)
			}
			var lister paclister.RepositoryLister
			if !tc.withoutPAC {
				lister = paclister.NewRepositoryLister(indexer)
			}
			settings := func() pac.Settings { return pac.Settings{Namespace: "pac", GlobalRepository: "none"} }
			r := pac.NewRepositories(nil, lister, informer.GetIndexer(), settings, &tc.own)
			got, exists, err := r.Get(t.Context(), shopApp, queue.Cached)
			if (err != nil) != tc.fails || exists != tc.exists {
				t.Errorf("exists %t, error %v", exists, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	without := &ownShapes{is: pac.Own{UID: "uid-rq", Limit: 2}}
	_, exists, err := pac.NewRepositories(nil, nil, nil, nil, without).Get(t.Context(), shopApp, queue.Fresh)
	if err != nil || !exists || without.fresh != 1 {
		t.Errorf("a fresh look without PAC: exists %t, error %v, %d fresh answers", exists, err, without.fresh)
	}
}
