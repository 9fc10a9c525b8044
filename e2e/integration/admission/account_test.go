package admission_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

func thePAC() *rest.Config { return fixture.AsPAC(cluster.Config(stack.Admin), stack.PACNamespace) }

// patch sends a merge patch to a run in the guarded namespace as a user; it is not persisted.
func dryPatch(t *testing.T, config *rest.Config, run, body string) error {
	t.Helper()
	_, err := clientsOf(t, config).Tekton.TektonV1().PipelineRuns(guarded).
		Patch(t.Context(), run, types.MergePatchType, []byte(body), metav1.PatchOptions{DryRun: all})
	return err
}

// T12: the token of a replica is good for what a replica does to runs, and for nothing else.
func TestOwnAccountLeavesTheRestOfRunsAlone(t *testing.T) {
	needsCluster(t)
	key := queue.Key{Namespace: guarded, Repository: "account"}
	fixture.Must(t, clientsOf(t, thePAC()).CreateRun(t.Context(), guarded, fixture.HeldRun(key, "account-1", "account-1")))
	running := fixture.HeldRun(key, "account-2", "account-2")
	running.Spec.Status = ""
	fixture.Must(t, clientsOf(t, thePAC()).CreateRun(t.Context(), guarded, running))
	fixture.Must(t, clientsOf(t, onCall()).CreateRun(t.Context(), guarded, newRun("account-3", nil)))
	eventually(t, "the account is guarded", func() error {
		err := dryPatch(t, theAddon(), "account-3", `{"spec":{"status":"Cancelled"}}`)
		if err == nil {
			return errors.New("the add-on cancels a run of its own making")
		}
		return nil
	})
	order := annotate(keys.ExecutionOrder, guarded+"/account-1")
	for _, c := range []struct{ what, run, body, says string }{
		{"another product's run is cancelled", "account-3", `{"spec":{"status":"Cancelled"}}`, "does not come from Pipelines-as-Code"},
		{"another product's run is annotated", "account-3", annotate(pac.Reason, "x"), "does not come from Pipelines-as-Code"},
		{"other code", "account-1", `{"spec":{"pipelineRef":{"name":"evil"}}}`, "this request changes pipelineRef"},
		{
			"another account", "account-1", `{"spec":{"status":null,"taskRunTemplate":{"serviceAccountName":"admin"}}}`,
			"this request changes taskRunTemplate",
		},
		{"a parameter gone", "account-1", `{"spec":{"pipelineRef":null}}`, "this request changes pipelineRef"},
		{"a label", "account-1", `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"tekton"}}}`, "changes labels"},
		{"PAC's annotations", "account-1", annotate(keys.Repository, "other"), "annotations " + keys.Repository},
		{"a finalizer", "account-1", `{"metadata":{"finalizers":["example.com/keep"]}}`, "finalizers"},
		{"a finally task", "account-1", `{"spec":{"status":"CancelledRunFinally"}}`, `from "PipelineRunPending" to "CancelledRunFinally"`},
		{"a pause", "account-2", `{"spec":{"status":"PipelineRunPending"}}`, `from "" to "PipelineRunPending"`},
	} {
		for who, config := range map[string]*rest.Config{"add-on": theAddon(), "hand-back": theHandBack()} {
			refused(t, c.what+", by the "+who, dryPatch(t, config, c.run, c.body), c.says)
		}
	}
	for _, c := range []struct{ what, run, body string }{
		{"a start", "account-1", `{"metadata":{"annotations":{"pac-lease-queue.dev/claim":"0/1/0"}},"spec":{"status":null}}`},
		{"a fence", "account-1", annotate(pac.Attempt, "1")},
		{"a stamp of a queued run", "account-1", annotate(pac.Arrived, "1234")},
		{"a stamp of a running run", "account-2", annotate(pac.Arrived, "<=1234")},
		{"the cancellation of a queued run", "account-1", `{"spec":{"status":"Cancelled"}}`},
		{"the cancellation of a running run", "account-2", `{"spec":{"status":"CancelledRunFinally"}}`},
		{"a hand-back", "account-1", order},
	} {
		allowed(t, c.what, dryPatch(t, theAddon(), c.run, c.body))
	}
	_, err := clientsOf(t, theAddon()).Tekton.TektonV1().PipelineRuns(guarded).
		Create(t.Context(), fixture.HeldRun(key, "account-4", "account-4"), metav1.CreateOptions{DryRun: all})
	refused(t, "a run of its own", err, "does not come from Pipelines-as-Code")
}

// T12: the token of a replica that serves the webhook is good for the caBundle, and for nothing
// else.
func TestOwnAccountLeavesItsWebhookAlone(t *testing.T) {
	needsCluster(t)
	replica := fixture.AsServiceAccount(cluster.Config(stack.Admin), addon.Namespace(), "pac-lease-queue")
	configurations := clientsOf(t, replica).Kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	patch := func(name, body string) error {
		_, err := configurations.Patch(t.Context(), name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{DryRun: all})
		return err
	}
	hook := func(field string) string { return `{"webhooks":[{"name":"hold.pac-lease-queue.dev",` + field + `}]}` }
	eventually(t, "the account is guarded", func() error {
		if patch(configurationName, hook(`"failurePolicy":"Ignore"`)) == nil {
			return errors.New("the add-on lets its webhook fail")
		}
		return nil
	})
	for what, body := range map[string]string{
		"other rules":     hook(`"rules":[{"apiGroups":["*"],"apiVersions":["*"],"resources":["*"],"operations":["*"]}]`),
		"no conditions":   hook(`"matchConditions":null`),
		"other places":    hook(`"namespaceSelector":null`),
		"another service": hook(`"clientConfig":{"service":{"name":"evil","namespace":"default"}}`),
		"another path":    hook(`"clientConfig":{"service":{"path":"/evil"}}`),
		"no webhook":      `{"webhooks":null}`,
		"another webhook": `{"webhooks":[{"name":"evil.example.com","clientConfig":{"url":"https://example.com"},"sideEffects":"None",` +
			`"admissionReviewVersions":["v1"]}]}`,
	} {
		refused(t, what, patch(configurationName, body), "changes nothing but the caBundle of its own webhooks")
	}
	is, err := configurations.Get(t.Context(), configurationName, metav1.GetOptions{})
	fixture.Must(t, err)
	bundle, err := json.Marshal(bytes.Repeat(is.Webhooks[0].ClientConfig.CABundle, 2))
	fixture.Must(t, err)
	allowed(t, "a caBundle", patch(configurationName, hook(`"clientConfig":{"caBundle":`+string(bundle)+`}`)))
	allowed(t, "no caBundle", patch(configurationName, hook(`"clientConfig":{"caBundle":null}`)))

	other := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "of-others"}}
	_, err = configurations.Create(t.Context(), other, metav1.CreateOptions{DryRun: all})
	refused(t, "another configuration", err, "changes nothing but the caBundle of its own webhooks")
}
