package stack

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

// policyDeadline is how long the API server may take to put a policy into force, or out of it.
const policyDeadline = 30 * time.Second

const executionOrder = "pipelinesascode.tekton.dev/execution-order"

// holdSettled waits until the API server does with an execution order what the chart's hold policy says, if it is there: the
// API server learns of policies a moment after they are created, and a push in that moment would not be held.
func (s *Stack) holdSettled(ctx context.Context) error {
	_, err := s.kube.AdmissionregistrationV1().MutatingAdmissionPolicies().Get(ctx, addonName+"-hold", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	wanted := err == nil
	pac, err := dynamic.NewForConfig(s.Config(PACControllerUser))
	if err != nil {
		return err
	}
	run, err := parse(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: hold-check, namespace: default, annotations: {` + executionOrder + `: default/hold-check}}
spec: {status: PipelineRunPending, pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{name: s, image: i}]}}]}}
`)
	if err != nil {
		return err
	}
	return until(ctx, "the hold policy", policyDeadline, func(ctx context.Context) error {
		created, err := pac.Resource(pipelineRunResource).Namespace("default").
			Create(ctx, run[0], metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		_, there := created.GetAnnotations()[executionOrder]
		switch {
		case wanted && there:
			return errors.New("an execution order still passes")
		case !wanted && !there:
			return errors.New("an execution order is still held")
		}
		return nil
	})
}
