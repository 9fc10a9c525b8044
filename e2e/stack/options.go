package stack

import (
	"fmt"
	"os"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// Components is a set of components besides etcd and the API server, which always run.
type Components uint

// The components. Tekton, PAC and Kwok add those that they need.
const (
	// ControllerManager creates default ServiceAccounts, collects garbage by owner references,
	// empties deleted namespaces and aggregates ClusterRoles. It runs no workload controllers, so
	// Deployments start no pods.
	ControllerManager Components = 1 << iota
	// CRDs are the custom resources of Tekton and PAC, without their controllers and webhooks.
	CRDs
	// Tekton is its controller and its webhook.
	Tekton
	// PAC is Pipelines-as-Code: its controller, which receives webhook events, and Options.Watchers
	// watchers.
	PAC
	// Kwok runs pods on a fake node. The pods of TaskRuns end after a delay (AnnotationDelay,
	// AnnotationFail).
	Kwok
	// GitProvider is Gitea.
	GitProvider
	// Helm builds helm along with the components. Without it, InstallAddon builds helm when it
	// needs it.
	Helm
)

// Sets of components.
const (
	APIServer  Components = 0
	Everything            = ControllerManager | CRDs | Tekton | PAC | Kwok | GitProvider | Helm
)

func (c Components) has(part Components) bool { return c&part != 0 }

// withNeeds adds the components that the chosen ones need.
func (c Components) withNeeds() Components {
	if c.has(Tekton | PAC | Kwok) {
		c |= ControllerManager
	}
	if c.has(Tekton | PAC) {
		c |= CRDs
	}
	return c
}

// Options choose what Start starts.
type Options struct {
	Components Components
	// Versions are those of the components; zero means the defaults.
	Versions build.Versions
	// Watchers is the number of PAC watchers; nil means one. Several share the work like the pods
	// of a StatefulSet: each has one bucket of the queue keys.
	Watchers *int
	// Dir is the folder of the stack, created if missing. Empty means a new one in the temporary
	// folder.
	Dir string
	// Keep keeps the folder when the stack stops.
	Keep bool
	// Audit writes one line per request to the API server's audit log (AuditLog).
	Audit bool
	// RunTime is the time that pods of TaskRuns take without AnnotationDelay. Zero means two
	// seconds.
	RunTime time.Duration
	// Revive restarts PAC's watchers when they crash, as their Deployment would: PAC 0.50 panics
	// when it sees a cancelled run before Tekton has set its condition (pkg/reconciler/status.go,
	// postFinalStatus).
	Revive bool
	// Log receives the progress, line by line; nil means standard error.
	Log func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	o.Components = o.Components.withNeeds()
	if o.Watchers == nil {
		o.Watchers = new(1)
	}
	if o.RunTime == 0 {
		o.RunTime = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	}
	return o
}
