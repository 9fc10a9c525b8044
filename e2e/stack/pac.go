package stack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

const pacLeaderElection = "pac-watcher-config-leader-election"

// pacManifests returns the objects of Pipelines-as-Code's own files.
func (s *Stack) pacManifests(ctx context.Context) ([]*object, error) {
	dir, err := s.opts.Versions.ModuleDir(ctx, build.ModulePAC)
	if err != nil {
		return nil, err
	}
	return manifests.Read(filepath.Join(dir, "config"),
		"100-*.yaml", "200-*.yaml", "201-*.yaml", "202-*.yaml",
		"300-*.yaml", "301-*.yaml", "302-*.yaml", "303-*.yaml", "305-*.yaml", "306-*.yaml")
}

// PACControllerURL returns the address at which PAC receives webhook events.
func (s *Stack) PACControllerURL() string { return s.pacURL }

func (s *Stack) startPACController(ctx context.Context) error {
	env, err := s.knativePorts()
	if err != nil {
		return err
	}
	address, err := url.Parse(s.pacURL)
	if err != nil {
		return err
	}
	p := s.add(process.Spec{
		Name: "pac-controller",
		Path: s.programs[build.PACController],
		Env: append(env,
			"KUBECONFIG="+s.Kubeconfig(PACControllerUser),
			"SYSTEM_NAMESPACE="+PACNamespace,
			"PAC_CONTROLLER_PORT="+address.Port(),
			"PAC_DISABLE_HEALTH_PROBE=true",
			"PAC_CONTROLLER_LABEL=default",
			"PAC_CONTROLLER_SECRET=pipelines-as-code-secret",
			"PAC_CONTROLLER_CONFIGMAP=pipelines-as-code",
			"CONFIG_LOGGING_NAME=pac-config-logging",
			"CONFIG_OBSERVABILITY_NAME=pipelines-as-code-config-observability",
			"K_SINK_TIMEOUT=30",
		),
		Ready:       probe(s.http, s.pacURL+"/live"),
		ReadyWithin: pacDeadline,
	})
	return s.startUp(ctx, p)
}

// StartWatchers stops all PAC watchers and starts n, named pac-watcher-0 and so on. They divide the
// queue keys like the pods of a StatefulSet, without leader election: a restarted watcher works at
// once.
func (s *Stack) StartWatchers(ctx context.Context, n int) error {
	if err := s.StopWatchers(ctx); err != nil {
		return err
	}
	buckets := fmt.Appendf(nil, `{"data":{"buckets":"%d"}}`, max(n, 1))
	if _, err := s.kube.CoreV1().ConfigMaps(PACNamespace).
		Patch(ctx, pacLeaderElection, types.MergePatchType, buckets, metav1.PatchOptions{}); err != nil {
		return err
	}
	for i := range n {
		p, err := s.watcher(i)
		if err != nil {
			return err
		}
		if err := p.Launch(); err != nil {
			return err
		}
		s.mu.Lock()
		s.watchers = append(s.watchers, p)
		s.mu.Unlock()
	}
	for _, p := range s.Watchers() {
		if err := p.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Watchers returns the PAC watchers.
func (s *Stack) Watchers() []*process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.watchers)
}

// WatcherURL returns the address of a PAC watcher, which serves its liveness (/live) and the queue
// in its memory (/debug/queue).
func (s *Stack) WatcherURL(watcher *process.Process) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watcherURLs[watcher.Name()]
}

// StopWatchers ends every PAC watcher with SIGTERM. StartWatchers starts new ones, Process.Restart
// brings one back.
func (s *Stack) StopWatchers(ctx context.Context) error {
	var errs []error
	for _, p := range s.Watchers() {
		errs = append(errs, p.Stop(ctx))
	}
	s.mu.Lock()
	s.watchers = nil
	s.mu.Unlock()
	return errors.Join(errs...)
}

func (s *Stack) watcher(i int) (*process.Process, error) {
	name := "pac-watcher-" + strconv.Itoa(i)
	if p := s.Process(name); p != nil {
		return p, nil // it keeps its ports
	}
	env, err := s.knativePorts()
	if err != nil {
		return nil, err
	}
	ports, err := s.takePorts(1)
	if err != nil {
		return nil, err
	}
	address := loopback("http", ports[0])
	s.mu.Lock()
	s.watcherURLs[name] = address
	s.mu.Unlock()
	return s.add(process.Spec{
		Name: name,
		Path: s.programs[build.PACWatcher],
		Env: append(env,
			"KUBECONFIG="+s.Kubeconfig(PACWatcherUser),
			"SYSTEM_NAMESPACE="+PACNamespace,
			"PAC_WATCHER_PORT="+strconv.Itoa(ports[0]),
			"PAC_DISABLE_HEALTH_PROBE=true",
			"STATEFUL_CONTROLLER_ORDINAL="+name,
			"STATEFUL_SERVICE_NAME=pac-watcher",
			"CONFIG_LOGGING_NAME=pac-config-logging",
			"CONFIG_OBSERVABILITY_NAME=pipelines-as-code-config-observability",
			"CONFIG_LEADERELECTION_NAME="+pacLeaderElection,
			"METRICS_DOMAIN=tekton.dev/pipelinesascode",
		),
		Ready:       probe(s.http, address+"/live"),
		ReadyWithin: pacDeadline,
	}), nil
}
