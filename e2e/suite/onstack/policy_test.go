package onstack_test

import (
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// policy has the API server refuse updates of PipelineRuns in the scene's
// namespace for which when is true and rule is not. It returns once that is in
// force, which the API server tells nobody: refusing a probe shows it.
func (s *scene) policy(name, when, rule string) {
	s.Helper()
	name = s.Key.Namespace + "-" + name
	client := s.Kube.AdmissionregistrationV1()
	match := []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Update, admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{"tekton.dev"}, APIVersions: []string{"v1"}, Resources: []string{"pipelineruns"}},
	}}}
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
				{Expression: fmt.Sprintf("request.operation == 'CREATE' ? object.metadata.name != %q : (!(%s) || (%s))", probePolicy, when, rule), Message: "refused by the scenario"},
			},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	_, err = client.ValidatingAdmissionPolicyBindings().Create(s.ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() { s.lift(name) })
	s.eventually("policy "+name+" is in force", suite.StepDeadline, func() error {
		_, err := s.Tekton.TektonV1().PipelineRuns(s.Key.Namespace).Create(s.ctx, probeRun(probePolicy), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return fmt.Errorf("the probe was accepted")
		}
		return nil
	})
}

// probePolicy is the name of a run that every policy of a scenario refuses.
const probePolicy = "policy-probe"

// lift removes a policy at the end of a scenario.
func (s *scene) lift(name string) {
	client := s.Kube.AdmissionregistrationV1()
	_ = client.ValidatingAdmissionPolicyBindings().Delete(s.background(), name, metav1.DeleteOptions{})
	_ = client.ValidatingAdmissionPolicies().Delete(s.background(), name, metav1.DeleteOptions{})
}

// probeRun is a minimal run for requests that are not to be carried out.
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
