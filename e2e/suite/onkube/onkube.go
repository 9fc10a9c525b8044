// Package onkube is any Kubernetes cluster as a suite.Cluster, by its kubeconfig. Tekton, PAC and a
// release of the add-on must be installed, and kubectl and helm must be on PATH.
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
	rolloutDeadline  = 3 * time.Minute  // what helm waits for
	electionDeadline = 90 * time.Second // a leader
	goneDeadline     = 90 * time.Second // the end of a deleted or evicted pod
	workingDeadline  = 90 * time.Second // from ready replicas to hold and guard in force
)

// release names the add-on's release and its namespace.
const release = "pac-lease-queue"

// Options choose the cluster and what else its adapter needs.
type Options struct {
	Kubeconfig string
	// Chart is the folder of the add-on's chart.
	Chart string
	// WatchersScript scales PAC's watchers: watchers.sh of terraform/modules/pipelines-as-code.
	WatchersScript string
	// StepImage is the image of e2e/suite/kind/step.
	StepImage string
	// Dir is a folder for files about this cluster.
	Dir string
	Log func(format string, args ...any)
}

// Cluster is a cluster with a release of the add-on.
type Cluster struct {
	Options
	config *rest.Config
	kube   kubernetes.Interface
	base   string   // the file with the release's values at New
	values []string // set by Upgrade since then, the latest last
}

var _ suite.Cluster = (*Cluster)(nil)

// New finds the release of the add-on. Later changes come on top of the values it has now.
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

// LoadConfig reads a kubeconfig for clients without client-side rate limits.
func LoadConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.QPS = -1
	return config, nil
}

// Config returns the administrator's configuration.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// run runs a program to its end and returns its output.
func (c *Cluster) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Upgrade installs the add-on or changes its values, and returns when helm test passes.
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
	// Hold and guard come into force a moment after they are created. A changed ConfigMap needs no
	// wait for the kubelet: replicas watch it.
	return suite.Eventually(ctx, "helm test to pass", workingDeadline, func() error {
		_, err := c.run(ctx, "helm", "test", release, "--namespace", release, "--timeout", rolloutDeadline.String())
		return err
	})
}

// Board asks the Service of the board, through the API server.
func (c *Cluster) Board(ctx context.Context, path string) (string, error) {
	body, err := c.kube.CoreV1().RESTClient().Get().Namespace(release).Resource("services").Name(release + "-board:http").
		SubResource("proxy").Suffix(path).DoRaw(ctx)
	return string(body), err
}

// Uninstall runs helm uninstall.
func (c *Cluster) Uninstall(ctx context.Context) error {
	_, err := c.run(ctx, "helm", "uninstall", release, "--namespace", release, "--wait", "--timeout", rolloutDeadline.String())
	c.values = nil
	return err
}

// Kill deletes the leading pod without a grace period.
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
	return suite.Eventually(ctx, "pod "+pod.Name+" to go", goneDeadline, func() error {
		current, err := c.kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && current.UID != pod.UID:
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("it is %s", current.Status.Phase)
		}
	})
}

// Restart replaces every pod by a change of the pod template, as kubectl rollout restart does.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.Upgrade(ctx, "podAnnotations.restarted=at-"+strconv.FormatInt(time.Now().UnixNano(), 36))
}

// Drain taints the node of the leading replica and evicts the add-on's pods from it, the leader
// first. The PodDisruptionBudget may refuse further evictions when the evicted pods find no other
// node: on a cluster of one node all pods but the leader stay.
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
			c.Log("pod %s stays on node %s: %v", pod.Name, node, err)
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

// drained is the taint of a drained node. Cordoning the node would also keep the pods of runs away,
// which on a cluster of one node have no other; they tolerate this taint.
const drained = "e2e.pac-lease-queue.dev/drained"

// taint adds the taint to a node or removes it.
func (c *Cluster) taint(ctx context.Context, node string, add bool) error {
	change := drained + "=:NoSchedule"
	if !add {
		change = drained + "-"
	}
	_, err := c.run(ctx, "kubectl", "taint", "node", node, change)
	return err
}

// replicas returns the pods of the add-on's Deployment.
func (c *Cluster) replicas(ctx context.Context) ([]corev1.Pod, error) {
	selector := metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=controller"}
	pods, err := c.kube.CoreV1().Pods(release).List(ctx, selector)
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// leader waits until a replica leads and returns its pod, whose name begins the identity that the
// replica has in leader election.
func (c *Cluster) leader(ctx context.Context) (leader *corev1.Pod, err error) {
	err = suite.Eventually(ctx, "a leading replica", electionDeadline, func() error {
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
			i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == name && p.DeletionTimestamp == nil })
			if i >= 0 {
				leader = &pods[i]
				return nil
			}
		}
		return errors.New("no Lease of leader election is held by an existing replica")
	})
	return leader, err
}

// Watchers makes n PAC watchers share the work.
func (c *Cluster) Watchers(ctx context.Context, n int) error {
	if _, err := os.Stat(c.WatchersScript); err != nil {
		return err
	}
	seconds := strconv.Itoa(int(rolloutDeadline.Seconds()))
	_, err := c.run(ctx, "env", "WATCHERS="+strconv.Itoa(n), "DEADLINE="+seconds, c.WatchersScript)
	return err
}

// RunFile returns the file of one PipelineRun whose only step really takes the given time.
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
