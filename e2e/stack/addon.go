package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// addonName is the name of the add-on's release, namespace, Deployment and program, and begins the
// names of its Leases of leader election.
const addonName = "pac-lease-queue"

// AddonOptions choose how the add-on is installed.
type AddonOptions struct {
	// Replicas is the number of replicas; zero means the chart's default.
	Replicas int
	// Values are chart values, each as helm's --set takes them: "admission.guard.enabled=false".
	Values []string
	// Namespace to install into; empty means pac-lease-queue.
	Namespace string
	// Binary is the program to run. Empty means to build it from the sources, with Tags and Race.
	Binary string
	Tags   []string
	Race   bool
	// Env is added to the environment that the Deployment gives every replica. Replica.SetEnv
	// changes it for one replica.
	Env []string
	// Contained puts each replica into a control group with the memory limit of its container, as
	// the kubelet does. It takes root on Linux.
	Contained bool
	// ReadyWithin bounds the time until a replica is ready; zero means a minute.
	ReadyWithin time.Duration
	// Via returns the address, host:port, at which a replica reaches the API server, whose own
	// address it gets: that of a proxy on 127.0.0.1, for which the API server's certificate is
	// valid. It is called for each replica, by index, whenever the replica is set up. nil means the
	// API server's own address.
	Via func(replica int, apiServer string) (string, error)
}

// Addon is an installation of the add-on by its Helm chart. Its Deployment starts no pods here. Its
// replicas are processes, with the arguments and environment of the Deployment and the rights of
// its ServiceAccount.
type Addon struct {
	stack      *Stack
	opts       AddonOptions
	binary     string
	deployment *appsv1.Deployment
	upgrades   [][]string // the values before each upgrade

	mu       sync.Mutex
	replicas []*Replica

	board           *Replica // nil without one
	boardDeployment *appsv1.Deployment
}

// InstallAddon installs the add-on and returns when all its replicas are ready and its hold is in
// force.
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

// installed returns all installations of the add-on so far. An uninstalled one has no replicas.
func (s *Stack) installed() []*Addon {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.addons)
}

// buildAddon builds the add-on from the sources, which the Go build cache makes cheap.
func (s *Stack) buildAddon(ctx context.Context, tags []string, race bool) (string, error) {
	name := strings.Join(append([]string{addonName}, tags...), "-")
	if race {
		name += "-race"
	}
	path := filepath.Join(s.dir, "bin", name)
	cmd, err := build.Own(ctx, race, "build", "-tags="+strings.Join(tags, ","), "-o", path, "./addon/cmd/"+addonName)
	if err != nil {
		return "", err
	}
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

// set puts a replica at index i, at the end or in place of another. nil drops all replicas from i
// on.
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

// Namespace returns the namespace of the installation.
func (a *Addon) Namespace() string { return a.opts.Namespace }

// Scale changes the number of replicas by helm upgrade: Helm 4 refuses to upgrade a Deployment that
// kubectl scale has changed. Surplus replicas get SIGTERM.
func (a *Addon) Scale(ctx context.Context, replicas int) error {
	return a.Upgrade(ctx, fmt.Sprintf("replicaCount=%d", replicas))
}

// Upgrade runs helm upgrade with more values, on top of the current ones, and replaces the replicas
// one after the other if their pod template changed.
func (a *Addon) Upgrade(ctx context.Context, values ...string) error {
	a.upgrades = append(a.upgrades, a.opts.Values)
	a.opts.Values = slices.Concat(a.opts.Values, values)
	if err := a.helm(ctx, "upgrade"); err != nil {
		return err
	}
	return a.rollOut(ctx)
}

// Rollback runs helm rollback to the previous revision and replaces the replicas as Upgrade does.
func (a *Addon) Rollback(ctx context.Context) error {
	if _, err := a.stack.Helm(ctx, "rollback", addonName, "--namespace", a.opts.Namespace); err != nil {
		return err
	}
	if n := len(a.upgrades); n > 0 {
		a.opts.Values, a.upgrades = a.upgrades[n-1], a.upgrades[:n-1]
	}
	return a.rollOut(ctx)
}

// Uninstall runs helm uninstall and then ends the replicas with SIGTERM, as the deletion of their
// Deployment would.
func (a *Addon) Uninstall(ctx context.Context) error {
	_, err := a.withHooks(ctx, "uninstall", addonName, "--namespace", a.opts.Namespace)
	return errors.Join(err, a.shrink(ctx, 0), a.rollOutBoard(ctx), a.policiesSettled(ctx))
}

// rollOut makes the replicas match the Deployment, in number and pod template, and waits until the
// hold is in force.
func (a *Addon) rollOut(ctx context.Context) error {
	deployment, err := a.stack.kube.AppsV1().Deployments(a.opts.Namespace).Get(ctx, addonName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	changed := a.deployment != nil && !sameTemplate(a.deployment, deployment)
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
		if replica.Running() { // a killed replica stays dead until the test restarts it
			if err := replica.WaitReady(ctx); err != nil {
				return err
			}
		}
	}
	if err := a.rollOutBoard(ctx); err != nil {
		return err
	}
	if err := a.policiesSettled(ctx); err != nil {
		return err
	}
	return a.reportReady(ctx, deployment)
}

// reportReady writes the status of the Deployment, in place of its controller: all replicas are
// ready.
func (a *Addon) reportReady(ctx context.Context, deployment *appsv1.Deployment) error {
	n := len(a.Replicas())
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"observedGeneration": deployment.Generation,
		"replicas":           n,
		"updatedReplicas":    n,
		"readyReplicas":      n,
		"availableReplicas":  n,
	}})
	if err != nil {
		return err
	}
	_, err = a.stack.kube.AppsV1().Deployments(deployment.Namespace).
		Patch(ctx, deployment.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// Test runs helm test and returns its output.
func (a *Addon) Test(ctx context.Context) (string, error) {
	return a.withHooks(ctx, "test", addonName, "--namespace", a.opts.Namespace, "--logs=false")
}

// shrink ends the replicas from index n on, all at the same time, as a Deployment's controller
// does.
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
