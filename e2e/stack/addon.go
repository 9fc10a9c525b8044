package stack

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// addonName is the name of the add-on's release, namespace, Deployment and program.
const addonName = "pac-lease-queue"

// AddonOptions choose how the add-on is installed.
type AddonOptions struct {
	// Replicas is how many run; zero means as many as the chart says.
	Replicas int
	// Values are chart values, each as helm's --set takes them: "admission.guard.enabled=false".
	Values []string
	// Namespace to install into; empty means pac-lease-queue.
	Namespace string
	// Binary is the program to run. Empty means that it is built from the sources, with Tags and Race.
	Binary string
	Tags   []string
	Race   bool
	// Env is given to every replica in addition to what the Deployment says. Replica.SetEnv changes it for one.
	Env []string
	// Via says where a replica finds the API server, if not at the API server's own address: at a proxy on 127.0.0.1, which is what
	// the certificate is for. Addresses are host:port. It is asked for each replica whenever that is set up, by index.
	Via func(replica int, apiServer string) (string, error)
}

// Addon is the add-on, installed by its Helm chart. Its Deployment starts no pods here; what the pods would run, runs as
// processes, with what the Deployment says and the rights that the chart gives its ServiceAccount.
type Addon struct {
	stack      *Stack
	opts       AddonOptions
	binary     string
	deployment *appsv1.Deployment
	upgrades   [][]string // the values before each upgrade

	mu       sync.Mutex
	replicas []*Replica
}

// InstallAddon installs the add-on and returns when all its replicas are ready and its hold is in force.
func (s *Stack) InstallAddon(ctx context.Context, opts AddonOptions) (*Addon, error) {
	if opts.Namespace == "" {
		opts.Namespace = addonName
	}
	opts.Values = slices.Clone(opts.Values)
	if opts.Replicas > 0 {
		opts.Values = append(opts.Values, fmt.Sprintf("replicaCount=%d", opts.Replicas))
	}
	a := &Addon{stack: s, opts: opts, binary: opts.Binary}
	if a.binary == "" {
		var err error
		if a.binary, err = s.buildAddon(ctx, opts.Tags, opts.Race); err != nil {
			return nil, err
		}
	}
	if err := a.helm(ctx, "install", "--create-namespace"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.addons = append(s.addons, a)
	s.mu.Unlock()
	if err := a.rollOut(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// installed are the installations of the add-on there have been; one that is gone has no replicas.
func (s *Stack) installed() []*Addon {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.addons)
}

// buildAddon builds the add-on from the sources; the Go build cache makes that cheap.
func (s *Stack) buildAddon(ctx context.Context, tags []string, race bool) (string, error) {
	root, err := build.Root()
	if err != nil {
		return "", err
	}
	name := strings.Join(append([]string{addonName}, tags...), "-")
	args := []string{"build"}
	if race {
		name += "-race"
		args = append(args, "-race")
	}
	if len(tags) > 0 {
		args = append(args, "-tags="+strings.Join(tags, ","))
	}
	path := filepath.Join(s.dir, "bin", name)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", path, "./addon/cmd/"+addonName)...)
	cmd.Dir = root
	began := time.Now()
	s.opts.Log("compiling the add-on (minutes on an empty Go cache)")
	if _, err := output(cmd); err != nil {
		return "", err
	}
	s.opts.Log("the add-on is compiled after %s", time.Since(began).Round(100*time.Millisecond))
	return path, nil
}

// helm installs or upgrades the chart with the current values.
func (a *Addon) helm(ctx context.Context, verb string, flags ...string) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	args := append([]string{verb, addonName, filepath.Join(root, "charts", addonName), "--namespace", a.opts.Namespace}, flags...)
	for _, value := range a.opts.Values {
		args = append(args, "--set", value)
	}
	_, err = a.stack.Helm(ctx, args...)
	return err
}

// Replicas returns the replicas, in the order of their names.
func (a *Addon) Replicas() []*Replica {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.replicas)
}

// set makes a replica the i-th, after the last or in place of another; nil drops it and those after it.
func (a *Addon) set(i int, replica *Replica) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case replica == nil:
		a.replicas = a.replicas[:i]
	case i == len(a.replicas):
		a.replicas = append(a.replicas, replica)
	default:
		a.replicas[i] = replica
	}
}

// Namespace returns the namespace that the add-on is installed in.
func (a *Addon) Namespace() string { return a.opts.Namespace }

// Scale changes the number of replicas by helm upgrade: Helm 4 refuses to upgrade what kubectl scale has changed. Surplus replicas are
// asked to end.
func (a *Addon) Scale(ctx context.Context, replicas int) error {
	return a.Upgrade(ctx, fmt.Sprintf("replicaCount=%d", replicas))
}

// Upgrade runs helm upgrade with more values, on top of those given so far, and restarts the replicas one after the other if their
// pod template changed.
func (a *Addon) Upgrade(ctx context.Context, values ...string) error {
	a.upgrades = append(a.upgrades, a.opts.Values)
	a.opts.Values = slices.Concat(a.opts.Values, values)
	if err := a.helm(ctx, "upgrade"); err != nil {
		return err
	}
	return a.rollOut(ctx)
}

// Rollback runs helm rollback to the release before the last, and replaces the replicas as Upgrade does.
func (a *Addon) Rollback(ctx context.Context) error {
	if _, err := a.stack.Helm(ctx, "rollback", addonName, "--namespace", a.opts.Namespace); err != nil {
		return err
	}
	if n := len(a.upgrades); n > 0 {
		a.opts.Values, a.upgrades = a.upgrades[n-1], a.upgrades[:n-1]
	}
	return a.rollOut(ctx)
}

// Uninstall runs helm uninstall and then asks the replicas to end, as the deletion of their Deployment would.
func (a *Addon) Uninstall(ctx context.Context) error {
	_, err := a.withHooks(ctx, "uninstall", addonName, "--namespace", a.opts.Namespace)
	return errors.Join(err, a.shrink(ctx, 0), a.policiesSettled(ctx))
}

// rollOut makes the replicas what the Deployment says, number and pod template, and waits until the API server has taken the hold in.
func (a *Addon) rollOut(ctx context.Context) error {
	deployment, err := a.stack.kube.AppsV1().Deployments(a.opts.Namespace).Get(ctx, addonName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	changed := a.deployment != nil && !equality.Semantic.DeepEqual(a.deployment.Spec.Template, deployment.Spec.Template)
	a.deployment = deployment
	want := 1
	if deployment.Spec.Replicas != nil {
		want = int(*deployment.Spec.Replicas)
	}
	if err := a.shrink(ctx, want); err != nil {
		return err
	}
	if changed {
		for i, old := range a.Replicas() {
			if err := old.end(ctx); err != nil {
				return err
			}
			if err := a.launch(ctx, i); err != nil {
				return err
			}
			if err := a.Replicas()[i].WaitReady(ctx); err != nil {
				return err
			}
		}
	}
	for i := len(a.Replicas()); i < want; i++ {
		if err := a.launch(ctx, i); err != nil {
			return err
		}
	}
	for _, replica := range a.Replicas() {
		if replica.Running() { // a killed one stays so until the test restarts it
			if err := replica.WaitReady(ctx); err != nil {
				return err
			}
		}
	}
	if err := a.policiesSettled(ctx); err != nil {
		return err
	}
	return a.reportReady(ctx, deployment)
}

// reportReady says of the Deployment, in place of its controller, that its replicas are ready.
func (a *Addon) reportReady(ctx context.Context, deployment *appsv1.Deployment) error {
	n := int32(len(a.Replicas()))
	patch := fmt.Appendf(nil, `{"status":{"observedGeneration":%d,"replicas":%d,"updatedReplicas":%d,"readyReplicas":%d,"availableReplicas":%d}}`,
		deployment.Generation, n, n, n, n)
	_, err := a.stack.kube.AppsV1().Deployments(deployment.Namespace).Patch(ctx, deployment.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// Test runs helm test and returns what it prints.
func (a *Addon) Test(ctx context.Context) (string, error) {
	return a.withHooks(ctx, "test", addonName, "--namespace", a.opts.Namespace, "--logs=false")
}

// shrink ends the replicas beyond the first n, all at once, as a Deployment's controller does.
func (a *Addon) shrink(ctx context.Context, n int) error {
	replicas := a.Replicas()
	var ending errgroup.Group
	for i := n; i < len(replicas); i++ {
		ending.Go(func() error { return replicas[i].end(ctx) })
	}
	err := ending.Wait()
	if n < len(replicas) {
		a.set(n, nil)
	}
	return err
}
