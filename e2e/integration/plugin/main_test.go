// Package plugin_test has the command-line plugin look at a real API server with the
// add-on installed by its chart, and at ten prepared faults. The runs are played by
// the tests, as Pipelines-as-Code would leave them.
package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// deadline is how long anything may take.
const deadline = 60 * time.Second

// claimTTL is short: one fault waits for a claim to expire.
const claimTTL = "2s"

var (
	cluster *stack.Stack
	addon   *stack.Addon
	tekton  tektonclient.Interface
	paas    pacclient.Interface
)

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm}, prepare))
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	cluster = s
	if tekton, err = tektonclient.NewForConfig(s.Config(stack.Admin)); err != nil {
		return err
	}
	if paas, err = pacclient.NewForConfig(s.Config(stack.Admin)); err != nil {
		return err
	}
	addon, err = s.InstallAddon(ctx, stack.AddonOptions{Replicas: 1, Values: []string{
		"concurrency.claimTTL=" + claimTTL, "concurrency.takeoverAfter=1s", "concurrency.backoffBase=1s", "concurrency.backoffMax=30s",
	}})
	return err
}

// newQueue makes a Repository in a namespace of its own.
func newQueue(t *testing.T, namespace string, limit int) {
	t.Helper()
	if cluster == nil {
		t.Skip("runs on a real API server")
	}
	must(t, cluster.NewNamespace(t.Context(), namespace))
	_, err := paas.PipelinesascodeV1alpha1().Repositories(namespace).Create(t.Context(), &pacv1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Spec:       pacv1alpha1.RepositorySpec{URL: "https://git.example.com/" + namespace, ConcurrencyLimit: &limit},
	}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { // nobody collects garbage here: other tests are to find a healthy cluster
		ctx := context.WithoutCancel(t.Context())
		must(t, tekton.TektonV1().PipelineRuns(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
		must(t, paas.PipelinesascodeV1alpha1().Repositories(namespace).Delete(ctx, "shop", metav1.DeleteOptions{}))
		must(t, cluster.Kubernetes().CoordinationV1().Leases(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	})
}

// push makes the runs of one event as PAC leaves them.
func push(t *testing.T, namespace string, names ...string) {
	t.Helper()
	var order []string
	for _, name := range names {
		order = append(order, namespace+"/"+name)
	}
	for _, name := range names {
		_, err := tekton.TektonV1().PipelineRuns(namespace).Create(t.Context(), &tektonv1.PipelineRun{
			ObjectMeta: metav1.ObjectMeta{
				Name:        name,
				Labels:      map[string]string{"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev", keys.Repository: "shop", keys.State: "queued"},
				Annotations: map[string]string{keys.Repository: "shop", keys.State: "queued", keys.ExecutionOrder: strings.Join(order, ",")},
			},
			Spec: tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{Name: "build"}, Status: tektonv1.PipelineRunSpecStatusPending},
		}, metav1.CreateOptions{})
		must(t, err)
	}
}

// started waits until a run is.
func started(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, name+" is started", func() error {
		pr, err := tekton.TektonV1().PipelineRuns(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && pr.IsPending() {
			err = errors.New("it is pending")
		}
		return err
	})
}

// command runs the plugin as a user.
func command(t *testing.T, as stack.User, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c := cli.Command("kubectl pac-queue")
	if args[0] != cobra.ShellCompRequestCmd { // whose last argument is what is to be completed
		args = append(args, "--kubeconfig", cluster.Kubeconfig(as))
	}
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&errs)
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually asks again and again, for what no watch tells of.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(t.Context()), deadline, fmt.Errorf("not within %s: %s", deadline, what))
	defer cancel()
	must(t, await.Until(ctx, 100*time.Millisecond, check))
}
