package stack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
)

// policyDeadline bounds how long the API server takes to put a policy or webhook into force, or out
// of it.
const policyDeadline = 30 * time.Second

const (
	executionOrder = "pipelinesascode.tekton.dev/execution-order"
	claim          = "pac-lease-queue.dev/claim"
	heldOrder      = "pac-lease-queue.dev/execution-order"
	queueLabel     = "pac-lease-queue.dev/queue"
)

// policiesSettled waits until the API server enforces the chart's hold and guard if they exist, and
// no longer does if they are gone. It learns of a change a moment late, a push in that moment would
// not be held, and only requests show whether it has.
func (a *Addon) policiesSettled(ctx context.Context) error {
	s, policies := a.stack, a.stack.kube.AdmissionregistrationV1()
	exists := func(_ any, err error) (bool, error) {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	policy, err := exists(policies.MutatingAdmissionPolicies().Get(ctx, addonName+"-hold", metav1.GetOptions{}))
	if err != nil {
		return err
	}
	webhook, err := exists(policies.MutatingWebhookConfigurations().Get(ctx, addonName+"-hold", metav1.GetOptions{}))
	if err != nil {
		return err
	}
	if webhook && !slices.ContainsFunc(a.Replicas(), func(r *Replica) bool { return r.Running() }) {
		return nil // no replica serves it
	}
	guard, err := exists(policies.ValidatingAdmissionPolicies().Get(ctx, addonName+"-guard", metav1.GetOptions{}))
	if err != nil {
		return err
	}
	hold, namespace := policy || webhook, a.watchedNamespace()
	pac, err := dynamic.NewForConfig(s.Config(PACControllerUser))
	if err != nil {
		return err
	}
	probe := func(ctx context.Context, kind, name, value string) (*object, error) {
		run, err := manifests.Parse(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: policy-check, ` + kind + `: {` + name + `: ` + value + `}}
spec: {status: PipelineRunPending, pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{name: s, image: i}]}}]}}
`)
		if err != nil {
			return nil, err
		}
		return pac.Resource(pipelineRunResource).Namespace(namespace).
			Create(ctx, run[0], metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	return until(ctx, "the policies of the chart", policyDeadline, func(ctx context.Context) error {
		if a.env(config.EnvWithoutPAC) == "" {
			created, err := probe(ctx, "annotations", executionOrder, namespace+"/policy-check")
			if err != nil {
				return err
			}
			if _, passed := created.GetAnnotations()[executionOrder]; passed == hold {
				return fmt.Errorf("an execution order passes: %t, the chart's hold exists: %t", passed, hold)
			}
		} else {
			created, err := probe(ctx, "labels", queueLabel, "policy-check")
			if err != nil {
				return err
			}
			if _, held := created.GetAnnotations()[heldOrder]; held != hold {
				return fmt.Errorf("a labelled run is held: %t, the chart's hold exists: %t", held, hold)
			}
		}
		_, err = probe(ctx, "annotations", claim, "0/1/0")
		if refused := apierrors.IsForbidden(err); refused != guard {
			return fmt.Errorf("a forged claim is refused: %t, the chart's guard exists: %t", refused, guard)
		}
		return nil
	})
}

// watchedNamespace returns a namespace in which hold and guard apply.
func (a *Addon) watchedNamespace() string {
	if first, _, _ := strings.Cut(a.env(config.EnvWatched), ","); first != "" {
		return first
	}
	return metav1.NamespaceDefault
}

// env is an environment variable of the replicas.
func (a *Addon) env(name string) string {
	if a.deployment != nil {
		for _, variable := range a.deployment.Spec.Template.Spec.Containers[0].Env {
			if variable.Name == name {
				return variable.Value
			}
		}
	}
	return ""
}
