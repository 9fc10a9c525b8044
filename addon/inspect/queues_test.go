package inspect_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func repository(namespace, name string, limit int) v1alpha1.Repository {
	r := v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if limit > 0 {
		r.Spec.ConcurrencyLimit = &limit
	}
	return r
}

func pending(name string) tektonv1.PipelineRun {
	return tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ci", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon.Add(-5 * time.Minute)),
			Annotations: map[string]string{keys.Repository: "shop", pac.HeldOrder: "ci/a,ci/b,ci/c"},
		},
		Spec: tektonv1.PipelineRunSpec{Status: tektonv1.PipelineRunSpecStatusPending},
	}
}

func running(name, claim string) tektonv1.PipelineRun {
	pr := pending(name)
	pr.Spec.Status = ""
	pr.Annotations[pac.Claim] = claim
	pr.Status.StartTime = &metav1.Time{Time: noon.Add(-time.Minute)}
	return pr
}

func over(name string, took time.Duration, succeeded bool) tektonv1.PipelineRun {
	pr := running(name, "0/1/0")
	pr.Status.CompletionTime = &metav1.Time{Time: pr.Status.StartTime.Add(took)}
	c := apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue}
	if !succeeded {
		c.Status, c.Reason = corev1.ConditionFalse, "Failed"
	}
	pr.Status.Conditions = duckv1.Conditions{c}
	return pr
}

func slot(name, holder string) coordinationv1.Lease {
	return coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ci", Name: name, Labels: map[string]string{"app.kubernetes.io/managed-by": "pac-lease-queue"},
			Annotations: map[string]string{
				"pac-lease-queue.dev/repository": "shop", "pac-lease-queue.dev/run-uid": holder,
				"pac-lease-queue.dev/attempt": "0",
			},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, AcquireTime: &metav1.MicroTime{Time: noon.Add(-2 * time.Minute)}},
	}
}

// stands renders where runs stand.
func stands(q inspect.Queue) map[string]string {
	is := map[string]string{}
	for _, s := range q.Runs {
		is[s.Run.Name] = string(s.Why)
	}
	return is
}

func TestQueues(t *testing.T) {
	full := inspect.Reading{
		Repositories: []v1alpha1.Repository{repository("ci", "shop", 1), repository("ci", "other", 0)},
		Leases:       []coordinationv1.Lease{slot("shop.slot-0", "a")},
		Runs:         []tektonv1.PipelineRun{pending("c"), running("a", "0/1/0"), pending("b")},
		Finished:     []tektonv1.PipelineRun{over("x", 40*time.Second, true), over("y", 50*time.Second, false)},
	}
	queues := full.Queues(noon)
	if len(queues) != 1 {
		t.Fatalf("there are %d queues; a Repository without a limit has none", len(queues))
	}
	q := queues[0]
	if diff := cmp.Diff(map[string]string{"a": "", "b": "slots taken", "c": "slots taken"}, stands(q)); diff != "" {
		t.Error(diff)
	}
	if is, _ := q.Standing("c"); is.Position != 2 || q.Waiting != 2 || q.Limit != 1 {
		t.Errorf("position %d of %d, limit %d", is.Position, q.Waiting, q.Limit)
	}
	if q.Typical != 50*time.Second || q.Of != 2 || !q.Turns["b"].Equal(noon) || !q.Turns["c"].Equal(noon.Add(50*time.Second)) {
		t.Errorf("typical %s of %d, turns %v", q.Typical, q.Of, q.Turns)
	}
	if len(q.Done) != 2 || q.Done[0].Outcome != report.Succeeded || q.Done[1].Outcome != "failed" {
		t.Errorf("done: %+v", q.Done)
	}
	if !q.Acquired[0].Equal(noon.Add(-2 * time.Minute)) {
		t.Errorf("acquired %v", q.Acquired)
	}
}

func TestQueueOfAMissingRepository(t *testing.T) {
	r := inspect.Reading{Runs: []tektonv1.PipelineRun{pending("b"), pending("a")}}
	queues := r.Queues(noon)
	if len(queues) != 1 || !queues[0].Missing || queues[0].Waiting != 2 {
		t.Fatalf("queues: %+v", queues)
	}
	if diff := cmp.Diff(map[string]string{"a": "no Repository", "b": "no Repository"}, stands(queues[0])); diff != "" {
		t.Error(diff)
	}
}

func TestLimitIsInheritedFromTheGlobalRepository(t *testing.T) {
	global := config.Defaults()
	r := inspect.Reading{
		Settings: inspect.Settings{
			Namespace: "ci",
			Globals:   []v1alpha1.Repository{repository(global.PACNamespace, global.PACGlobalRepository, 3)},
		},
		Repositories: []v1alpha1.Repository{repository("ci", "shop", 0)},
		Runs:         []tektonv1.PipelineRun{pending("a")},
	}
	queues := r.Queues(noon)
	if len(queues) != 1 || queues[0].Key() != (queue.Key{Namespace: "ci", Repository: "shop"}) || queues[0].Limit != 3 {
		t.Errorf("queues: %+v", queues)
	}
}

// Slots in memory are not visible, so no run is said to lack one.
func TestSlotsInMemory(t *testing.T) {
	inMemory := inspect.Installation{Config: config.Defaults()}
	inMemory.Config.Backend = store.Memory
	for backend, c := range map[string]struct {
		installations []inspect.Installation
		want          string
	}{
		"lease":  {nil, "started, without a slot"},
		"memory": {[]inspect.Installation{inMemory}, "started"},
	} {
		r := inspect.Reading{
			Settings: inspect.Settings{Installations: c.installations}, Repositories: []v1alpha1.Repository{repository("ci", "shop", 1)},
			Runs: []tektonv1.PipelineRun{running("a", "0/1/0")},
		}
		q := r.Queues(noon)[0]
		if is, _ := q.Standing("a"); q.Why(is, report.Written) != c.want {
			t.Errorf("%s: %s, want %s", backend, q.Why(is, report.Written), c.want)
		}
	}
}

// T14: the plugin says why the next run has no slot, in the API server's own words.
func TestRefusedSlotIsSaid(t *testing.T) {
	r := inspect.Reading{
		Repositories: []v1alpha1.Repository{repository("ci", "shop", 1)}, Runs: []tektonv1.PipelineRun{pending("a"), pending("b")},
	}
	queues := r.Queues(noon)
	a, _ := queues[0].Standing("a")
	refused := func(name, words string, at time.Time) *corev1.Event {
		e := event.SlotRefused(queues[0].Key(), queue.Claim{Run: *a.Run}, words)
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name}, Reason: string(e.Reason), Message: e.Message,
			InvolvedObject: corev1.ObjectReference{UID: types.UID(e.UID)}, LastTimestamp: metav1.NewTime(at),
		}
	}
	kube := fake.NewClientset(refused("2", "exceeded quota: few", noon), refused("1", "before", noon.Add(-time.Minute)))
	if err := inspect.ReadRefusals(t.Context(), inspect.Clients{Kube: kube}, "ci", queues); err != nil {
		t.Fatal(err)
	}
	a, _ = queues[0].Standing("a")
	const want = "next to start, but its slot cannot be claimed: exceeded quota: few"
	if got := queues[0].Why(a, report.At(noon)); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
