package stack

import (
	"context"
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// controllers are those that the add-on, Tekton and the tests need. Workload controllers are not
// among them: kwok would run their pods.
var controllers = []string{
	"serviceaccount-controller",          // Tekton creates no pod without the default ServiceAccount
	"garbage-collector-controller",       // owner references
	"namespace-controller",               // namespace deletion
	"clusterrole-aggregation-controller", // Tekton adds to the ClusterRoles edit and view
}

// startControllerManager starts kube-controller-manager and waits until it works. The CRDs must
// exist before: its garbage collector looks for new kinds only every 30 seconds.
func (s *Stack) startControllerManager(ctx context.Context) error {
	ports, err := s.takePorts(1)
	if err != nil {
		return err
	}
	kubeconfig := s.Kubeconfig(ControllerManagerUser)
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	healthy := probe(insecure, loopback("https", ports[0])+"/healthz")
	p := s.add(process.Spec{
		Name: "kube-controller-manager",
		Path: s.programs[build.KubeControllerManager],
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--authentication-skip-lookup=true",
			"--controllers=" + strings.Join(controllers, ","),
			"--leader-elect=false",
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(ports[0]),
			"--cert-dir=" + filepath.Join(s.dir, "controller-manager"),
			"--kube-api-qps=200",
			"--kube-api-burst=400",
			"--profiling=false",
		},
		Ready: func(ctx context.Context) error {
			if err := healthy(ctx); err != nil {
				return err
			}
			_, err := s.kube.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
			return err
		},
		ReadyWithin: controllerManagerDeadline,
	})
	return s.startUp(ctx, p)
}
