// Package plugin_test runs the command-line plugin against a real API server with the add-on
// installed by its chart, and against ten prepared faults. The tests create runs as
// Pipelines-as-Code does.
package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// deadline bounds every wait.
const deadline = 60 * time.Second

// claimTTL is short, because one fault waits for a claim to expire.
const claimTTL = "2s"

var (
	cluster *stack.Stack
	addon   *stack.Addon
	clients fixture.Clients
	pacs    fixture.Clients // of the controller of Pipelines-as-Code
)

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm}, prepare))
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	cluster = s
	if clients, err = fixture.NewClients(s.Config(stack.Admin)); err != nil {
		return err
	}
	if pacs, err = fixture.NewClients(fixture.AsPAC(s.Config(stack.Admin), stack.PACNamespace)); err != nil {
		return err
	}
	addon, err = s.InstallAddon(ctx, stack.AddonOptions{Replicas: 1, Values: []string{
		"concurrency.claimTTL=" + claimTTL, "concurrency.takeoverAfter=1s", "concurrency.backoffBase=1s", "concurrency.backoffMax=30s",
		"admission.guard.breakGlassGroups={system:masters}", // damages slots, and restores them
		"metrics.secure.enabled=true",                       // has rights of its own
	}})
	return err
}

func needsCluster(t *testing.T) {
	t.Helper()
	if cluster == nil {
		t.Skip("needs a real API server")
	}
}

// newQueue creates a Repository named shop, in a namespace of its own.
func newQueue(t *testing.T, namespace string, limit int) {
	t.Helper()
	needsCluster(t)
	key := queue.Key{Namespace: namespace, Repository: "shop"}
	fixture.Must(t, cluster.NewNamespace(t.Context(), namespace))
	fixture.Must(t, clients.CreateRepository(t.Context(), key, &limit))
	t.Cleanup(func() { // no garbage collector runs here, and later tests need a healthy cluster
		ctx, all := context.WithoutCancel(t.Context()), metav1.ListOptions{}
		fixture.Must(t, clients.Tekton.TektonV1().PipelineRuns(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, all))
		fixture.Must(t, clients.PAC.PipelinesascodeV1alpha1().Repositories(namespace).Delete(ctx, "shop", metav1.DeleteOptions{}))
		fixture.Must(t, clients.Kube.CoordinationV1().Leases(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, all))
	})
}

// push creates the runs of one event as PAC does; the installed hold moves their orders.
func push(t *testing.T, namespace string, names ...string) {
	t.Helper()
	for _, name := range names {
		run := fixture.Run(queue.Key{Namespace: namespace, Repository: "shop"}, name, names...)
		fixture.Must(t, pacs.CreateRun(t.Context(), namespace, run))
	}
}

// waitStarted waits until a run is started.
func waitStarted(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, name+" is started", func() error {
		pr, err := clients.Tekton.TektonV1().PipelineRuns(namespace).Get(t.Context(), name, metav1.GetOptions{})
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
	if args[0] != cobra.ShellCompRequestCmd { // its last argument must stay the word to complete
		args = append(args, "--kubeconfig", cluster.Kubeconfig(as))
	}
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&errs)
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	fixture.Eventually(t, deadline, what, check)
}
