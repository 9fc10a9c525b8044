package admission_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const managedBy = "app.kubernetes.io/managed-by"

// started is one of PAC's runs after the add-on has started it, as a copy has it: without UID and
// status.
func started(namespace, name string) *tektonv1.PipelineRun {
	run := fixture.HeldRun(queue.Key{Namespace: namespace, Repository: "shop"}, name, name, "another")
	run.Spec.Status = ""
	run.Labels[keys.State] = "started"
	maps.Copy(run.Annotations, map[string]string{
		keys.State: "started", keys.SCMReportingPLRStarted: "true", keys.SecretCreated: "true", keys.OriginalPRName: "build",
		pac.Claim: "0/12/0", pac.Attempt: "3", pac.NotBefore: "2030-01-01T00:00:00Z", pac.StartedAt: "2026-01-01T00:00:00Z",
		pac.Arrived: "1234", pac.Replica: "r", pac.Slot: "0", "pac-lease-queue.dev/future": "x", "other": "stays",
	})
	return run
}

// result is what the API server has made of a copy.
type result struct {
	Status      string
	State       string // label
	Annotations map[string]string
	PACs        bool
}

func resultOf(run *tektonv1.PipelineRun) result {
	return result{
		Status: string(run.Spec.Status), State: run.Labels[keys.State], Annotations: run.Annotations,
		PACs: run.Labels[managedBy] == "pipelinesascode.tekton.dev",
	}
}

// P3 and P4: a copy of a run loses what belongs to its original, and waits like any other run.
func TestCopyOfARunIsQueued(t *testing.T) {
	needsCluster(t)
	queued := map[string]string{
		keys.Repository: "shop", keys.State: "queued", keys.SecretCreated: "true", keys.OriginalPRName: "build", "other": "stays",
		pac.HeldOrder: pac.Itself,
	}
	controller := true
	for name, c := range map[string]struct {
		change func(*tektonv1.PipelineRun)
		want   result
	}{
		"of a started run": {func(*tektonv1.PipelineRun) {}, result{"PipelineRunPending", "queued", queued, true}},
		"with a name to be made": {
			func(run *tektonv1.PipelineRun) { run.GenerateName, run.Name = run.Name+"-r-", "" },
			result{"PipelineRunPending", "queued", queued, true},
		},
		"of a finished run": {
			func(run *tektonv1.PipelineRun) {
				run.Labels[keys.State], run.Annotations[keys.State] = "completed", "completed"
			},
			result{"PipelineRunPending", "queued", queued, true},
		},
		"of a run without a state": {
			func(run *tektonv1.PipelineRun) {
				delete(run.Labels, keys.State)
				delete(run.Annotations, keys.State)
			},
			result{"PipelineRunPending", "queued", queued, true},
		},
		"of a queued run": {
			func(run *tektonv1.PipelineRun) { run.Spec.Status = tektonv1.PipelineRunSpecStatusPending },
			result{"PipelineRunPending", "queued", queued, true},
		},
		"with an order of PAC's": {
			func(run *tektonv1.PipelineRun) { run.Annotations[keys.ExecutionOrder] = "ns/a,ns/b" },
			result{"PipelineRunPending", "queued", queued, true},
		},
		"that is cancelled": {
			func(run *tektonv1.PipelineRun) { run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled },
			result{"Cancelled", "queued", queued, true},
		},
		"that is stopped for its finally tasks": {
			func(run *tektonv1.PipelineRun) { run.Spec.Status = tektonv1.PipelineRunSpecStatusStoppedRunFinally },
			result{"Cancelled", "queued", queued, true},
		},
		"of no Repository": {
			func(run *tektonv1.PipelineRun) {
				run.Annotations = map[string]string{pac.Claim: "0/1/0", "other": "stays"}
			},
			result{"", "started", map[string]string{"other": "stays"}, true},
		},
		"that is a child of its original": {
			func(run *tektonv1.PipelineRun) {
				run.OwnerReferences = []metav1.OwnerReference{
					{APIVersion: "tekton.dev/v1", Kind: "PipelineRun", Name: "parent", UID: "uid", Controller: &controller},
				}
				run.Annotations = map[string]string{keys.Repository: "shop", pac.Claim: "0/1/0"}
			},
			result{"", "started", map[string]string{keys.Repository: "shop"}, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, namespace := range held {
				copied := started(namespace, "copied")
				c.change(copied)
				made, err := clientsOf(t, tenant()).Tekton.TektonV1().PipelineRuns(namespace).
					Create(t.Context(), copied, metav1.CreateOptions{DryRun: all})
				if err != nil {
					t.Errorf("%s: %v", namespace, err)
					continue
				}
				if diff := cmp.Diff(c.want, resultOf(made)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", namespace, diff)
				}
			}
		})
	}
}

// What PAC itself makes stays as it is, with a limit or without.
func TestPACsOwnRunsAreNoCopies(t *testing.T) {
	needsCluster(t)
	for _, namespace := range held {
		for _, status := range []tektonv1.PipelineRunSpecStatus{"", tektonv1.PipelineRunSpecStatusPending} {
			run := fixture.Run(queue.Key{Namespace: namespace, Repository: "shop"}, "made", "made")
			delete(run.Annotations, keys.ExecutionOrder)
			run.Labels[keys.State], run.Spec.Status = "started", status
			want := resultOf(run.DeepCopy())
			made, err := clientsOf(t, thePAC()).Tekton.TektonV1().PipelineRuns(namespace).
				Create(t.Context(), run, metav1.CreateOptions{DryRun: all})
			fixture.Must(t, err)
			if diff := cmp.Diff(want, resultOf(made)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", namespace, diff)
			}
		}
	}
}

// P2: a run that never started is cancelled outright, no matter by whom: PAC's /cancel and a closed
// pull request would have Tekton run its finally tasks, above the limit.
func TestGracefulCancelOfAWaitingRunIsAPlainOne(t *testing.T) {
	needsCluster(t)
	users := map[string]*rest.Config{
		"PAC": thePAC(), "a tenant": tenant(),
		"the add-on": fixture.AsServiceAccount(cluster.Config(stack.Admin), "pac-lease-queue", "pac-lease-queue"),
	}
	type kind struct {
		what   string
		change func(*tektonv1.PipelineRun)
		want   func(status string) string
	}
	same := func(status string) string { return status }
	plain := func(string) string { return "Cancelled" }
	kinds := []kind{
		{"waits", func(*tektonv1.PipelineRun) {}, plain},
		{"waits without an order", func(run *tektonv1.PipelineRun) { delete(run.Annotations, pac.HeldOrder) }, plain},
		{"runs", func(run *tektonv1.PipelineRun) { run.Spec.Status = "" }, same},
		{"is another product's", func(run *tektonv1.PipelineRun) { run.Labels = nil }, same},
	}
	for _, namespace := range held {
		for i, k := range kinds {
			name := fmt.Sprintf("cancel-%d", i)
			run := fixture.HeldRun(queue.Key{Namespace: namespace, Repository: "shop"}, name, name)
			k.change(run)
			fixture.Must(t, clientsOf(t, thePAC()).CreateRun(t.Context(), namespace, run))
			for who, config := range users {
				for _, status := range []string{"CancelledRunFinally", "StoppedRunFinally", "Cancelled"} {
					if who == "the add-on" && (status != "CancelledRunFinally" || k.what == "is another product's") {
						continue // its own account is refused
					}
					got, err := cancel(t.Context(), clientsOf(t, config), namespace, name, status)
					if err != nil {
						t.Errorf("%s: %s by %s of a run that %s: %v", namespace, status, who, k.what, err)
						continue
					}
					if want := k.want(status); got != want {
						t.Errorf("%s: %s by %s of a run that %s became %s, want %s", namespace, status, who, k.what, got, want)
					}
				}
			}
		}
	}
}

func cancel(ctx context.Context, clients fixture.Clients, namespace, name, status string) (string, error) {
	run, err := clients.Tekton.TektonV1().PipelineRuns(namespace).Patch(ctx, name, types.MergePatchType,
		[]byte(`{"spec":{"status":"`+status+`"}}`), metav1.PatchOptions{DryRun: all})
	if err != nil {
		return "", err
	}
	return string(run.Spec.Status), nil
}

// The replicas select a copy, whatever it was made of.
func TestCopyIsSelected(t *testing.T) {
	needsCluster(t)
	copied := started(held[0], "selected")
	copied.Labels[keys.State], copied.Annotations[keys.State] = "completed", "completed"
	fixture.Must(t, clientsOf(t, tenant()).CreateRun(t.Context(), held[0], copied))
	runs, err := tekton.TektonV1().PipelineRuns(held[0]).List(t.Context(), metav1.ListOptions{LabelSelector: pac.Selector})
	fixture.Must(t, err)
	i := slices.IndexFunc(runs.Items, func(run tektonv1.PipelineRun) bool { return run.Name == "selected" })
	if i < 0 {
		t.Fatal("the copy is not selected")
	}
	run := pac.ReadRun(&runs.Items[i])
	if run.Phase != queue.Pending || !run.Held() || run.Order.Malformed() || run.Claim != nil || run.Attempt != 0 {
		t.Errorf("the copy reads as %+v, want a run that waits", run)
	}
}

// P3 and P4 on a queue: a copy waits for a slot of its Repository, and starts at once if there is
// no limit.
func TestCopyGoesThroughItsQueue(t *testing.T) {
	needsCluster(t)
	limit := 1
	for repository, limit := range map[string]*int{"limited": &limit, "unlimited": nil} {
		key := queue.Key{Namespace: byWebhook, Repository: repository}
		first, second := repository+"-1", repository+"-2"
		fixture.Must(t, clientsOf(t, tenant()).CreateRepository(t.Context(), key, limit))
		fixture.Must(t, clientsOf(t, thePAC()).CreateRun(t.Context(), byWebhook, fixture.Run(key, first, first)))
		original := waitStarted(t, first)
		copied := original.DeepCopy()
		copied.ObjectMeta = metav1.ObjectMeta{Name: second, Labels: original.Labels, Annotations: original.Annotations}
		copied.Labels[keys.State], copied.Annotations[keys.State] = "completed", "completed"
		fixture.Must(t, clientsOf(t, tenant()).CreateRun(t.Context(), byWebhook, copied))
		if limit != nil {
			eventually(t, "the copy waits", func() error {
				run, err := tekton.TektonV1().PipelineRuns(byWebhook).Get(t.Context(), second, metav1.GetOptions{})
				if err == nil && (!run.IsPending() || run.Annotations[pac.Status] != string(queue.StateQueued)) {
					err = fmt.Errorf("it has the status %q and the annotations %v", run.Spec.Status, run.Annotations)
				}
				return err
			})
			fixture.Must(t, clientsOf(t, theTekton()).FinishRun(t.Context(), byWebhook, first))
		}
		run := waitStarted(t, second)
		if slot := run.Annotations[pac.Slot]; (slot == "0") != (limit != nil) {
			t.Errorf("the copy in the %s Repository was started in slot %q", repository, slot)
		}
	}
}

// waitStarted waits until the add-on has started a run, and returns it.
func waitStarted(t *testing.T, name string) (run *tektonv1.PipelineRun) {
	t.Helper()
	eventually(t, name+" is started", func() (err error) {
		run, err = tekton.TektonV1().PipelineRuns(byWebhook).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && (run.IsPending() || run.Annotations[pac.Claim] == "") {
			err = fmt.Errorf("it has the status %q and the annotations %v", run.Spec.Status, run.Annotations)
		}
		return err
	})
	return run
}
