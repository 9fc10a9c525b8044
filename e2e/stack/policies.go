package stack

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

// policyDeadline is how long the API server may take to put a policy into force, or out of it.
const policyDeadline = 30 * time.Second

const (
	executionOrder = "pipelinesascode.tekton.dev/execution-order"
	claim          = "pac-lease-queue.dev/claim"
)

// policiesSettled waits until the API server does what the chart's hold and guard say, or no longer does if they are gone: it
// learns of policies a moment after they are created or deleted, and a push in that moment would not be held. Nothing but a
// request tells.
func (s *Stack) policiesSettled(ctx context.Context) error {
	policies := s.kube.AdmissionregistrationV1()
	_, err := policies.MutatingAdmissionPolicies().Get(ctx, addonName+"-hold", metav1.GetOptions{})
	hold := err == nil
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	_, err = policies.ValidatingAdmissionPolicies().Get(ctx, addonName+"-guard", metav1.GetOptions{})
	guard := err == nil
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	pac, err := dynamic.NewForConfig(s.Config(PACControllerUser))
	if err != nil {
		return err
	}
	probe := func(ctx context.Context, annotation, value string) (*object, error) {
		run, err := parse(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: policy-check, namespace: default, annotations: {` + annotation + `: ` + value + `}}
spec: {status: PipelineRunPending, pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{name: s, image: i}]}}]}}
`)
		if err != nil {
			return nil, err
		}
		return pac.Resource(pipelineRunResource).Namespace("default").Create(ctx, run[0], metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	return until(ctx, "the policies of the chart", policyDeadline, func(ctx context.Context) error {
		created, err := probe(ctx, executionOrder, "default/policy-check")
		if err != nil {
			return err
		}
		if _, passed := created.GetAnnotations()[executionOrder]; passed == hold {
			return fmt.Errorf("an execution order passes: %t, the chart's hold is there: %t", passed, hold)
		}
		_, err = probe(ctx, claim, "0/1/0")
		if refused := apierrors.IsForbidden(err); refused != guard {
			return fmt.Errorf("a forged claim is refused: %t, the chart's guard is there: %t", refused, guard)
		}
		return nil
	})
}
