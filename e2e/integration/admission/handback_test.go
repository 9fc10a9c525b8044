package admission_test

import (
	"errors"
	"testing"

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

// T11: while queues are handed back, Pipelines-as-Code starts queued runs, those that its order
// lists and that have not been handed back included. No tenant does, and what decides about a run
// stays, as before.
func TestGuardOutlastsTheHold(t *testing.T) {
	needsCluster(t)
	key := queue.Key{Namespace: returned, Repository: "shop"}
	for name, change := range map[string]func(*tektonv1.PipelineRun){
		"held": func(*tektonv1.PipelineRun) {},
		"handed-back": func(run *tektonv1.PipelineRun) {
			run.Annotations[keys.ExecutionOrder] = run.Annotations[pac.HeldOrder]
			delete(run.Annotations, pac.HeldOrder)
		},
		"without-an-order": func(run *tektonv1.PipelineRun) { delete(run.Annotations, pac.HeldOrder) },
		"cancelled":        func(run *tektonv1.PipelineRun) { run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled },
	} {
		run := fixture.HeldRun(key, name, name)
		change(run)
		fixture.Must(t, clientsOf(t, thePAC()).CreateRun(t.Context(), returned, run))
	}
	patch := func(config *rest.Config, run, body string) error {
		_, err := clientsOf(t, config).Tekton.TektonV1().PipelineRuns(returned).
			Patch(t.Context(), run, types.MergePatchType, []byte(body), metav1.PatchOptions{DryRun: all})
		return err
	}
	eventually(t, "runs are guarded", func() error {
		if patch(tenant(), "held", annotate(pac.Claim, "0/1/0")) == nil {
			return errors.New("a tenant forges a claim")
		}
		return nil
	})
	startAsPAC := `{"metadata":{"annotations":{"` + keys.State + `":"started"},"labels":{"` + keys.State + `":"started"}},` +
		`"spec":{"status":""}}`
	for _, run := range []string{"held", "handed-back", "without-an-order"} {
		allowed(t, "the start of the run "+run+" by PAC", patch(thePAC(), run, startAsPAC))
		allowed(t, "the start of the run "+run+" by a break-glass group", patch(onCall(), run, start))
		for who, config := range map[string]*rest.Config{"a tenant": tenant(), "Tekton": theTekton()} {
			refused(t, "the start of the run "+run+" by "+who, patch(config, run, start), "It cannot be started by hand")
		}
		refused(t, "another Repository of the run "+run, patch(tenant(), run, annotate(keys.Repository, "x")),
			"counts against the limit of Repository shop")
		refused(t, "another place of the run "+run, patch(tenant(), run, annotate(keys.ExecutionOrder, returned+"/x")), "keeps its place")
	}
	refused(t, "the start of a cancelled run", patch(thePAC(), "cancelled", start), "stays cancelled")

	handBack := fixture.AsServiceAccount(cluster.Config(stack.Admin), returnedRelease, returnedRelease+"-pac-lease-queue-hand-back")
	allowed(t, "a hand-back", patch(handBack, "held",
		`{"metadata":{"annotations":{"`+keys.ExecutionOrder+`":"`+returned+`/held","`+pac.HeldOrder+`":null}}}`))
	refused(t, "other code, by the account that hands back", patch(handBack, "held", `{"spec":{"pipelineRef":{"name":"evil"}}}`),
		"this request changes pipelineRef")
}

// T11 and P3: as long as runs are held, the guard has copies lose the annotations of their
// original, which is the hold's work. Without the hold, a copy keeps them and runs, as if the
// product had never been there.
func TestCopyRunsWithoutTheHold(t *testing.T) {
	needsCluster(t)
	guardedRun(t, "original", func(*tektonv1.PipelineRun) {})
	create := func(config *rest.Config, run *tektonv1.PipelineRun, namespace string) error {
		_, err := clientsOf(t, config).Tekton.TektonV1().PipelineRuns(namespace).
			Create(t.Context(), run, metav1.CreateOptions{DryRun: all})
		return err
	}
	pending := started(guarded, "copied")
	pending.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	refused(t, "the claim of a copy", create(tenant(), pending, guarded), "only pac-lease-queue writes "+pac.Arrived)
	allowed(t, "a copy while queues are handed back", create(tenant(), started(returned, "copied"), returned))
	for who, config := range map[string]*rest.Config{"a tenant": tenant(), "PAC": thePAC()} {
		forged := newRun("forged", map[string]string{pac.Claim: "0/1/0"})
		if who == "PAC" {
			forged.Labels = map[string]string{managedBy: "pipelinesascode.tekton.dev"}
		}
		refused(t, "a claim on a run of "+who, create(config, forged, returned), "only pac-lease-queue writes "+pac.Claim)
	}
}
