// Package onkube is any Kubernetes cluster as the suite's Cluster, by its kubeconfig:
// Tekton, PAC and the add-on's release are there already, and kubectl and helm are on
// PATH.
package onkube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// Deadlines. They bound how long a failing step takes.
const (
	rolloutDeadline  = 3 * time.Minute // helm's waits
	electionDeadline = 90 * time.Second
	goneDeadline     = 90 * time.Second // a pod that was deleted or evicted
	workingDeadline  = 90 * time.Second // from ready replicas to hold and guard in force
)

// release is the name of the add-on's release and of its namespace.
const release = "pac-lease-queue"

// Options say which cluster, and how the add-on got there.
type Options struct {
	Kubeconfig string
	// Chart is the folder of the add-on's chart.
	Chart string
	// WatchersScript is the script of terraform/modules/pipelines-as-code that scales
	// PAC's watchers.
	WatchersScript string
	// StepImage is the image of e2e/suite/kind/step.
	StepImage string
	// Dir is a folder for files of this cluster.
	Dir string
	Log func(format string, args ...any)
}

// Cluster is a cluster with a release of the add-on.
type Cluster struct {
	Options
	config *rest.Config
	kube   kubernetes.Interface
	base   string   // file of the release's values when we came
	values []string // set since, the latest last
}

var _ suite.Cluster = (*Cluster)(nil)

// New finds the release of the add-on, whose values are what later changes are made
// on top of.
func New(ctx context.Context, o Options) (*Cluster, error) {
	config, err := LoadConfig(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Options: o, config: config, base: filepath.Join(o.Dir, "values.json")}
	if c.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	values, err := c.run(ctx, "helm", "get", "values", release, "--namespace", release, "--output", "json")
	if err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.base, []byte(values), 0o600)
}

// LoadConfig reads a kubeconfig, for clients without rate limits of their own.
func LoadConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.QPS = -1
	return config, nil
}

// Config is the administrator's.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// run runs a program to its end and returns what it printed.
func (c *Cluster) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Upgrade installs the add-on or changes its values, and waits until it works.
func (c *Cluster) Upgrade(ctx context.Context, values ...string) error {
	c.values = append(c.values, values...)
	args := []string{
		"upgrade", release, c.Chart, "--install", "--namespace", release, "--create-namespace",
		"--wait", "--timeout", rolloutDeadline.String(), "--values", c.base,
	}
	for _, value := range c.values {
		args = append(args, "--set", value)
	}
	if _, err := c.run(ctx, "helm", args...); err != nil {
		return err
	}
	// The API server takes hold and guard in a moment after they are there, and the
	// kubelet a changed ConfigMap is none of: replicas watch it.
	return suite.Eventually(ctx, "helm test passes", workingDeadline, func() error {
		_, err := c.run(ctx, "helm", "test", release, "--namespace", release, "--timeout", rolloutDeadline.String())
		return err
	})
}

// Uninstall runs helm uninstall.
func (c *Cluster) Uninstall(ctx context.Context) error {
	_, err := c.run(ctx, "helm", "uninstall", release, "--namespace", release, "--wait", "--timeout", rolloutDeadline.String())
	c.values = nil
	return err
}

// Kill deletes the pod that leads, with no grace.
func (c *Cluster) Kill(ctx context.Context) (string, error) {
	leader, err := c.leader(ctx)
	if err != nil {
		return "", err
	}
	err = c.kube.CoreV1().Pods(release).Delete(ctx, leader.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &leader.UID},
	})
	if err != nil {
		return "", err
	}
	return leader.Name, c.gone(ctx, leader)
}

// gone waits until a pod is gone.
func (c *Cluster) gone(ctx context.Context, pod *corev1.Pod) error {
	return suite.Eventually(ctx, "pod "+pod.Name+" is gone", goneDeadline, func() error {
		is, err := c.kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && is.UID != pod.UID:
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("it is %s", is.Status.Phase)
		}
	})
}

// Restart changes the pod template, as kubectl rollout restart does.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.Upgrade(ctx, "podAnnotations.restarted=at-"+strconv.FormatInt(time.Now().UnixNano(), 36))
}

// Drain closes the node of the replica that leads to all but runs and evicts the add-on's pods from
// it, the leader first. Those that the PodDisruptionBudget keeps, because their
// successors have nowhere to go, stay: on a cluster of one node all but one.
func (c *Cluster) Drain(ctx context.Context) (restore func(context.Context) error, err error) {
	leader, err := c.leader(ctx)
	if err != nil {
		return nil, err
	}
	node := leader.Spec.NodeName
	if err := c.taint(ctx, node, true); err != nil {
		return nil, err
	}
	restore = func(ctx context.Context) error {
		if err := c.taint(ctx, node, false); err != nil {
			return err
		}
		return c.Upgrade(ctx)
	}
	pods, err := c.replicas(ctx)
	if err != nil {
		return restore, err
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		if a.UID == leader.UID {
			return -1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range pods {
		pod := &pods[i]
		if pod.Spec.NodeName != node {
			continue
		}
		err := c.kube.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
		})
		if apierrors.IsTooManyRequests(err) && pod.UID != leader.UID {
			c.Log("%s stays on %s: %v", pod.Name, node, err)
			continue
		}
		if err != nil {
			return restore, err
		}
		if err := c.gone(ctx, pod); err != nil {
			return restore, err
		}
	}
	return restore, nil
}

// drained is the taint of a drained node. It is no cordon: on a cluster of one node
// the pods of runs have nowhere else to go, and tolerate it.
const drained = "e2e.pac-lease-queue.dev/drained"

// taint has nothing scheduled on a node but the pods of runs, or everything again.
func (c *Cluster) taint(ctx context.Context, node string, closed bool) error {
	change := drained + "=:NoSchedule"
	if !closed {
		change = drained + "-"
	}
	_, err := c.run(ctx, "kubectl", "taint", "node", node, change)
	return err
}

// replicas are the pods of the add-on's Deployment.
func (c *Cluster) replicas(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := c.kube.CoreV1().Pods(release).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=controller"})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// leader waits for a replica to lead. Its identity in leader election begins with
// the name of its pod.
func (c *Cluster) leader(ctx context.Context) (leader *corev1.Pod, err error) {
	err = suite.Eventually(ctx, "a replica leads", electionDeadline, func() error {
		leases, err := c.kube.CoordinationV1().Leases(release).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		pods, err := c.replicas(ctx)
		if err != nil {
			return err
		}
		for _, lease := range leases.Items {
			if lease.Spec.HolderIdentity == nil {
				continue
			}
			name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
			if i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == name && p.DeletionTimestamp == nil }); i >= 0 {
				leader = &pods[i]
				return nil
			}
		}
		return errors.New("no Lease of leader election is held by a replica that is there")
	})
	return leader, err
}

// Watchers has n PAC watchers share the work.
func (c *Cluster) Watchers(ctx context.Context, n int) error {
	if _, err := os.Stat(c.WatchersScript); err != nil {
		return err
	}
	_, err := c.run(ctx, "env", "WATCHERS="+strconv.Itoa(n), "DEADLINE="+strconv.Itoa(int(rolloutDeadline.Seconds())), c.WatchersScript)
	return err
}

// RunFile is the file of one PipelineRun, whose only step really runs so long.
func (c *Cluster) RunFile(name string, each time.Duration, annotations ...string) string {
	var more strings.Builder
	for _, annotation := range annotations {
		more.WriteString("\n    " + annotation)
	}
	return fmt.Sprintf(`apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  name: %s
  annotations:
    pipelinesascode.tekton.dev/on-event: "[push]"
    pipelinesascode.tekton.dev/on-target-branch: "[main]"%s
spec:
  taskRunTemplate:
    podTemplate:
      tolerations:
      - {key: %s, operator: Exists}
  pipelineSpec:
    tasks:
    - name: task
      retries: 3
      taskSpec:
        steps:
        - name: step
          image: %s
          imagePullPolicy: IfNotPresent
          command: ["/step"]
          args: ["-for", %q]
`, name, more.String(), drained, c.StepImage, each.String())
}
