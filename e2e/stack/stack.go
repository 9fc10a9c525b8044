package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Stack is a running set of components.
type Stack struct {
	opts     Options
	folder   *folder
	dir      string
	ports    *process.Ports
	programs build.Programs
	http     *http.Client

	ca      *authority
	tokens  map[User]string
	apiPort int
	apiURL  string
	etcdURL string
	kube    kubernetes.Interface
	dynamic dynamic.Interface

	services *services
	binder   *binder

	pacURL string
	gitea  *Gitea

	mu        sync.Mutex
	processes []*process.Process
	watchers  []*process.Process
	addons    []*Addon
	// watcherURLs are the addresses of all watchers so far, by name.
	watcherURLs map[string]string
	stopping    bool
	keep        bool
	stopped     sync.Once
	stopErr     error
}

// Start builds missing programs, starts the chosen components and returns when all of them work.
// When it fails, it stops everything and the error names the folder with the logs. The context
// bounds only the start; Stop ends the stack.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	log := opts.Log // Build has its own default for nil
	opts = opts.withDefaults()
	programs, err := opts.Versions.Build(ctx, log, opts.programs()...)
	if err != nil {
		return nil, err
	}
	s := &Stack{opts: opts, programs: programs, http: &http.Client{Timeout: 10 * time.Second}, watcherURLs: map[string]string{}}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil { // the caller gave up and needs no logs
			return nil, errors.Join(err, s.Stop())
		}
		s.KeepDir()
		return nil, errors.Join(fmt.Errorf("starting the stack (logs: %s): %w", s.LogsDir(), err), s.Stop())
	}
	return s, nil
}

// programs returns the programs of the chosen components.
func (o Options) programs() []build.Component {
	need := []build.Component{build.Etcd, build.KubeAPIServer}
	for part, programs := range map[Components][]build.Component{
		ControllerManager: {build.KubeControllerManager},
		Tekton:            {build.TektonController, build.TektonWebhook},
		PAC:               {build.PACController, build.PACWatcher},
		Kwok:              {build.Kwok},
		GitProvider:       {build.Gitea},
		Helm:              {build.Helm},
	} {
		if o.Components.has(part) {
			need = append(need, programs...)
		}
	}
	return need
}

// prepare creates the folder, ports, certificates and users.
func (s *Stack) prepare() (err error) {
	if s.folder, err = newFolder(s.opts.Dir); err != nil {
		return err
	}
	s.dir = s.folder.path
	defer func() {
		if err != nil {
			err = errors.Join(err, s.folder.close(s.opts.Keep))
		}
	}()
	if err := os.MkdirAll(s.LogsDir(), 0o755); err != nil {
		return err
	}
	if s.ports, err = process.ReservePorts(); err != nil {
		return err
	}
	ports, err := s.takePorts(1)
	if err != nil {
		return err
	}
	s.apiPort, s.apiURL = ports[0], loopback("https", ports[0])
	if s.ca, err = newAuthority(); err != nil {
		return err
	}
	if err := s.writeUsers(); err != nil {
		return err
	}
	if s.kube, err = kubernetes.NewForConfig(s.Config(Admin)); err != nil {
		return err
	}
	s.dynamic, err = dynamic.NewForConfig(s.Config(Admin))
	return err
}

// start starts the components, each as early as its dependencies allow.
func (s *Stack) start(ctx context.Context) error {
	parts := s.opts.Components
	all, ctx := errgroup.WithContext(ctx)
	if parts.has(PAC) {
		ports, err := s.takePorts(1)
		if err != nil {
			return err
		}
		s.pacURL = loopback("http", ports[0])
	}
	if parts.has(GitProvider) {
		all.Go(func() error { return s.startGitea(ctx) })
	}
	all.Go(func() error {
		if err := s.startAPIServer(ctx); err != nil {
			return err
		}
		return s.startClients(ctx, all)
	})
	return all.Wait()
}

// startClients starts the components that are clients of the API server.
func (s *Stack) startClients(ctx context.Context, all *errgroup.Group) error {
	parts := s.opts.Components
	tektonPort := 0
	if parts.has(Tekton) {
		ports, err := s.takePorts(1)
		if err != nil {
			return err
		}
		tektonPort = ports[0]
	}
	if err := s.createManifests(ctx, tektonPort); err != nil {
		return err
	}
	if parts.has(Kwok) {
		all.Go(func() error { return s.startKwok(ctx) })
	}
	if parts.has(CRDs) {
		if err := until(ctx, "the CRDs", crdDeadline, s.crdsServed); err != nil {
			return err
		}
	}
	if parts.has(ControllerManager) {
		all.Go(func() error { return s.startControllerManager(ctx) })
	}
	if parts.has(Tekton) {
		all.Go(func() error { return s.startTektonWebhook(ctx, tektonPort) })
		all.Go(func() error { return s.startTektonController(ctx) })
	}
	if parts.has(PAC) {
		all.Go(func() error { return s.startPACController(ctx) })
		all.Go(func() error { return s.StartWatchers(ctx, *s.opts.Watchers) })
	}
	return nil
}

// createManifests creates the objects that the components expect.
func (s *Stack) createManifests(ctx context.Context, tektonPort int) error {
	objects, err := manifests.Parse(developerRBAC)
	if err != nil {
		return err
	}
	sources := []struct {
		part Components
		read func(context.Context) ([]*object, error)
	}{
		{CRDs, func(ctx context.Context) ([]*object, error) { return s.tektonManifests(ctx, tektonPort) }},
		{CRDs, s.pacManifests},
		{Kwok, s.kwokManifests},
	}
	for _, source := range sources {
		if !s.opts.Components.has(source.part) {
			continue
		}
		more, err := source.read(ctx)
		if err != nil {
			return err
		}
		objects = append(objects, more...)
	}
	return s.create(ctx, objects)
}

// developerRBAC lets developers edit what a member of a team edits.
const developerRBAC = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: stack-developer}
rules:
- {apiGroups: [tekton.dev], resources: ["*"], verbs: ["*"]}
- {apiGroups: [pipelinesascode.tekton.dev], resources: ["*"], verbs: ["*"]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: ["*"]}
- {apiGroups: [""], resources: [pods, events, configmaps], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: stack-developer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: stack-developer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: ` + DevelopersGroup + `}]
`

// Dir returns the folder of the stack.
func (s *Stack) Dir() string { return s.dir }

// LogsDir returns the folder with a log file per process.
func (s *Stack) LogsDir() string { return filepath.Join(s.dir, "logs") }

// APIServerURL returns the address of the API server.
func (s *Stack) APIServerURL() string { return s.apiURL }

// EtcdURL returns the address of etcd.
func (s *Stack) EtcdURL() string { return s.etcdURL }

// Kubernetes returns the administrator's client.
func (s *Stack) Kubernetes() kubernetes.Interface { return s.kube }

// Process returns the process with a name, or nil. The names are etcd, kube-apiserver,
// kube-controller-manager, tekton-controller, tekton-webhook, pac-controller, pac-watcher-0 and so
// on, kwok, gitea, and the pod names of the add-on's replicas.
func (s *Stack) Process(name string) *process.Process {
	for _, p := range s.Processes() {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// Processes returns every process of the stack, running or not, in the order they were first
// started.
func (s *Stack) Processes() []*process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.processes)
}

// KeepDir makes Stop keep the folder with the logs, e.g. after a failed test.
func (s *Stack) KeepDir() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = true
}

// Stop ends every process, gracefully where that takes no longer than stopGrace, and removes the
// folder unless it is to be kept. It may be called more than once.
func (s *Stack) Stop() error {
	s.stopped.Do(func() { s.stopErr = s.stop() })
	return s.stopErr
}

func (s *Stack) stop() error {
	s.mu.Lock()
	s.stopping = true
	keep := s.keep || s.opts.Keep
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	// Clients first: some of them end only while the API server answers.
	for _, abrupt := range []bool{false, true} {
		var all sync.WaitGroup
		for _, p := range s.Processes() {
			if p.Abrupt() == abrupt {
				all.Go(func() { _ = p.Stop(ctx) }) // it is gone either way
			}
		}
		all.Wait()
	}
	s.binder.stop()
	s.services.stop()
	s.ports.Release()
	if keep {
		s.opts.Log("the stack's logs are in %s", s.LogsDir())
	}
	return s.folder.close(keep)
}

// add adds a process to the stack, in place of an ended one with the same name.
func (s *Stack) add(spec process.Spec) *process.Process {
	spec.Logs = s.LogsDir()
	if spec.Dir == "" {
		spec.Dir = s.dir
	}
	spec.Died = s.died
	p := process.New(spec)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes = slices.DeleteFunc(s.processes, func(old *process.Process) bool { return old.Name() == spec.Name })
	s.processes = append(s.processes, p)
	return p
}

// startUp starts a process, waits until it works, and logs how long that took.
func (s *Stack) startUp(ctx context.Context, p *process.Process) error {
	began := time.Now()
	if err := p.Start(ctx); err != nil {
		return err
	}
	s.opts.Log("%s works after %s", p.Name(), time.Since(began).Round(100*time.Millisecond))
	return nil
}

// died reports a process that ended by itself.
func (s *Stack) died(p *process.Process, err error) {
	s.mu.Lock()
	stopping := s.stopping
	s.mu.Unlock()
	if stopping {
		return
	}
	s.opts.Log("%s ended by itself: %v (see %s)", p.Name(), err, p.LogFile())
	if s.opts.Revive && slices.Contains(s.Watchers(), p) {
		if err := p.Launch(); err != nil {
			s.opts.Log("restarting %s: %v", p.Name(), err)
		}
	}
}

func (s *Stack) takePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		port, err := s.ports.Take()
		if err != nil {
			return nil, err
		}
		ports[i] = port
	}
	return ports, nil
}
