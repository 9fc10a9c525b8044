// Package admission_test runs the chart's two holds side by side on a real API server, each in a
// namespace of its own. Both must change a PipelineRun in the same way, the webhook must keep
// working whatever happens to its replicas and certificates, and a benchmark measures the cost of
// both.
package admission_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

const (
	byPolicy  = "held-by-policy"
	byWebhook = "held-by-webhook"
	unheld    = "not-held"

	deadline = 30 * time.Second
)

var (
	cluster *stack.Stack
	addon   *stack.Addon
	tekton  tektonclient.Interface
)

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm}, prepare))
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	cluster = s
	// PAC's namespace must exist, because the chart grants rights in it.
	for _, namespace := range []string{byPolicy, byWebhook, unheld, stack.PACNamespace} {
		if err := s.NewNamespace(ctx, namespace); err != nil {
			return err
		}
	}
	if tekton, err = tektonclient.NewForConfig(s.Config(stack.Admin)); err != nil {
		return err
	}
	if err := createPolicy(ctx, s); err != nil {
		return err
	}
	benchmarking := flag.Lookup("test.bench").Value.String() != "" // the race detector would distort the figures
	addon, err = s.InstallAddon(ctx, stack.AddonOptions{Replicas: 2, Race: !benchmarking, Values: []string{
		"admission.hold=webhook", "admission.guard.enabled=false", "watchNamespaces={" + byWebhook + "}",
	}})
	return err
}

// createPolicy creates the chart's objects for admission.hold=policy, as those of another release.
func createPolicy(ctx context.Context, s *stack.Stack) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	rendered, err := s.Helm(ctx, "template", "other", filepath.Join(root, "charts", "pac-lease-queue"),
		"--show-only", "templates/hold.yaml", "--set", "admission.hold=policy,watchNamespaces={"+byPolicy+"}",
		"--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")
	if err != nil {
		return err
	}
	var (
		policy  admissionregistrationv1.MutatingAdmissionPolicy
		binding admissionregistrationv1.MutatingAdmissionPolicyBinding
		client  = s.Kubernetes().AdmissionregistrationV1()
	)
	documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(rendered), len(rendered))
	if err := documents.Decode(&policy); err != nil {
		return err
	}
	if err := documents.Decode(&binding); err != nil {
		return err
	}
	if _, err := client.MutatingAdmissionPolicies().Create(ctx, &policy, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := client.MutatingAdmissionPolicyBindings().Create(ctx, &binding, metav1.CreateOptions{}); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, deadline, true, func(ctx context.Context) (bool, error) {
		written, err := create(ctx, byPolicy, newRun("probe", map[string]string{keys.ExecutionOrder: "ns/a"}), metav1.DryRunAll)
		if err != nil && strings.Contains(err.Error(), "There can be a delay") {
			return false, nil // the API server looks for new kinds that policies match every five seconds
		}
		return err == nil && written.Annotations[keys.ExecutionOrder] == "", err
	})
}

func newRun(name string, annotations map[string]string) *tektonv1.PipelineRun {
	return &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: tektonv1.PipelineRunSpec{
			Status:      tektonv1.PipelineRunSpecStatusPending,
			PipelineRef: &tektonv1.PipelineRef{Name: "none"},
		},
	}
}

func create(ctx context.Context, namespace string, run *tektonv1.PipelineRun, dryRun ...string) (*tektonv1.PipelineRun, error) {
	return tekton.TektonV1().PipelineRuns(namespace).Create(ctx, run, metav1.CreateOptions{DryRun: dryRun})
}
