// Package admission_test runs the chart's two holds side by side on a real API server, each in a
// namespace of its own. Both must change a PipelineRun in the same way, the webhook must keep
// working whatever happens to its replicas and certificates, and a benchmark measures the cost of
// both.
package admission_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

const (
	byPolicy  = "held-by-policy"
	byWebhook = "held-by-webhook"
	unheld    = "not-held"
	guarded   = "guarded"  // by the policies of the release below, and not held
	returned  = "returned" // to Pipelines-as-Code, by the other release below

	guardedRelease  = "guard"
	returnedRelease = "return"

	deadline = 30 * time.Second
)

var (
	cluster *stack.Stack
	addon   *stack.Addon
	tekton  tektonclient.Interface
)

// versions are those of the stack.
var versions build.Versions

func init() { versions.AddFlags(flag.CommandLine) }

// held are the namespaces with a hold. Before Kubernetes 1.36, byPolicy is not among them.
var held = []string{byWebhook}

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm, Versions: versions}, prepare))
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	cluster = s
	// PAC's namespace must exist, because the chart grants rights in it.
	for _, namespace := range []string{byPolicy, byWebhook, unheld, guarded, returned, stack.PACNamespace} {
		if err := s.NewNamespace(ctx, namespace); err != nil {
			return err
		}
	}
	if tekton, err = tektonclient.NewForConfig(s.Config(stack.Admin)); err != nil {
		return err
	}
	served, err := s.Kubernetes().Discovery().ServerResourcesForGroupVersion(admissionregistrationv1.SchemeGroupVersion.String())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Kind == "MutatingAdmissionPolicy" }) {
		held = append(held, byPolicy)
		if err := install(ctx, s, "other", []string{"hold"}, "admission.hold=policy", "watchNamespaces={"+byPolicy+"}"); err != nil {
			return err
		}
	}
	err = install(ctx, s, guardedRelease, []string{"guard", "guard-held", "guard-leases", "guard-account"},
		"admission.hold=webhook", "watchNamespaces={"+guarded+"}", "admission.guard.breakGlassGroups={on-call}")
	if err != nil {
		return err
	}
	err = install(ctx, s, returnedRelease, []string{"guard", "guard-leases", "guard-account"},
		"handBack=true", "watchNamespaces={"+returned+"}", "admission.guard.breakGlassGroups={on-call}")
	if err != nil {
		return err
	}
	if slices.Contains(held, byPolicy) {
		if err := enforced(ctx); err != nil {
			return err
		}
	}
	benchmarking := flag.Lookup("test.bench").Value.String() != "" // the race detector would distort the figures
	addon, err = s.InstallAddon(ctx, stack.AddonOptions{Replicas: 2, Race: !benchmarking, Values: []string{
		"admission.hold=webhook", "watchNamespaces={" + byWebhook + "}",
		"admission.guard.breakGlassGroups={system:masters}", // leaves the hold alone to judge, and the add-on's own account
	}})
	return err
}

// install creates the chart's policies of another release. They are enforced some time later.
func install(ctx context.Context, s *stack.Stack, release string, templates []string, values ...string) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	args := []string{
		"template", release, filepath.Join(root, "charts", "pac-lease-queue"), "--namespace", release,
		"--set", strings.Join(values, ","), "--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
	}
	for _, t := range templates {
		args = append(args, "--show-only", "templates/"+t+".yaml")
	}
	rendered, err := s.Helm(ctx, args...)
	if err != nil {
		return err
	}
	client := s.Kubernetes().AdmissionregistrationV1()
	documents := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(rendered)))
	defer documents.Close()
	buffer := make([]byte, len(rendered))
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(buffer[:n], nil, nil)
		if err != nil {
			return err
		}
		switch o := object.(type) {
		case *admissionregistrationv1.MutatingAdmissionPolicy:
			_, err = client.MutatingAdmissionPolicies().Create(ctx, o, metav1.CreateOptions{})
		case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
			_, err = client.MutatingAdmissionPolicyBindings().Create(ctx, o, metav1.CreateOptions{})
		case *admissionregistrationv1.ValidatingAdmissionPolicy:
			_, err = client.ValidatingAdmissionPolicies().Create(ctx, o, metav1.CreateOptions{})
		case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
			_, err = client.ValidatingAdmissionPolicyBindings().Create(ctx, o, metav1.CreateOptions{})
		default:
			err = fmt.Errorf("%T is no policy", object)
		}
		if err != nil {
			return err
		}
	}
}

// enforced waits until the hold by policy is in force.
func enforced(ctx context.Context) error {
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
