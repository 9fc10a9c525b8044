package stack

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// auditPolicy logs each request once, with its user, when it is answered.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata}]
`

// unrotated is a size of the audit log, in MiB, that no stack reaches: readers keep their place in
// it.
const unrotated = "100000"

// startAPIServer starts etcd and kube-apiserver at the same time: the API server retries until etcd
// answers.
func (s *Stack) startAPIServer(ctx context.Context) error {
	etcd, err := s.etcd()
	if err != nil {
		return err
	}
	s.etcdURL = etcd.client
	apiServer, err := s.apiServer(etcd)
	if err != nil {
		return err
	}
	if err := s.etcdProcess(etcd).Launch(); err != nil {
		return err
	}
	return s.startUp(ctx, apiServer)
}

// endpoints are the URLs that an etcd member serves.
type endpoints struct{ client, peer string }

func (s *Stack) etcd() (endpoints, error) {
	ports, err := s.takePorts(2)
	if err != nil {
		return endpoints{}, err
	}
	return endpoints{client: loopback("http", ports[0]), peer: loopback("http", ports[1])}, nil
}

func (s *Stack) etcdProcess(e endpoints) *process.Process {
	return s.add(process.Spec{
		Name: "etcd",
		Path: s.programs[build.Etcd],
		Args: []string{
			"--data-dir=" + filepath.Join(s.dir, "etcd"),
			"--listen-client-urls=" + e.client,
			"--advertise-client-urls=" + e.client,
			"--listen-peer-urls=" + e.peer,
			"--initial-advertise-peer-urls=" + e.peer,
			"--initial-cluster=default=" + e.peer,
			"--unsafe-no-fsync",
		},
		Ready:       probe(s.http, e.client+"/health"),
		ReadyWithin: etcdDeadline,
		Abrupt:      true,
	})
}

func (s *Stack) apiServer(etcd endpoints) (*process.Process, error) {
	dir := filepath.Join(s.dir, "apiserver")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	serving, servingKey := filepath.Join(dir, "serving.crt"), filepath.Join(dir, "serving.key")
	if err := s.ca.writeServing(serving, servingKey); err != nil {
		return nil, err
	}
	signingKey := filepath.Join(dir, "service-accounts.key")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := writeKey(signingKey, key); err != nil {
		return nil, err
	}
	egress, err := s.serveServices()
	if err != nil {
		return nil, err
	}
	args := []string{
		"--etcd-servers=" + etcd.client,
		"--egress-selector-config-file=" + egress,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(s.apiPort),
		"--tls-cert-file=" + serving,
		"--tls-private-key-file=" + servingKey,
		"--cert-dir=" + dir,
		"--token-auth-file=" + s.tokenFile(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + signingKey,
		"--service-account-signing-key-file=" + signingKey,
		"--service-cluster-ip-range=10.0.0.0/24",
		// Pods need no token, since no process runs in them.
		"--disable-admission-plugins=ServiceAccount",
		"--endpoint-reconciler-type=none",
		"--allow-privileged=true",
		"--profiling=false",
	}
	if s.opts.Audit {
		policy := filepath.Join(dir, "audit-policy.yaml")
		if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--audit-policy-file="+policy, "--audit-log-path="+s.AuditLog(), "--audit-log-maxsize="+unrotated)
	}
	client, err := rest.HTTPClientFor(s.Config(Admin))
	if err != nil {
		return nil, err
	}
	return s.add(process.Spec{
		Name:        "kube-apiserver",
		Path:        s.programs[build.KubeAPIServer],
		Args:        args,
		Ready:       probe(client, s.apiURL+"/readyz"),
		ReadyWithin: apiServerDeadline,
		Abrupt:      true,
	}), nil
}

// AuditLog returns the path of the file with one JSON line per request, which exists with
// Options.Audit.
func (s *Stack) AuditLog() string { return filepath.Join(s.LogsDir(), "audit.jsonl") }

func loopback(scheme string, port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) }
