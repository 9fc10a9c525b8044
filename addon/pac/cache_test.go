package pac_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestTrim: a trimmed run must read exactly like the whole one, whatever is in it, and so must a
// cached one, or a cached look and a live look at one run would lead to different decisions.
func TestTrim(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for i := range 2000 {
		pr := randomRun(rnd)
		whole := pr.DeepCopy()
		trimmed, cached := pac.Trim(pr), cachedRun(pr)
		if diff := cmp.Diff(trimmed, cached.Run(), withoutRepository); diff != "" {
			t.Fatalf("run %d, %v: is not cached as it is trimmed (-trimmed +cached):\n%s", i, whole, diff)
		}
		if diff := cmp.Diff(pac.ReadRun(whole), pac.ReadRun(trimmed), sequencesByNames); diff != "" {
			t.Fatalf("run %d, %v: reads otherwise (-whole +trimmed):\n%s", i, whole, diff)
		}
		wantKey, wantOK := pac.KeyOf(whole)
		if key, ok := pac.KeyOf(trimmed); key != wantKey || ok != wantOK {
			t.Fatalf("run %d, %v: is of queue %v %t, trimmed of %v %t", i, whole, wantKey, wantOK, key, ok)
		}
		if key, ok := cached.Key(); key != wantKey || ok != wantOK {
			t.Fatalf("run %d, %v: is of queue %v %t, cached of %v %t", i, whole, wantKey, wantOK, key, ok)
		}
		if whole.Annotations[keys.ControllerInfo] != trimmed.Annotations[keys.ControllerInfo] {
			t.Fatalf("run %d, %v: the global Repository is lost", i, whole)
		}
		if diff := cmp.Diff(whole, pr); diff != "" {
			t.Fatalf("run %d: trimming changed its PipelineRun (-before +after):\n%s", i, diff)
		}
		if diff := cmp.Diff(trimmed, pac.Trim(trimmed)); diff != "" {
			t.Fatalf("run %d: trimming twice is not trimming once (-once +twice):\n%s", i, diff)
		}
	}
}

// withoutRepository: an annotation that names none is as good as none.
var withoutRepository = cmpopts.IgnoreMapEntries(func(key, value string) bool { return key == keys.Repository && value == "" })

// randomRun draws from everything that reading looks at, good and bad, and from
// some of what it does not.
func randomRun(rnd *rand.Rand) *tektonv1.PipelineRun {
	one := func(of ...string) string { return of[rnd.Intn(len(of))] }
	name := one("build", "test")
	pr := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: one("shop", "bank"), UID: types.UID("uid-" + name), ResourceVersion: one("1", "2"),
			CreationTimestamp: metav1.NewTime(noon.Add(time.Duration(rnd.Intn(3)) * time.Second)),
			Generation:        3,
			Finalizers:        []string{"chains.tekton.dev"},
			Labels:            map[string]string{keys.State: "queued"},
			ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "pipelines-as-code"}},
			OwnerReferences:   []metav1.OwnerReference{{Name: "owner"}},
		},
		Spec: tektonv1.PipelineRunSpec{
			Status: tektonv1.PipelineRunSpecStatus(one(
				"", tektonv1.PipelineRunSpecStatusPending, tektonv1.PipelineRunSpecStatusPending, tektonv1.PipelineRunSpecStatusCancelled,
				tektonv1.PipelineRunSpecStatusCancelledRunFinally, tektonv1.PipelineRunSpecStatusStoppedRunFinally, "Nonsense")),
			PipelineRef: &tektonv1.PipelineRef{Name: "big"},
			Params:      tektonv1.Params{{Name: "p", Value: *tektonv1.NewStructuredValues("v")}},
		},
	}
	if rnd.Intn(8) > 0 {
		pr.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "much"}
		for key, values := range map[string][]string{
			pac.HeldOrder:       {"shop/build,shop/test", "bank/build", "", "no slash", "shop/build,shop/build"},
			keys.ExecutionOrder: {"shop/test,shop/build", "bank/test,bank/build", ","},
			pac.Attempt:         {"0", "7", "-1", "x", "99999999999999999999"},
			pac.NotBefore:       {"2026-07-01T12:00:05Z", "2026-07-01T14:00:05+02:00", "soon", ""},
			pac.Arrived:         {"1234", "<=1234", "-1", "", "18446744073709551616"},
			pac.Claim:           {"0/1/0", "-1/0/2", "x", ""},
			keys.Repository:     {"app", "a-very-long-name", ""},
			keys.State:          {"queued", "started", "completed"},
			keys.SecretCreated:  {"true", "false", ""},
			keys.InstallationID: {"42", ""},
			keys.CheckRunID:     {"7", ""},
			keys.ControllerInfo: {`{"gRepo":"global"}`, "{"},
			keys.SHA:            {"abc"},
		} {
			if rnd.Intn(2) > 0 {
				pr.Annotations[key] = one(values...)
			}
		}
	}
	if rnd.Intn(4) == 0 {
		pr.DeletionTimestamp = &metav1.Time{Time: noon}
	}
	switch rnd.Intn(4) {
	case 0:
		pr.Status.StartTime = &metav1.Time{Time: noon}
	case 1:
		pr.Status.StartTime = &metav1.Time{}
	}
	for _, c := range []apis.Condition{
		{Type: "Ready", Status: corev1.ConditionTrue},
		{
			Type: apis.ConditionSucceeded, Status: corev1.ConditionStatus(one("True", "False", "Unknown", "")), Reason: "Running",
			Message: "long",
		},
	} {
		if rnd.Intn(2) > 0 {
			pr.Status.Conditions = append(pr.Status.Conditions, c)
		}
	}
	pr.Status.ChildReferences = []tektonv1.ChildStatusReference{{Name: "child"}}
	return pr
}

// TestTrimForgetsTheRest: what is not read is not kept; the point of trimming
// is the memory.
func TestTrimForgetsTheRest(t *testing.T) {
	whole := pipelineRun("build",
		func(pr *tektonv1.PipelineRun) {
			pr.Labels = map[string]string{"tekton.dev/pipeline": "ci"}
			pr.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
			pr.Finalizers = []string{"f"}
			pr.Spec.PipelineSpec = &tektonv1.PipelineSpec{Description: "long"}
		},
		annotated("kubectl.kubernetes.io/last-applied-configuration", "long"), annotated(keys.State, "queued"),
		startedAt(noon))
	want := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{Kind: "TrimmedPipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "build", Namespace: "shop", UID: "uid-1", ResourceVersion: "7", CreationTimestamp: metav1.NewTime(noon),
			Annotations: map[string]string{
				keys.Repository: "app", pac.HeldOrder: queue.NewSequence([]string{"build", "test"}).Pack(),
			},
		},
		Spec: tektonv1.PipelineRunSpec{Status: tektonv1.PipelineRunSpecStatusPending},
	}
	want.Status.StartTime = &metav1.Time{Time: noon}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(want, pac.Trim(whole)); diff != "" {
			t.Errorf("trimmed (-want +got):\n%s", diff)
		}
	}
	check()
	// Of the order of a run that is done, the event is left.
	succeeded(corev1.ConditionTrue)(whole)
	want.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Whatever"}}
	want.Annotations[pac.HeldOrder] = queue.NewSequence([]string{"build", "test"}).Event().Pack()
	check()
	// A run that is in no queue has no event either.
	delete(whole.Annotations, keys.Repository)
	want.Annotations = map[string]string{}
	check()
}

// TestTrimBounds (case T1): whatever a tenant writes, and wherever, little of it is kept, the
// run says what is unusable, and it reads alike from the cache and from the API server.
func TestTrimBounds(t *testing.T) {
	var longest []string
	for i := range 1000 {
		longest = append(longest, fmt.Sprintf("shop/%058d", i))
	}
	longest[999] = "shop/build"
	for name, c := range map[string]struct {
		run      *tektonv1.PipelineRun
		most     int // bytes
		problems []string
	}{
		"an order of 250 KiB": {
			pipelineRun("build", annotated(pac.HeldOrder, "shop/build,"+strings.Repeat("shop/another,", 19_200))),
			1000,
			[]string{"annotation pac-lease-queue.dev/execution-order: " +
				"it has 249611 bytes, more than 65536; the run is queued by its creation time"},
		},
		"the longest order": {pipelineRun("build", annotated(pac.HeldOrder, strings.Join(longest, ","))), 5000, nil},
		"a long text in every annotation": {everywhere(strings.Repeat("x", 100<<10)), 3000, []string{
			"annotation pac-lease-queue.dev/attempt: it has 102400 bytes, more than 32; it counts as 0",
			"annotation pac-lease-queue.dev/arrived: it has 102400 bytes, more than 32; it says nothing about when the event came",
			"annotation pac-lease-queue.dev/claim: it has 102400 bytes, more than 64; the run counts as started by another client",
			"annotation pipelinesascode.tekton.dev/original-prname: " +
				"it has 102400 bytes, more than 253; cancel-in-progress passes the run over",
			"annotation pipelinesascode.tekton.dev/event-type: " +
				"it has 102400 bytes, more than 64; cancel-in-progress passes the run over",
			"annotation pipelinesascode.tekton.dev/pull-request: " +
				"it has 102400 bytes, more than 32; cancel-in-progress passes the run over",
			"annotation pipelinesascode.tekton.dev/source-branch: " +
				"it has 102400 bytes, more than 256; cancel-in-progress passes the run over",
		}},
		"a long text in every annotation but that of the queue": {inQueue(everywhere(strings.Repeat("x", 100<<10))), 3000, []string{
			"annotation pac-lease-queue.dev/execution-order: it has 102400 bytes, more than 65536; the run is queued by its creation time",
			"annotation pac-lease-queue.dev/attempt: it has 102400 bytes, more than 32; it counts as 0",
			"annotation pac-lease-queue.dev/arrived: it has 102400 bytes, more than 32; it says nothing about when the event came",
			"annotation pac-lease-queue.dev/not-before: it has 102400 bytes, more than 64; there is no back-off",
			"annotation pac-lease-queue.dev/claim: it has 102400 bytes, more than 64; the run counts as started by another client",
			"annotation pipelinesascode.tekton.dev/original-prname: " +
				"it has 102400 bytes, more than 253; cancel-in-progress passes the run over",
			"annotation pipelinesascode.tekton.dev/event-type: " +
				"it has 102400 bytes, more than 64; cancel-in-progress passes the run over",
			"annotation pipelinesascode.tekton.dev/pull-request: " +
				"it has 102400 bytes, more than 32; cancel-in-progress passes the run over",
			"annotation pipelinesascode.tekton.dev/source-branch: " +
				"it has 102400 bytes, more than 256; cancel-in-progress passes the run over",
		}},
		// What cannot be read is quoted in a problem; what can is not.
		"as much as there may be everywhere": {inQueue(everywhere(strings.Repeat("x", 256))), 6000, nil},
	} {
		t.Run(name, func(t *testing.T) {
			trimmed := fromCache(c.run)
			kept := len(trimmed.Spec.Status)
			for key, value := range trimmed.Annotations {
				kept += len(key) + len(value)
			}
			if kept > c.most {
				t.Errorf("keeps %d bytes, want %d at most: %q", kept, c.most, trimmed.Annotations)
			}
			whole := pac.ReadRun(c.run)
			if diff := cmp.Diff(c.problems, whole.Problems); diff != "" && name != "as much as there may be everywhere" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(whole, pac.ReadRun(trimmed), sequencesByNames); diff != "" {
				t.Errorf("reads otherwise (-whole +trimmed):\n%s", diff)
			}
			if wholeKey, wholeOK := pac.KeyOf(c.run); true {
				if key, ok := pac.KeyOf(trimmed); key != wholeKey && ok || ok != wholeOK {
					t.Errorf("is of queue %v %t, trimmed of %v %t", wholeKey, wholeOK, key, ok)
				}
			}
		})
	}
}

// everywhere is a run with that text in every annotation that is read, and for a status.
func everywhere(text string) *tektonv1.PipelineRun {
	pr := pipelineRun("build")
	pr.Spec.Status = tektonv1.PipelineRunSpecStatus(text)
	for _, key := range []string{
		pac.HeldOrder, pac.Attempt, pac.Arrived, pac.NotBefore, pac.Claim, pac.Status, pac.Position, pac.QueueLength, pac.Reason,
		pac.EstimatedStart, pac.QueuedAt, keys.ExecutionOrder, keys.Repository, keys.SecretCreated, keys.InstallationID,
		keys.CheckRunID, keys.ControllerInfo, keys.OriginalPRName, keys.EventType, keys.PullRequest, keys.SourceBranch,
		keys.CancelInProgress, "anything.else/at-all", "pac-lease-queue.dev/texts", "pac-lease-queue.dev/origin",
	} {
		pr.Annotations[key] = text
	}
	return pr
}

func inQueue(pr *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	annotated(keys.Repository, "app")(pr)
	return pr
}

func TestTrimRepository(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	limits := []*int{nil, ptr.To(0), ptr.To(3), ptr.To(-1)}
	for range 100 {
		whole := repository("shop", "app", limits[rnd.Intn(len(limits))])
		whole.Spec.URL = "https://example.com/app"
		whole.Spec.Settings = &pacv1alpha1.Settings{PipelineRunProvenance: "source"}
		global := repository("pac", "global", limits[rnd.Intn(len(limits))])
		want, wantProblems := pac.ReadLimit(whole, global)
		trimmed, trimmedGlobal := trimRepository(t, whole), trimRepository(t, global)
		got, problems := pac.ReadLimit(trimmed, trimmedGlobal)
		if got != want || !slices.Equal(problems, wantProblems) {
			t.Fatalf("limit %d %q, trimmed %d %q", want, wantProblems, got, problems)
		}
		if trimmed.UID != whole.UID || trimmed.Name != whole.Name || trimmed.Namespace != whole.Namespace {
			t.Fatalf("%v is trimmed to %v", whole, trimmed)
		}
		if trimmed.Spec.URL != "" || trimmed.Spec.Settings != nil {
			t.Fatalf("keeps %+v", trimmed.Spec)
		}
	}
	gone := repository("shop", "app", nil)
	gone.DeletionTimestamp = &metav1.Time{Time: noon}
	if trimRepository(t, gone).DeletionTimestamp == nil {
		t.Error("a Repository that is being deleted is trimmed to one that is not")
	}
}

// TestTrimTombstone: informers pass through what they hold of a deleted object.
func TestTrimTombstone(t *testing.T) {
	tombstone := cache.DeletedFinalStateUnknown{Key: "shop/build", Obj: pipelineRun("build")}
	for name, trim := range map[string]func(any) (any, error){"run": pac.CacheRun, "Repository": pac.TrimRepository} {
		got, err := trim(tombstone)
		if diff := cmp.Diff(any(tombstone), got); err != nil || diff != "" {
			t.Errorf("%s: error %v, (-want +got):\n%s", name, err, diff)
		}
	}
}

func trimRepository(t *testing.T, r *pacv1alpha1.Repository) *pacv1alpha1.Repository {
	t.Helper()
	obj, err := pac.TrimRepository(r)
	if err != nil {
		t.Fatal(err)
	}
	return obj.(*pacv1alpha1.Repository)
}

func repository(namespace, name string, limit *int) *pacv1alpha1.Repository {
	return &pacv1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name)},
		Spec:       pacv1alpha1.RepositorySpec{ConcurrencyLimit: limit},
	}
}
