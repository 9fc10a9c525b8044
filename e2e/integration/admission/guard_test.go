package admission_test

import (
	"errors"
	"testing"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

func theTekton() *rest.Config { return cluster.Config(stack.TektonControllerUser) }

// guardedRun creates a run in the guarded namespace, as PAC does, and returns once runs are guarded
// there.
func guardedRun(t *testing.T, name string, change func(*tektonv1.PipelineRun)) {
	t.Helper()
	needsCluster(t)
	run := fixture.HeldRun(queue.Key{Namespace: guarded, Repository: "shop"}, name, name)
	run.Annotations[keys.ControllerInfo] = `{"gRepo":"global"}`
	run.Annotations[keys.OriginalPRName], run.Annotations[keys.SourceBranch] = "build", "main"
	change(run)
	fixture.Must(t, clientsOf(t, thePAC()).CreateRun(t.Context(), guarded, run))
	eventually(t, "runs are guarded", func() error {
		if dryPatch(t, tenant(), name, annotate(pac.Claim, "0/1/0")) == nil {
			return errors.New("a tenant forges a claim")
		}
		return nil
	})
}

func remove(key string) string {
	return `{"metadata":{"annotations":{"` + key + `":null}}}`
}

func label(key, value string) string {
	return `{"metadata":{"labels":{"` + key + `":` + value + `}}}`
}

const start = `{"spec":{"status":null}}`

// T8: a queued run cannot be started by hand before it has its order, nor after its order never
// came.
func TestRunWithoutAnOrderIsNotStartedByHand(t *testing.T) {
	guardedRun(t, "orderless", func(run *tektonv1.PipelineRun) { delete(run.Annotations, pac.HeldOrder) })
	for who, config := range map[string]*rest.Config{"a tenant": tenant(), "PAC": thePAC(), "Tekton": theTekton()} {
		refused(t, "a start by "+who, dryPatch(t, config, "orderless", start),
			"PipelineRun guarded/orderless is queued by pac-lease-queue for Repository shop and waits for Pipelines-as-Code to give "+
				"it its place. If the Repository has a limit, it starts by itself when a slot is free. It cannot be started by hand: "+
				"wait, cancel it or delete it, or ask a member of on-call")
	}
	refused(t, "a place of a tenant's choice", dryPatch(t, tenant(), "orderless", annotate(pac.HeldOrder, guarded+"/orderless")),
		"keeps its place")
	allowed(t, "a start by the add-on", dryPatch(t, theAddon(), "orderless", start))
	allowed(t, "a start by a break-glass group", dryPatch(t, onCall(), "orderless", start))
	allowed(t, "PAC's order", dryPatch(t, thePAC(), "orderless", annotate(keys.ExecutionOrder, guarded+"/orderless")))
	allowed(t, "a cancellation", dryPatch(t, tenant(), "orderless", cancelled))

	fixture.Must(t, clientsOf(t, tenant()).PatchRun(t.Context(), guarded, "orderless",
		map[string]any{"spec": map[string]any{"status": "Cancelled"}}))
	refused(t, "a start once it is cancelled", dryPatch(t, tenant(), "orderless", start), "stays cancelled")
}

const cancelled = `{"spec":{"status":"Cancelled"}}`

// T7: what decides about a run stays until it is done, whether it waits or runs.
func TestWhatDecidesAboutARunStays(t *testing.T) {
	guardedRun(t, "waits", func(*tektonv1.PipelineRun) {})
	guardedRun(t, "runs", func(run *tektonv1.PipelineRun) { run.Spec.Status = "" })
	managed := `"tekton"`
	for what, body := range map[string]string{
		"another Repository":        annotate(keys.Repository, "x"),
		"no Repository":             remove(keys.Repository),
		"another Repository label":  label(keys.Repository, `"x"`),
		"no Repository label":       label(keys.Repository, "null"),
		"another global Repository": annotate(keys.ControllerInfo, `{"gRepo":"x"}`),
		"no global Repository":      remove(keys.ControllerInfo),
		"another manager":           label(managedBy, managed),
		"no manager":                label(managedBy, "null"),
		"another definition":        annotate(keys.OriginalPRName, "x"),
		"another branch":            annotate(keys.SourceBranch, "x"),
		"the label of a finished":   label(keys.State, `"completed"`),
		"the state of a failed":     annotate(keys.State, "failed"),
	} {
		for _, run := range []string{"waits", "runs"} {
			refused(t, what+" of a run that "+run, dryPatch(t, tenant(), run, body),
				"PipelineRun guarded/"+run+" counts against the limit of Repository shop until it is done, and until then it keeps ")
			allowed(t, what+" of a run that "+run+", by PAC", dryPatch(t, thePAC(), run, body))
			allowed(t, what+" of a run that "+run+", by a break-glass group", dryPatch(t, onCall(), run, body))
		}
	}
	// Pipelines-as-Code and Tekton write these, and Tekton writes them back.
	for _, body := range []string{
		annotate(keys.SecretCreated, "true"), annotate(keys.CheckRunID, "1"), annotate(keys.GitProvider, "x"), annotate("other", "x"),
		annotate(keys.State, "started"), label(keys.State, `"started"`), label("tekton.dev/pipeline", `"x"`),
	} {
		for _, run := range []string{"waits", "runs"} {
			allowed(t, body+" by Tekton on a run that "+run, dryPatch(t, theTekton(), run, body))
		}
	}
	for _, run := range []string{"waits", "runs"} {
		refused(t, "a stamp on a run that "+run, dryPatch(t, tenant(), run, annotate(pac.Arrived, "1")),
			"only pac-lease-queue writes "+pac.Arrived)
	}
	guardedRun(t, "unlabelled", func(run *tektonv1.PipelineRun) { delete(run.Labels, keys.Repository) })
	allowed(t, "the Repository label of a run that lacks it", dryPatch(t, tenant(), "unlabelled", label(keys.Repository, `"shop"`)))
	more := annotate(keys.CancelInProgress, "true")
	refused(t, "cancel-in-progress on a run that waits", dryPatch(t, tenant(), "waits", more), keys.CancelInProgress)
	allowed(t, "what a Pipeline has besides, on a run that runs", dryPatch(t, theTekton(), "runs", more))

	fixture.Must(t, clientsOf(t, theTekton()).FinishRun(t.Context(), guarded, "runs"))
	for _, body := range []string{
		annotate(keys.Repository, "x"), remove(keys.Repository), label(managedBy, "null"), label(keys.State, `"failed"`),
		annotate(pac.Claim, "9/9/9"), annotate(pac.HeldOrder, "x"), remove(pac.HeldOrder),
	} {
		allowed(t, body+" on a run that is done", dryPatch(t, tenant(), "runs", body))
	}
}

// A run of another making cannot enter a queue while it runs, beside the limit.
func TestOtherRunsDoNotBecomePACs(t *testing.T) {
	guardedRun(t, "guards", func(*tektonv1.PipelineRun) {})
	runs := clientsOf(t, tenant()).Tekton.TektonV1().PipelineRuns(guarded)
	foreign := newRun("foreign", map[string]string{keys.Repository: "shop"})
	foreign.Spec.Status = ""
	_, err := runs.Create(t.Context(), foreign, metav1.CreateOptions{})
	fixture.Must(t, err)
	refused(t, "the label of PAC's runs", dryPatch(t, tenant(), "foreign", label(managedBy, `"pipelinesascode.tekton.dev"`)),
		"was not made by Pipelines-as-Code, and cannot be made one of its runs")
	allowed(t, "another Repository of another product's run", dryPatch(t, tenant(), "foreign", annotate(keys.Repository, "x")))

	homeless := fixture.HeldRun(queue.Key{Namespace: guarded, Repository: ""}, "homeless", "homeless")
	homeless.Annotations, homeless.Spec.Status = nil, ""
	_, err = runs.Create(t.Context(), homeless, metav1.CreateOptions{})
	fixture.Must(t, err)
	refused(t, "a Repository for a run that has none", dryPatch(t, tenant(), "homeless", annotate(keys.Repository, "shop")),
		"until it is done")

	beside := fixture.HeldRun(queue.Key{Namespace: guarded, Repository: "shop"}, "beside", "beside")
	beside.Spec.Status = ""
	_, err = runs.Create(t.Context(), beside, metav1.CreateOptions{DryRun: all})
	refused(t, "a run beside the queue", err, "would run beside the queue of Repository shop. Try again in a moment")
}
