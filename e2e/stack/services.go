package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// backendDeadline bounds the readiness check of one replica before the next one is tried.
const backendDeadline = time.Second

// services is an HTTP proxy in place of a cluster's network and its kube-proxy, through which the
// API server calls webhooks. The address of a Service of the add-on leads to its ready replicas in
// turn. Loopback addresses and names lead where they say.
type services struct {
	stack  *Stack
	server *http.Server

	mu   sync.Mutex
	next int
}

// egressConfig makes the API server use the proxy.
const egressConfig = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %q}}}
`

// serveServices starts the proxy and returns the path of the configuration that points the API
// server to it.
func (s *Stack) serveServices() (config string, err error) {
	socket := filepath.Join(s.dir, "services.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return "", fmt.Errorf("the proxy to Services: %w", err)
	}
	p := &services{stack: s}
	p.server = &http.Server{Handler: http.HandlerFunc(p.connect), ReadHeaderTimeout: time.Minute}
	s.services = p
	go func() { _ = p.server.Serve(l) }() // until stop closes it
	config = filepath.Join(s.dir, "egress.yaml")
	return config, os.WriteFile(config, fmt.Appendf(nil, egressConfig, socket), 0o600)
}

func (p *services) stop() {
	if p != nil {
		_ = p.server.Close()
	}
}

// connect answers CONNECT host:port.
func (p *services) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this proxy supports CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	backend, err := p.dial(r.Context(), r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer backend.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	// Both directions end together: the traffic is TLS, which is of no use in one direction only.
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(backend, buffered); done <- struct{}{} }()
	go func() { _, _ = io.Copy(client, backend); done <- struct{}{} }()
	<-done
}

func (p *services) dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsLoopback() {
		return d.DialContext(ctx, "tcp", address)
	}
	service, target, err := p.service(ctx, host, port)
	if err != nil {
		return nil, err
	}
	ports := p.backends(service, target)
	p.mu.Lock()
	first := p.next
	p.next++
	p.mu.Unlock()
	for i := range ports {
		if b := ports[(first+i)%len(ports)]; b.ready(ctx) {
			return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)))
		}
	}
	return nil, fmt.Errorf("none of %d replicas behind Service %s/%s is ready", len(ports), service.Namespace, service.Name)
}

// service finds the Service with an address, and the target port. An older API server, e.g. 1.30,
// cannot select Services by their address.
func (p *services) service(ctx context.Context, ip, port string) (*corev1.Service, string, error) {
	found, err := p.stack.kube.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", err
	}
	for i, service := range found.Items {
		if service.Spec.ClusterIP != ip {
			continue
		}
		for _, servicePort := range service.Spec.Ports {
			if strconv.Itoa(int(servicePort.Port)) == port {
				return &found.Items[i], servicePort.TargetPort.String(), nil
			}
		}
	}
	return nil, "", fmt.Errorf("no Service has the address %s:%s", ip, port)
}

// backend is a replica's local port.
type backend struct {
	*Replica
	port int
}

func (b backend) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, backendDeadline)
	defer cancel()
	return b.Running() && b.Ready(ctx) == nil
}

// backends returns the replicas that a Service selects.
func (p *services) backends(service *corev1.Service, target string) []backend {
	var found []backend
	for _, addon := range p.stack.installed() {
		for _, r := range addon.Replicas() {
			port, ok := r.local[containerPort(r.container, target)]
			selected := labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(r.labels))
			if ok && selected && addon.Namespace() == service.Namespace {
				found = append(found, backend{Replica: r, port: port})
			}
		}
	}
	return found
}
