package plugin_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// dryRun has helm render the chart with a look at the cluster, and create nothing.
func dryRun(t *testing.T, verb, name, namespace string, values ...string) (string, error) {
	t.Helper()
	args := []string{verb, name, chartPath(t), "--namespace", namespace, "--dry-run=server"}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return site.Helm(t.Context(), args...)
}

// wantRefused fails the test unless helm refuses, with these words.
func wantRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("helm says %v, want a refusal with %q", err, w)
		}
	}
}

// T15: helm finds the namespace of Pipelines-as-Code, and refuses one in which it is not.
func TestPACIsFoundOrRefused(t *testing.T) {
	site.Needed(t)
	const openshift = "openshift-pipelines"
	render := func(values ...string) (string, error) {
		return dryRun(t, "upgrade", release, site.Addon.Namespace(), values...)
	}
	want := func(namespace string, values ...string) {
		t.Helper()
		out, err := render(values...)
		if err != nil || !strings.Contains(out, "pac-namespace: \""+namespace+"\"") ||
			!strings.Contains(out, "system:serviceaccounts:"+namespace) {
			t.Errorf("with %q, Pipelines-as-Code is not found in %s: %v", values, namespace, err)
		}
	}
	want(stack.PACNamespace)
	want(stack.PACNamespace, "pac.namespace="+stack.PACNamespace)
	_, err := render("pac.namespace=nowhere")
	wantRefused(t, err, "Pipelines-as-Code is not there", "It is in pipelines-as-code: leave pac.namespace empty.")
	if _, err := render("pac.namespace=nowhere", "handBack=true"); err != nil {
		t.Errorf("a hand-back is refused: %v", err)
	}

	fixture.Must(t, site.NewNamespace(t.Context(), openshift))
	settings := func(namespace string) func() {
		client, ctx := site.Kube.CoreV1().ConfigMaps(namespace), context.WithoutCancel(t.Context())
		if cm, err := client.Get(ctx, stack.PACNamespace, metav1.GetOptions{}); err == nil {
			fixture.Must(t, client.Delete(ctx, cm.Name, metav1.DeleteOptions{}))
			cm.ResourceVersion, cm.UID = "", ""
			return func() {
				_, err := client.Create(ctx, cm, metav1.CreateOptions{})
				fixture.Must(t, err)
			}
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: stack.PACNamespace}}
		_, err := client.Create(ctx, cm, metav1.CreateOptions{})
		fixture.Must(t, err)
		return func() { fixture.Must(t, client.Delete(ctx, cm.Name, metav1.DeleteOptions{})) }
	}
	remove := settings(openshift)
	_, err = render()
	wantRefused(t, err, "in both pipelines-as-code and openshift-pipelines", "Set pac.namespace")
	want(openshift, "pac.namespace="+openshift)
	restore := settings(stack.PACNamespace)
	defer restore()
	want(openshift)
	remove()
	_, err = render()
	wantRefused(t, err, "Pipelines-as-Code was not found", "Set pac.namespace")
}

// T9: a second release over namespaces of the first is refused, with what to do; beside it is fine.
func TestSecondReleaseIsRefused(t *testing.T) {
	site.Needed(t)
	_, err := dryRun(t, "install", "other", "other")
	wantRefused(t, err, "release pac-lease-queue in namespace pac-lease-queue already works on the queues of all namespaces",
		"helm upgrade pac-lease-queue ... --namespace pac-lease-queue", "different watchNamespaces")
	_, err = dryRun(t, "install", "other", "other", "watchNamespaces={shop,bank}")
	wantRefused(t, err, "already works on the queues of namespace shop, bank.")
	_, err = dryRun(t, "install", release, "other") // another release of the same name
	wantRefused(t, err, "release pac-lease-queue in namespace pac-lease-queue already works")
	_, err = dryRun(t, "install", "other", site.Addon.Namespace(), "watchNamespaces={shop,bank}")
	wantRefused(t, err, "release pac-lease-queue is already in namespace pac-lease-queue", "elect one leader for both",
		"helm upgrade pac-lease-queue ... --namespace pac-lease-queue")
	if _, err := dryRun(t, "upgrade", release, site.Addon.Namespace()); err != nil {
		t.Errorf("the release stands in its own way: %v", err)
	}

	// With named namespaces, only those count.
	for _, namespace := range []string{"team-a", "team-b"} {
		fixture.Must(t, site.NewNamespace(t.Context(), namespace))
	}
	// Another test has restored what it took away, so not every field is Helm's.
	_, err = site.Helm(t.Context(), "upgrade", release, chartPath(t), "--namespace", site.Addon.Namespace(), "--reset-then-reuse-values",
		"--force-conflicts", "--set", "watchNamespaces={team-a,team-b}")
	fixture.Must(t, err)
	defer func() {
		_, err := site.Helm(context.WithoutCancel(t.Context()), "rollback", release, "--namespace", site.Addon.Namespace())
		fixture.Must(t, err)
	}()
	_, err = dryRun(t, "install", "other", "other", "watchNamespaces={team-b,team-c}")
	wantRefused(t, err, "already works on the queues of namespace team-b.")
	_, err = dryRun(t, "install", "other", "other")
	wantRefused(t, err, "already works on the queues of namespace team-a, team-b.")
	if _, err := dryRun(t, "install", "other", "other", "watchNamespaces={team-c}"); err != nil {
		t.Errorf("a release beside the first is refused: %v", err)
	}
}

func chartPath(t *testing.T) string {
	t.Helper()
	root, err := build.Root()
	fixture.Must(t, err)
	return filepath.Join(root, "charts", release)
}
