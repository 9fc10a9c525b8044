package admission_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// theKueue is the account by which tekton-kueue starts runs.
func theKueue() *rest.Config {
	return fixture.AsServiceAccount(cluster.Config(stack.Admin), "tekton-kueue", "tekton-kueue-controller-manager")
}

// besideKueue labels new runs for Kueue until the test ends.
func besideKueue(t *testing.T, configuration string) {
	t.Helper()
	needsCluster(t)
	remove := fixture.KueueWebhook(t, clientsOf(t, cluster.Config(stack.Admin)).Kube, configuration, byPolicy, byWebhook, unheld)
	t.Cleanup(func() { remove(t) })
	eventually(t, "Kueue labels runs", func() error {
		made, err := create(t.Context(), unheld, newRun("labelled", nil), metav1.DryRunAll)
		if err == nil && made.Labels[pac.QueueName] == "" {
			err = errors.New("no label")
		}
		return err
	})
}

// P10: the hold hides a queued run from Kueue, whichever webhook is called first, so that Kueue
// reserves nothing for runs that wait for a slot.
func TestQueuedRunIsHiddenFromKueue(t *testing.T) {
	type outcome struct{ Label, Hidden, Order, Status string }
	child := true
	for _, configuration := range []string{"a-kueue", "tekton-kueue-mutating-webhook-configuration"} {
		t.Run(configuration, func(t *testing.T) {
			besideKueue(t, configuration)
			const pending = tektonv1.PipelineRunSpecStatusPending
			for name, c := range map[string]struct {
				by     *rest.Config
				change func(*tektonv1.PipelineRun)
				want   outcome
			}{
				"of a Repository with a limit": {
					thePAC(), func(*tektonv1.PipelineRun) {}, outcome{Hidden: fixture.DefaultKueueQueue, Status: pending},
				},
				"of a Repository without a limit": {
					thePAC(), func(run *tektonv1.PipelineRun) { run.Spec.Status = "" },
					outcome{Hidden: fixture.DefaultKueueQueue, Status: pending},
				},
				"that names its queue": {
					thePAC(), func(run *tektonv1.PipelineRun) { run.Labels[pac.QueueName] = "team" },
					outcome{Hidden: "team", Status: pending},
				},
				"with its order": {
					thePAC(), func(run *tektonv1.PipelineRun) { run.Annotations[keys.ExecutionOrder] = "shop/new" },
					outcome{Hidden: fixture.DefaultKueueQueue, Order: "shop/new", Status: pending},
				},
				"that is a copy of one that has started": {
					tenant(), func(run *tektonv1.PipelineRun) {
						run.Labels[pac.QueueName], run.Spec.Status = "team", ""
						run.Annotations[pac.Claim] = "0/1/0"
					},
					outcome{Hidden: "team", Order: pac.Itself, Status: pending},
				},
				"that is a copy of one that waits": {
					tenant(), func(run *tektonv1.PipelineRun) { run.Annotations[pac.HeldQueueName] = "team" },
					outcome{Hidden: "team", Order: pac.Itself, Status: pending},
				},
				"of no Repository": {
					thePAC(), func(run *tektonv1.PipelineRun) { delete(run.Annotations, keys.Repository) },
					outcome{Label: fixture.DefaultKueueQueue, Status: pending},
				},
				"that is a child of another": {
					theTekton(), func(run *tektonv1.PipelineRun) {
						run.OwnerReferences = []metav1.OwnerReference{
							{APIVersion: "tekton.dev/v1", Kind: "PipelineRun", Name: "parent", UID: "uid", Controller: &child},
						}
					},
					outcome{Label: fixture.DefaultKueueQueue, Status: pending},
				},
				"of another product": {
					tenant(), func(run *tektonv1.PipelineRun) { run.Labels = nil },
					outcome{Label: fixture.DefaultKueueQueue, Status: pending},
				},
			} {
				for _, namespace := range []string{byPolicy, byWebhook} {
					run := fixture.Run(queue.Key{Namespace: namespace, Repository: "shop"}, "new")
					delete(run.Annotations, keys.ExecutionOrder)
					c.change(run)
					made, err := clientsOf(t, c.by).Tekton.TektonV1().PipelineRuns(namespace).
						Create(t.Context(), run, metav1.CreateOptions{DryRun: all})
					if err != nil {
						t.Errorf("%s: a run %s: %v", namespace, name, err)
						continue
					}
					got := outcome{
						made.Labels[pac.QueueName], made.Annotations[pac.HeldQueueName], made.Annotations[pac.HeldOrder],
						string(made.Spec.Status),
					}
					if diff := cmp.Diff(c.want, got); diff != "" {
						t.Errorf("%s: a run %s (-want +got):\n%s", namespace, name, diff)
					}
				}
			}
		})
	}
}

// P10: Kueue starts what has its slot, nothing before that, and nothing else than start it is its
// to decide.
func TestKueueStartsWhatHasItsSlot(t *testing.T) {
	pass := func(name, slot string) {
		fixture.Must(t, clientsOf(t, theAddon()).PatchRun(t.Context(), guarded, name, map[string]any{"metadata": map[string]any{
			"annotations": map[string]any{pac.Claim: slot, pac.HeldQueueName: nil}, "labels": map[string]any{pac.QueueName: "team"},
		}}))
	}
	hidden := func(run *tektonv1.PipelineRun) { run.Annotations[pac.HeldQueueName] = "team" }
	for name, change := range map[string]func(*tektonv1.PipelineRun){
		"kueue": hidden,
		"kueue-orderless": func(run *tektonv1.PipelineRun) {
			hidden(run)
			delete(run.Annotations, pac.HeldOrder)
		},
		"kueue-labelled": func(run *tektonv1.PipelineRun) { run.Labels[pac.QueueName] = "team" },
		"kueue-labelled-orderless": func(run *tektonv1.PipelineRun) {
			run.Labels[pac.QueueName] = "team"
			delete(run.Annotations, pac.HeldOrder)
		},
	} {
		guardedRun(t, name, change)
		refused(t, "a start of "+name+" by Kueue before it has its slot", dryPatch(t, theKueue(), name, start),
			"is queued by pac-lease-queue")
		pass(name, "0/4/0")
		allowed(t, "a start of "+name+" by Kueue", dryPatch(t, theKueue(), name, start))
		for who, config := range map[string]*rest.Config{"a tenant": tenant(), "PAC": thePAC(), "Tekton": theTekton()} {
			refused(t, "a start of "+name+" by "+who, dryPatch(t, config, name, start), "is queued by pac-lease-queue")
		}
		for what, body := range map[string]string{
			"no label": label(pac.QueueName, "null"), "a hidden queue": annotate(pac.HeldQueueName, "x"),
		} {
			refused(t, what+" of "+name, dryPatch(t, tenant(), name, body), "counts against the limit")
		}
		allowed(t, "another queue of "+name, dryPatch(t, tenant(), name, label(pac.QueueName, `"other"`)))
		refused(t, "a claim by Kueue of "+name, dryPatch(t, theKueue(), name, annotate(pac.Claim, "1/1/1")),
			"only pac-lease-queue writes "+pac.Claim)
		allowed(t, "a cancellation of "+name, dryPatch(t, tenant(), name, cancelled))
		fixture.Must(t, clientsOf(t, theAddon()).AnnotateRun(t.Context(), guarded, name,
			map[string]string{pac.Claim: "", pac.Attempt: "1"}))
		refused(t, "a start of "+name+" by Kueue once its claim has expired", dryPatch(t, theKueue(), name, start),
			"is queued by pac-lease-queue")
	}
	guardedRun(t, "no-kueue", func(*tektonv1.PipelineRun) {})
	refused(t, "a queued run labelled for Kueue", dryPatch(t, tenant(), "no-kueue", label(pac.QueueName, `"team"`)), pac.QueueName)
	refused(t, "a queued run hidden from Kueue", dryPatch(t, tenant(), "no-kueue", annotate(pac.HeldQueueName, "team")), pac.HeldQueueName)
}

// A run that Kueue starts no longer says that it waits for Kueue.
func TestStartByKueueIsShown(t *testing.T) {
	needsCluster(t)
	for _, namespace := range []string{byPolicy, byWebhook} {
		run := fixture.HeldRun(queue.Key{Namespace: namespace, Repository: "shop"}, "shown", "shown")
		run.Annotations[pac.Claim], run.Annotations[pac.Status], run.Annotations[pac.Reason] = "0/1/0", "claimed", "waiting for Kueue"
		fixture.Must(t, clientsOf(t, thePAC()).CreateRun(t.Context(), namespace, run))
		fixture.Must(t, clientsOf(t, cluster.Config(stack.Admin)).PatchRun(t.Context(), namespace, "shown", map[string]any{
			"metadata": map[string]any{"labels": map[string]any{pac.QueueName: "team"}},
		}))
		fixture.Must(t, clientsOf(t, theKueue()).PatchRun(t.Context(), namespace, "shown",
			map[string]any{"spec": map[string]any{"status": nil}}))
		started, err := tekton.TektonV1().PipelineRuns(namespace).Get(t.Context(), "shown", metav1.GetOptions{})
		fixture.Must(t, err)
		if started.Annotations[pac.Status] != "started" || started.Annotations[pac.Reason] != "" || started.Spec.Status != "" {
			t.Errorf("%s: the started run says %q", namespace, started.Annotations)
		}
	}
}

// P10 on a queue: each run takes its slot, then waits for Kueue in it, and the next one waits for
// the slot, hidden from Kueue.
func TestRunsGoThroughBothQueues(t *testing.T) {
	besideKueue(t, "tekton-kueue")
	serveKueue(t)
	limit, pacs, kueues := 1, clientsOf(t, thePAC()), clientsOf(t, theKueue())
	for repository, limit := range map[string]*int{"beside": &limit, "beside-unlimited": nil} {
		key := queue.Key{Namespace: byWebhook, Repository: repository}
		fixture.Must(t, pacs.CreateRepository(t.Context(), key, limit))
		first, second := repository+"-1", repository+"-2"
		for _, name := range []string{first, second} {
			run := fixture.Run(key, name, first, second)
			if limit == nil {
				delete(run.Annotations, keys.ExecutionOrder)
			}
			fixture.Must(t, pacs.CreateRun(t.Context(), byWebhook, run))
		}
		runs := tekton.TektonV1().PipelineRuns(byWebhook)
		passed := func(name string) {
			eventually(t, name+" is passed to Kueue", func() error {
				run, err := runs.Get(t.Context(), name, metav1.GetOptions{})
				switch {
				case err != nil:
					return err
				case !run.IsPending():
					return fmt.Errorf("%s was started beside Kueue: %v", name, run.Annotations)
				case run.Annotations[pac.Claim] == "" || run.Labels[pac.QueueName] != fixture.DefaultKueueQueue:
					return fmt.Errorf("%s: %v", name, run.ObjectMeta)
				}
				return nil
			})
		}
		passed(first)
		if limit == nil {
			passed(second)
			continue
		}
		waits, err := runs.Get(t.Context(), second, metav1.GetOptions{})
		fixture.Must(t, err)
		if waits.Labels[pac.QueueName] != "" || waits.Annotations[pac.Claim] != "" {
			t.Errorf("%s waits for a slot, and Kueue sees it: %v", second, waits.ObjectMeta)
		}
		fixture.Must(t, kueues.PatchRun(t.Context(), byWebhook, first, map[string]any{"spec": map[string]any{"status": nil}}))
		fixture.Must(t, pacs.FinishRun(t.Context(), byWebhook, first))
		passed(second)
		fixture.Must(t, clientsOf(t, tenant()).PatchRun(t.Context(), byWebhook, second,
			map[string]any{"spec": map[string]any{"status": "Cancelled"}}))
	}
}

// serveKueue has the API server serve an API of Kueue's until the test ends.
func serveKueue(t *testing.T) {
	t.Helper()
	client, err := apiextensions.NewForConfig(cluster.Config(stack.Admin))
	fixture.Must(t, err)
	preserve := true
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "workloads.kueue.x-k8s.io",
			Annotations: map[string]string{apiextensionsv1.KubeAPIApprovedAnnotation: "unapproved, a stand-in"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: pac.KueueGroup, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "workloads", Kind: "Workload", ListKind: "WorkloadList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1beta2", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: &preserve,
				}},
			}},
		},
	}
	_, err = client.ApiextensionsV1().CustomResourceDefinitions().Create(t.Context(), crd, metav1.CreateOptions{})
	fixture.Must(t, err)
	t.Cleanup(func() {
		if err := client.ApiextensionsV1().CustomResourceDefinitions().Delete(context.WithoutCancel(t.Context()), crd.Name,
			metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}
