package onstack_test

import (
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// policy makes the API server refuse updates of PipelineRuns in the scene's namespace for which
// when is true and rule is false, both CEL expressions. It returns once the policy is in force. The
// API server does not report that, but it refuses a probe from then on.
func (s *scene) policy(name, when, rule string) {
	s.Helper()
	name = s.Key.Namespace + "-" + name
	client := s.Kube.AdmissionregistrationV1()
	match := []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Update, admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{"tekton.dev"}, APIVersions: []string{"v1"}, Resources: []string{"pipelineruns"}},
	}}}
	expression := fmt.Sprintf("request.operation == 'CREATE' ? object.metadata.name != %q : (!(%s) || (%s))", probePolicy, when, rule)
	fail := admissionv1.Fail
	_, err := client.ValidatingAdmissionPolicies().Create(s.ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: match},
			MatchConditions: []admissionv1.MatchCondition{
				{Name: "here", Expression: fmt.Sprintf("object.metadata.namespace == %q", s.Key.Namespace)},
			},
			Validations: []admissionv1.Validation{
				{Expression: expression, Message: "refused by the scenario"},
			},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	_, err = client.ValidatingAdmissionPolicyBindings().Create(s.ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() { s.lift(name) })
	s.eventually("policy "+name+" to be in force", suite.StepDeadline, func() error {
		_, err := s.Tekton.TektonV1().PipelineRuns(s.Key.Namespace).
			Create(s.ctx, probeRun(probePolicy), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return fmt.Errorf("the probe was accepted")
		}
		return nil
	})
}

// probePolicy is the name of the probe, which every policy refuses.
const probePolicy = "policy-probe"

// Conditions for policies, in CEL.
var (
	withHeldOrder = withAnnotation(pac.HeldOrder)
	wasPending    = `oldObject.?spec.?status.orValue('') == 'PipelineRunPending'`
)

func withAnnotation(key string) string {
	return fmt.Sprintf("has(object.metadata.annotations) && '%s' in object.metadata.annotations", key)
}

// lift removes a policy.
func (s *scene) lift(name string) {
	client := s.Kube.AdmissionregistrationV1()
	_ = client.ValidatingAdmissionPolicyBindings().Delete(s.background(), name, metav1.DeleteOptions{})
	_ = client.ValidatingAdmissionPolicies().Delete(s.background(), name, metav1.DeleteOptions{})
}

// probeRun returns a minimal run for dry-run requests.
func probeRun(name string) *tektonv1.PipelineRun {
	return &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: tektonv1.PipelineRunSpec{
			Status:      tektonv1.PipelineRunSpecStatusPending,
			PipelineRef: &tektonv1.PipelineRef{Name: "none"},
			Timeouts:    &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: time.Hour}},
		},
	}
}
