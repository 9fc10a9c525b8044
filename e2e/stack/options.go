package stack

import (
	"fmt"
	"os"
	"time"
)

// Components is a set of what runs besides etcd and the API server, which always do.
type Components uint

// The parts of a stack. Tekton, PAC and Kwok bring the parts that they need along.
const (
	// ControllerManager makes default ServiceAccounts, collects garbage by owner reference, empties deleted namespaces and
	// aggregates ClusterRoles. It runs no workload controllers: Deployments start no pods.
	ControllerManager Components = 1 << iota
	// CRDs are the custom resources of Tekton and PAC, without their controllers and webhooks.
	CRDs
	// Tekton is its controller and its webhook.
	Tekton
	// PAC is Pipelines-as-Code: its controller, which receives webhook events, and Options.Watchers watchers.
	PAC
	// Kwok runs pods on a fake node: those of TaskRuns complete after a while (AnnotationDelay, AnnotationFail).
	Kwok
	// GitProvider is Gitea.
	GitProvider
	// Helm is built along with the others, for InstallAddon, which would otherwise do so when it needs it.
	Helm
)

// Sets of components.
const (
	APIServer  Components = 0
	Everything            = ControllerManager | CRDs | Tekton | PAC | Kwok | GitProvider | Helm
)

func (c Components) has(part Components) bool { return c&part != 0 }

// withNeeds adds what the chosen parts cannot do without.
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
	// Watchers is the number of PAC watchers; nil means one. Several share the work as the pods of a StatefulSet do: each owns
	// the queue keys of one bucket.
	Watchers *int
	// Dir is the folder to work in, made if missing. Empty means a new one in the temporary folder.
	Dir string
	// Keep leaves the folder in place when the stack stops.
	Keep bool
	// Audit writes one line per request to the API server's audit log (AuditLog).
	Audit bool
	// RunTime is how long the pods of TaskRuns take that do not say so themselves. Zero means two seconds.
	RunTime time.Duration
	// Revive starts PAC's watchers again when they end by themselves, as the Deployment of a real cluster does: PAC 0.50 panics when it
	// looks at a cancelled run before Tekton has (pkg/reconciler/status.go, postFinalStatus).
	Revive bool
	// Log is told what goes on, one line at a time; nil means standard error.
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
