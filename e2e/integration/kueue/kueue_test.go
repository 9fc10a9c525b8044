//go:build kueue

package kueue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

const (
	limit, quota = 3, 2
	many, few    = 40, 12
	runTime      = "300ms"
	namespace    = "shop"

	kueueNamespace, kueueAccount = "tekton-kueue", "tekton-kueue-controller-manager"

	installDeadline = 2 * time.Minute
	runsDeadline    = 6 * time.Minute
)

var (
	cluster *stack.Stack
	program string
	running *process.Process // Kueue
)

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm | stack.Tekton | stack.Kwok}, prepare))
}

func prepare(ctx context.Context, s *stack.Stack) error {
	cluster = s
	for _, name := range []string{namespace, stack.PACNamespace, kueueNamespace} {
		if err := s.NewNamespace(ctx, name); err != nil {
			return err
		}
	}
	cache, err := build.CacheDir()
	if err != nil {
		return err
	}
	program = filepath.Join(cache, "kueue")
	_, err = kueueCommand(ctx, "build", "-trimpath", "-o", program, ".")
	return err
}

// kueueCommand runs go in the module that pins Kueue.
func kueueCommand(ctx context.Context, args ...string) (string, error) {
	root, err := build.Root()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = filepath.Join(root, "e2e", "stack", "components", "kueue"), append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// P10: both limits hold, no run is stopped and all finish, whichever of the two comes first; and
// each works on when the other one goes.
func TestBesideKueue(t *testing.T) {
	if cluster == nil {
		t.Skip("needs a real API server")
	}
	t.Cleanup(func() {
		if running != nil {
			_ = running.Kill()
		}
	})
	var uninstallKueue func(*testing.T)
	var addon *stack.Addon
	steps := []struct {
		name string
		play func(*testing.T)
	}{
		{"Kueue is first", func(t *testing.T) {
			uninstallKueue = installKueue(t)
			var err error
			addon, err = cluster.InstallAddon(t.Context(), stack.AddonOptions{Replicas: 2})
			fixture.Must(t, err)
			w := push(t, "kueue-first", many)
			w.allFinish(t)
			w.neverMoreThan(t, quota)
		}},
		{"Kueue is uninstalled", func(t *testing.T) {
			w := push(t, "kueue-gone", few)
			w.until(t, "some have finished", func(h standing) bool { return h.done >= 2 })
			uninstallKueue(t)
			w.allFinish(t)
			w.neverMoreThan(t, limit)
		}},
		{"Kueue is second", func(t *testing.T) {
			uninstallKueue = installKueue(t)
			w := push(t, "kueue-second", many)
			w.allFinish(t)
			w.neverMoreThan(t, quota)
		}},
		{"the add-on is uninstalled", func(t *testing.T) {
			w := push(t, "addon-gone", few)
			w.until(t, "some have finished", func(h standing) bool { return h.done >= 2 })
			fixture.Must(t, addon.Uninstall(t.Context()))
			w.allFinish(t)
			w.neverMoreThan(t, quota)
			uninstallKueue(t)
		}},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.play) {
			return
		}
	}
}

func clients(t *testing.T) fixture.Clients {
	t.Helper()
	c, err := fixture.NewClients(cluster.Config(stack.Admin))
	fixture.Must(t, err)
	return c
}

// installKueue installs Kueue with a quota, and returns what uninstalls it.
func installKueue(t *testing.T) func(*testing.T) {
	t.Helper()
	ctx, kube := t.Context(), clients(t).Kube
	installCRDs(t)
	account := metav1.ObjectMeta{Name: kueueAccount, Namespace: kueueNamespace}
	if err := createAccount(ctx, account); err != nil {
		t.Fatal(err)
	}
	config, err := cluster.ServiceAccountConfig(ctx, kueueNamespace, kueueAccount)
	fixture.Must(t, err)
	kubeconfig := filepath.Join(cluster.Dir(), "kueue.kubeconfig")
	fixture.Must(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"a": {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "a"}},
		CurrentContext: "x",
	}, kubeconfig))
	p := process.New(process.Spec{
		Name: "kueue", Path: program, Env: []string{"KUBECONFIG=" + kubeconfig}, Dir: cluster.Dir(), Logs: cluster.LogsDir(),
	})
	fixture.Must(t, p.Start(ctx))
	running = p
	createQuota(t)
	removeWebhook := fixture.KueueWebhook(t, kube, "tekton-kueue-mutating-webhook-configuration", namespace)
	tekton := clients(t).Tekton.TektonV1().PipelineRuns(namespace)
	fixture.Eventually(t, installDeadline, "Kueue labels runs", func() error {
		made, err := tekton.Create(ctx, run("probe", "probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && made.Labels[pac.QueueName] == "" && made.Annotations[pac.HeldQueueName] == "" {
			err = errors.New("no label")
		}
		return err
	})
	return func(t *testing.T) {
		t.Helper()
		removeWebhook(t)
		fixture.Must(t, p.Stop(t.Context()))
		removeCRDs(t)
	}
}

func createAccount(ctx context.Context, account metav1.ObjectMeta) error {
	kube := cluster.Kubernetes()
	_, err := kube.CoreV1().ServiceAccounts(kueueNamespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: account}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: kueueAccount},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: kueueAccount, Namespace: kueueNamespace}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// crds reads Kueue's custom resources from its module.
func crds(t *testing.T) []*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	dir, err := kueueCommand(t.Context(), "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kueue")
	fixture.Must(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "config", "components", "crd", "bases", "*.yaml"))
	fixture.Must(t, err)
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		text, err := os.ReadFile(file)
		fixture.Must(t, err)
		crd := &apiextensionsv1.CustomResourceDefinition{}
		fixture.Must(t, yaml.Unmarshal(text, crd))
		all = append(all, crd)
	}
	if len(all) == 0 {
		t.Fatalf("no custom resources in %s", dir)
	}
	return all
}

func installCRDs(t *testing.T) {
	t.Helper()
	client, err := apiextensions.NewForConfig(cluster.Config(stack.Admin))
	fixture.Must(t, err)
	definitions := client.ApiextensionsV1().CustomResourceDefinitions()
	for _, crd := range crds(t) {
		_, err := definitions.Create(t.Context(), crd, metav1.CreateOptions{})
		fixture.Must(t, err)
		fixture.Eventually(t, installDeadline, crd.Name+" is served", func() error {
			is, err := definitions.Get(t.Context(), crd.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, c := range is.Status.Conditions {
				if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
					return nil
				}
			}
			return errors.New("not yet")
		})
	}
}

// removeCRDs removes Kueue's API. What is left of it has finalizers that nothing removes any more.
func removeCRDs(t *testing.T) {
	t.Helper()
	client, err := apiextensions.NewForConfig(cluster.Config(stack.Admin))
	fixture.Must(t, err)
	for _, crd := range crds(t) {
		objects := dynamicClient(t).Resource(schema.GroupVersionResource{
			Group: crd.Spec.Group, Version: "v1beta2", Resource: crd.Spec.Names.Plural,
		})
		list, err := objects.List(t.Context(), metav1.ListOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		for i := 0; err == nil && i < len(list.Items); i++ {
			o := &list.Items[i]
			_, err := objects.Namespace(o.GetNamespace()).Patch(t.Context(), o.GetName(), types.MergePatchType,
				[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
		fixture.Must(t, client.ApiextensionsV1().CustomResourceDefinitions().Delete(t.Context(), crd.Name, metav1.DeleteOptions{}))
		fixture.Eventually(t, installDeadline, crd.Name+" is gone", func() error {
			_, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(t.Context(), crd.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(errors.New("still there"), err)
		})
	}
}

func dynamicClient(t *testing.T) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(cluster.Config(stack.Admin))
	fixture.Must(t, err)
	return client
}

// createQuota has Kueue admit a few runs at a time.
func createQuota(t *testing.T) {
	t.Helper()
	const resource = "tekton.dev/pipelineruns"
	for _, o := range []struct {
		resource, kind, namespace, name string
		spec                            map[string]any
	}{
		{"resourceflavors", "ResourceFlavor", "", "default-flavor", map[string]any{}},
		{"clusterqueues", "ClusterQueue", "", "pipelines", map[string]any{
			"namespaceSelector": map[string]any{}, "queueingStrategy": "BestEffortFIFO",
			"resourceGroups": []any{map[string]any{
				"coveredResources": []any{resource},
				"flavors": []any{map[string]any{
					"name": "default-flavor", "resources": []any{map[string]any{"name": resource, "nominalQuota": fmt.Sprint(quota)}},
				}},
			}},
		}},
		{"localqueues", "LocalQueue", namespace, fixture.DefaultKueueQueue, map[string]any{"clusterQueue": "pipelines"}},
	} {
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": pac.KueueGroup + "/v1beta2", "kind": o.kind, "metadata": map[string]any{"name": o.name}, "spec": o.spec,
		}}
		_, err := dynamicClient(t).Resource(schema.GroupVersionResource{Group: pac.KueueGroup, Version: "v1beta2", Resource: o.resource}).
			Namespace(o.namespace).Create(t.Context(), object, metav1.CreateOptions{})
		fixture.Must(t, err)
	}
}

// run is one of a Repository as PAC creates it: it has no order yet.
func run(repository, name string) *tektonv1.PipelineRun {
	pr := fixture.Run(queue.Key{Namespace: namespace, Repository: repository}, name)
	delete(pr.Annotations, keys.ExecutionOrder)
	pr.Annotations[stack.AnnotationDelay] = runTime
	pr.Spec = tektonv1.PipelineRunSpec{
		Status: tektonv1.PipelineRunSpecStatusPending,
		PipelineSpec: &tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{{
			Name: "task",
			TaskSpec: &tektonv1.EmbeddedTask{TaskSpec: tektonv1.TaskSpec{
				Steps: []tektonv1.Step{{Name: "step", Image: "busybox", Command: []string{"true"}}},
			}},
		}}},
	}
	return pr
}

// push creates runs of a Repository with a limit as PAC does, an event of ten at a time, and
// watches them.
func push(t *testing.T, repository string, n int) *watched {
	t.Helper()
	limit := limit
	fixture.Must(t, clients(t).CreateRepository(t.Context(), queue.Key{Namespace: namespace, Repository: repository}, &limit))
	w := watchRuns(t, repository, n)
	theirs, err := fixture.NewClients(fixture.AsPAC(cluster.Config(stack.Admin), stack.PACNamespace))
	fixture.Must(t, err)
	for first := 1; first <= n; first += 10 {
		var names, order []string
		for i := first; i < min(first+10, n+1); i++ {
			names = append(names, fmt.Sprintf("%s-%02d", repository, i))
			order = append(order, namespace+"/"+names[len(names)-1])
		}
		for _, name := range names {
			fixture.Must(t, theirs.CreateRun(t.Context(), namespace, run(repository, name)))
		}
		for _, name := range names {
			fixture.Must(t, theirs.AnnotateRun(t.Context(), namespace, name,
				map[string]string{keys.ExecutionOrder: strings.Join(order, ",")}))
		}
	}
	return w
}

// standing is how the runs stand after one event of the watch.
type standing struct {
	// running are not Pending and not done.
	running, done int
}

// watched are the runs of one Repository, by every event of a watch.
type watched struct {
	repository string
	want       int

	mu      sync.Mutex
	runs    map[string]*tektonv1.PipelineRun
	now     standing
	most    int
	stopped []string
	err     error
	changed chan struct{}
}

func watchRuns(t *testing.T, repository string, want int) *watched {
	t.Helper()
	w := &watched{repository: repository, want: want, runs: map[string]*tektonv1.PipelineRun{}, changed: make(chan struct{}, 1)}
	runs := clients(t).Tekton.TektonV1().PipelineRuns(namespace)
	options := metav1.ListOptions{LabelSelector: keys.Repository + "=" + repository}
	list, err := runs.List(t.Context(), options)
	fixture.Must(t, err)
	events, err := watchtools.NewRetryWatcherWithContext(t.Context(), list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = options.LabelSelector
			return runs.Watch(ctx, o)
		},
	})
	fixture.Must(t, err)
	t.Cleanup(events.Stop)
	go func() {
		for e := range events.ResultChan() {
			w.note(e)
		}
	}()
	return w
}

func (w *watched) note(e watch.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}()
	pr, ok := e.Object.(*tektonv1.PipelineRun)
	if !ok || e.Type == watch.Deleted {
		w.err = fmt.Errorf("the watch says %s: %v", e.Type, e.Object)
		return
	}
	w.runs[pr.Name] = pr
	w.now = standing{}
	for _, pr := range w.runs {
		switch {
		case pr.IsDone():
			w.now.done++
		case !pr.IsPending():
			w.now.running++
		}
	}
	w.most = max(w.most, w.now.running)
	if pr.IsCancelled() || pr.IsGracefullyCancelled() || pr.IsGracefullyStopped() {
		w.stopped = append(w.stopped, fmt.Sprintf("%s (%s)", pr.Name, pr.Spec.Status))
	}
}

func (w *watched) until(t *testing.T, what string, condition func(standing) bool) {
	t.Helper()
	deadline := time.After(runsDeadline)
	for {
		w.mu.Lock()
		now, err := w.now, w.err
		w.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if condition(now) {
			return
		}
		select {
		case <-w.changed:
		case <-deadline:
			t.Fatalf("%s: not within %s that %s: %+v of %d", w.repository, runsDeadline, what, now, w.want)
		}
	}
}

// allFinish fails the test unless all runs end well, and none was stopped.
func (w *watched) allFinish(t *testing.T) {
	t.Helper()
	w.until(t, "all have finished", func(h standing) bool { return h.done == w.want })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.stopped) > 0 {
		t.Errorf("%s: stopped: %s", w.repository, strings.Join(w.stopped, ", "))
	}
	for name, pr := range w.runs {
		if c := pr.Status.GetCondition(pac.Succeeded); !c.IsTrue() {
			t.Errorf("%s ended with %s: %s", name, c.Reason, c.Message)
		}
	}
}

// neverMoreThan fails the test if more runs ran at any moment; it wants some to have run at a time.
func (w *watched) neverMoreThan(t *testing.T, most int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.most > most || w.most < 2 {
		t.Errorf("%s: up to %d runs ran at a time, want %d", w.repository, w.most, most)
	}
}
