package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/kubelet"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Replica is one replica of the add-on: the process that its pod would run. Its name is the pod's
// and survives restarts.
type Replica struct {
	*process.Process

	// MetricsURL is where the replica serves Prometheus metrics.
	MetricsURL string
	// OpenMetricsURL is where it serves them without TLS if MetricsURL is for authorized clients.
	OpenMetricsURL string
	// ProbesURL is where it answers probes.
	ProbesURL string
	// PagesURL is where it serves pages; empty but for the board.
	PagesURL string
	// DebugURL is where it serves its debug view.
	DebugURL string

	stack     *Stack
	ports     []int
	container *corev1.Container
	labels    map[string]string // of the pod
	local     localPorts
}

// end ends the replica with SIGTERM, if it runs, and returns its ports.
func (r *Replica) end(ctx context.Context) error {
	polite, cancel := context.WithTimeout(ctx, addonDeadline)
	defer cancel()
	err := r.Stop(polite)
	for _, port := range r.ports {
		r.stack.ports.Return(port)
	}
	r.ports = nil
	return err
}

// launch starts replica i and does not wait for it.
func (a *Addon) launch(ctx context.Context, i int) error {
	r, err := a.replica(ctx, a.deployment, i)
	if err != nil {
		return err
	}
	a.set(i, r)
	return r.Launch()
}

// replica works out the process of replica i of a Deployment.
func (a *Addon) replica(ctx context.Context, of *appsv1.Deployment, i int) (*Replica, error) {
	s, template := a.stack, of.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name, pod.Namespace = fmt.Sprintf("%s-%d", of.Name, i), of.Namespace
	pod.Spec.NodeName = nodeName
	container, err := kubelet.Container(pod.Spec)
	if err != nil {
		return nil, err
	}
	r := &Replica{stack: s, container: container, labels: pod.Labels}
	local, err := r.takePorts(container)
	if err != nil {
		return nil, err
	}
	r.local = local
	env, err := kubelet.Env(ctx, s.kube, pod, container)
	if err != nil {
		return nil, err
	}
	env = local.env(env)
	args := slices.Concat(container.Command, container.Args)
	if len(container.Command) > 0 {
		if name := path.Base(args[0]); name != addonName {
			return nil, fmt.Errorf("the container runs %s, want %s", name, addonName)
		}
		args = args[1:]
	}
	for j := range args {
		args[j] = kubelet.Expand(args[j], env)
	}
	token, err := s.serviceAccountToken(ctx, pod.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return nil, err
	}
	apiServer := s.apiURL
	if a.opts.Via != nil {
		address, err := a.opts.Via(i, strings.TrimPrefix(s.apiURL, "https://"))
		if err != nil {
			return nil, fmt.Errorf("the address of the API server for %s: %w", pod.Name, err)
		}
		apiServer = "https://" + address
	}
	name := pod.Name
	if pod.Namespace != addonName {
		name = pod.Namespace + "-" + name // several installations may exist
	}
	kubeconfig := filepath.Join(s.dir, "kubeconfig", name)
	if err := s.writeKubeconfig(kubeconfig, apiServer, token, pod.Namespace); err != nil {
		return nil, err
	}
	spec := process.Spec{
		Name:        name,
		Path:        a.binary,
		Args:        args,
		Env:         append(env, "KUBECONFIG="+kubeconfig),
		ReadyWithin: cmp.Or(a.opts.ReadyWithin, addonDeadline),
	}
	if a.opts.Contained {
		if spec.Memory = container.Resources.Limits.Memory().Value(); spec.Memory == 0 {
			return nil, errors.New("the container has no memory limit")
		}
	}
	if container.ReadinessProbe != nil && container.ReadinessProbe.HTTPGet != nil {
		get := container.ReadinessProbe.HTTPGet
		port, ok := local[containerPort(container, get.Port.String())]
		if !ok {
			return nil, fmt.Errorf("the readiness probe uses port %s, which the container does not declare", get.Port.String())
		}
		r.ProbesURL = loopback("http", port)
		spec.Ready = probe(s.http, r.ProbesURL+get.Path)
	}
	if port := local[containerPort(container, "http")]; port != 0 {
		r.PagesURL = loopback("http", port)
	}
	r.MetricsURL = loopback("http", local[metricsPort]) + "/metrics"
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "METRICS_SECURE_PORT=") }) {
		r.MetricsURL = loopback("https", local[metricsPort]) + "/metrics"
		r.OpenMetricsURL = loopback("http", local[openMetricsPort]) + "/metrics"
	}
	r.DebugURL = loopback("http", local[profilingPort])
	r.Process = s.add(spec)
	r.SetEnv(a.opts.Env...)
	return r, nil
}

// Every program built on knative.dev/pkg listens on these ports, whether its container declares
// them or not.
const (
	metricsPort   = 9090
	profilingPort = 8008

	openMetricsPort = 8009 // the chart's
)

// localPorts maps the ports of a container to local ports: processes share one address, containers
// do not.
type localPorts map[int]int

// takePorts takes a local port for each port of the container.
func (r *Replica) takePorts(container *corev1.Container) (localPorts, error) {
	ports := localPorts{metricsPort: 0, profilingPort: 0, openMetricsPort: 0}
	for _, port := range container.Ports {
		ports[int(port.ContainerPort)] = 0
	}
	for port := range ports {
		local, err := r.stack.ports.Take()
		if err != nil {
			return nil, err
		}
		ports[port] = local
		r.ports = append(r.ports, local)
	}
	return ports, nil
}

// env replaces the container's ports in the variables that carry one, whose names end in PORT, and
// adds the variables that knative reads.
func (l localPorts) env(env []string) []string {
	out := []string{
		"METRICS_PROMETHEUS_PORT=" + strconv.Itoa(l[metricsPort]),
		"METRICS_PROMETHEUS_HOST=" + net.IPv4(127, 0, 0, 1).String(),
		"PROFILING_PORT=" + strconv.Itoa(l[profilingPort]),
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if port, err := strconv.Atoi(value); err == nil && strings.HasSuffix(name, "PORT") && l[port] != 0 {
			variable = name + "=" + strconv.Itoa(l[port])
		}
		out = append(out, variable)
	}
	return out
}

// containerPort resolves the name or number of a port.
func containerPort(container *corev1.Container, name string) int {
	for _, port := range container.Ports {
		if port.Name == name {
			return int(port.ContainerPort)
		}
	}
	n, _ := strconv.Atoi(name)
	return n
}
