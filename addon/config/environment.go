package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Names by which the cluster knows an installation.
const (
	// Component names the controller in leader election, logs and events.
	Component = "pac-lease-queue"
	// Selector selects the objects that the chart installs.
	Selector = SelectorLabel + "=" + Component
	// SelectorLabel is the label in Selector.
	SelectorLabel = "app.kubernetes.io/name"
	// DefaultNamespace is where the documentation installs the chart.
	DefaultNamespace = Component

	defaultDeployment = Component
	defaultConfigMap  = Component + "-config"
)

// Environment variables that the chart sets and this product reads.
const (
	EnvNamespace      = "SYSTEM_NAMESPACE"
	EnvConfigMap      = "CONFIG_NAME"
	EnvDeployment     = "DEPLOYMENT_NAME"
	EnvWatched        = "WATCH_NAMESPACES"
	EnvPACConfigMaps  = "PAC_CONFIGMAPS"
	EnvRelease        = "RELEASE"
	EnvRunQueues      = "RUN_QUEUES"
	EnvWithoutPAC     = "WITHOUT_PAC"
	EnvCheckNamespace = "CHECK_NAMESPACE"
	EnvHold           = "HOLD_NAME"
	EnvGuard          = "GUARD_NAME"
	EnvProbesPort     = "PROBES_PORT"
	EnvWebhook        = "HOLD_WEBHOOK"
	EnvWebhookService = "WEBHOOK_SERVICE"
	EnvWebhookSecret  = "WEBHOOK_SECRET"
	EnvWebhookPort    = "WEBHOOK_PORT"

	EnvSecureMetricsPort        = "METRICS_SECURE_PORT"
	EnvSecureMetricsCertificate = "METRICS_SECURE_CERTIFICATE"
)

// Environment variables that the chart sets and knative.dev/pkg reads, besides
// SYSTEM_NAMESPACE and PROBES_PORT.
const (
	EnvPodName               = "POD_NAME"
	EnvLogging               = "CONFIG_LOGGING_NAME"
	EnvObservability         = "CONFIG_OBSERVABILITY_NAME"
	EnvLeaderElection        = "CONFIG_LEADERELECTION_NAME"
	EnvMetricsPort           = "METRICS_PROMETHEUS_PORT"
	EnvMetricsHost           = "METRICS_PROMETHEUS_HOST"
	EnvKubernetesMinimum     = "KUBERNETES_MIN_VERSION"
	defaultProbesPort    int = 8080

	loopback = "127.0.0.1"
)

// mostPACConfigMaps bounds what is watched for PAC's settings. The schema of the chart has it, too.
const mostPACConfigMaps = 16

// Environment is the contract between the chart and the program: what the process of one
// installation is told in environment variables.
type Environment struct {
	// Namespace is where the product is installed.
	Namespace string
	// ConfigMap and Deployment are the names of the product's there.
	ConfigMap, Deployment string
	// Watched are the namespaces whose queues the installation works on.
	Watched Namespaces
	// PACConfigMaps are those of PAC's further controllers, in PAC's namespace.
	PACConfigMaps []string
	// Release says when the slot of a run that is over is free.
	Release Release
	// RunQueues says that RunQueues shape and show queues, and that any PipelineRun may name one in
	// its label.
	RunQueues bool
	// WithoutPAC says that nothing of PAC is watched: only runs that are labelled are queued.
	WithoutPAC bool
	// CheckNamespace is a watched namespace in which `check` may ask for runs.
	CheckNamespace string
	// Hold and Guard are the names of the policies or webhooks that the chart installs;
	// empty for one that is switched off.
	Hold, Guard string
	ProbesPort  int
	// Webhook is nil unless the replicas serve the hold as a webhook.
	Webhook *Webhook
	// SecureMetrics is nil unless the replicas serve metrics over TLS, to authorized clients only.
	SecureMetrics *SecureMetrics
}

// SecureMetrics says how the replicas serve metrics over TLS.
type SecureMetrics struct {
	Port int
	// Certificate is the directory of the certificate; empty for one that the replica signs itself.
	Certificate string
}

// Release says when the slot of a run that is over is free. The zero value is [ReleaseDone].
type Release string

const (
	// ReleaseDone is as soon as the run is done, whatever a queue wants: no pods are seen.
	ReleaseDone Release = "done"
	// ReleasePerQueue is as each queue wants it, and as soon as the run is done if it does not say.
	ReleasePerQueue Release = "perQueue"
	// ReleasePodsGone is once the pods of the run are gone, too, unless a queue wants it otherwise.
	ReleasePodsGone Release = "podsGone"
)

// SeesPods says whether slots can be kept for pods, for which the replicas watch them.
func (r Release) SeesPods() bool { return r == ReleasePerQueue || r == ReleasePodsGone }

// Of is when a slot is free in a queue that wants it so.
func (r Release) Of(wanted queue.ReleaseWhen) queue.ReleaseWhen {
	switch {
	case r == ReleasePodsGone && wanted == queue.ReleaseByDefault:
		return queue.ReleaseWhenPodsGone
	case r.SeesPods() && wanted == queue.ReleaseWhenPodsGone:
		return queue.ReleaseWhenPodsGone
	default:
		return queue.ReleaseWhenDone
	}
}

// Webhook says how the replicas serve the hold as a webhook.
type Webhook struct {
	// Configuration is the MutatingWebhookConfiguration; Service and Secret are in the
	// namespace of the installation.
	Configuration, Service, Secret string
	Port                           int
}

// Namespaces is a set of namespaces; the empty set stands for all.
type Namespaces []string

// All says whether these are all namespaces.
func (n Namespaces) All() bool { return len(n) == 0 }

// Contains says whether a namespace is one of them.
func (n Namespaces) Contains(namespace string) bool { return n.All() || slices.Contains(n, namespace) }

// Each returns the namespaces to list and watch, one request each:
// [metav1.NamespaceAll] alone if these are all.
func (n Namespaces) Each() []string {
	if n.All() {
		return []string{metav1.NamespaceAll}
	}
	return n
}

// ReadEnvironment reads the variables, fills in defaults and validates. The error names
// every variable that cannot be used; the Environment then has the default in its place,
// for callers who only look at an installation.
func ReadEnvironment(get func(string) string) (Environment, error) {
	r := envReader{get: get}
	e := Environment{
		Namespace:     r.label(EnvNamespace),
		ConfigMap:     cmp.Or(r.name(EnvConfigMap), defaultConfigMap),
		Deployment:    cmp.Or(r.name(EnvDeployment), defaultDeployment),
		Watched:       r.names(EnvWatched, "a namespace", "unset it for all", validation.IsDNS1123Label),
		PACConfigMaps: r.names(EnvPACConfigMaps, "a ConfigMap", "unset it for none", validation.IsDNS1123Subdomain),
		Release:       r.release(),
		RunQueues:     r.bool(EnvRunQueues),
		WithoutPAC:    r.bool(EnvWithoutPAC),
		Hold:          r.name(EnvHold),
		Guard:         r.name(EnvGuard),
		ProbesPort:    cmp.Or(r.port(EnvProbesPort), defaultProbesPort),
		SecureMetrics: r.secureMetrics(),
	}
	e.CheckNamespace = cmp.Or(r.label(EnvCheckNamespace), e.Namespace)
	if get(EnvNamespace) == "" {
		r.wrong = append(r.wrong, fmt.Errorf("%s is not set: it must name the namespace that pac-lease-queue is installed in",
			EnvNamespace))
	}
	if many := len(e.PACConfigMaps); many > mostPACConfigMaps {
		r.wrong = append(r.wrong, fmt.Errorf("%s has %d names, more than %d", EnvPACConfigMaps, many, mostPACConfigMaps))
		e.PACConfigMaps = nil
	}
	webhook, err := r.webhook()
	e.Webhook = webhook
	return e, errors.Join(append(r.wrong, err)...)
}

// envReader reads single variables and collects what is wrong with them.
type envReader struct {
	get   func(string) string
	wrong []error
}

// checked returns the value of a variable, or nothing if it has problems.
func (r *envReader) checked(variable, kind string, problems func(string) []string) string {
	value := r.get(variable)
	if value == "" {
		return ""
	}
	if found := problems(value); len(found) > 0 {
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q, not %s: %s", variable, value, kind, strings.Join(found, "; ")))
		return ""
	}
	return value
}

func (r *envReader) name(variable string) string {
	return r.checked(variable, "the name of an object", validation.IsDNS1123Subdomain)
}

func (r *envReader) label(variable string) string {
	return r.checked(variable, "the name of a namespace", validation.IsDNS1123Label)
}

// names reads names that are separated by commas, each once. A list without a single name must not
// pass for an absent one: without namespaces, all of them are meant.
func (r *envReader) names(variable, of, unset string, problems func(string) []string) []string {
	value := strings.TrimSpace(r.get(variable))
	if value == "" {
		return nil
	}
	var all []string
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		switch found := problems(name); {
		case name == "":
			r.wrong = append(r.wrong, fmt.Errorf("%s is %q, with an empty name in it: separate names by one comma, or %s",
				variable, value, unset))
		case len(found) > 0:
			r.wrong = append(r.wrong, fmt.Errorf("%s has %q, not the name of %s: %s", variable, name, of, strings.Join(found, "; ")))
		case !slices.Contains(all, name):
			all = append(all, name)
		}
	}
	return all
}

func (r *envReader) release() Release {
	switch value := Release(cmp.Or(r.get(EnvRelease), string(ReleaseDone))); value {
	case ReleaseDone, ReleasePerQueue, ReleasePodsGone:
		return value
	default:
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q: want done, perQueue or podsGone", EnvRelease, value))
		return ReleaseDone
	}
}

// bool is false for a variable that is not set.
func (r *envReader) bool(variable string) bool {
	switch value := r.get(variable); value {
	case "true":
		return true
	case "", "false":
	default:
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q, neither true nor false", variable, value))
	}
	return false
}

// port returns 0 for a variable that is not set or no port number.
func (r *envReader) port(variable string) int {
	value := r.get(variable)
	if value == "" {
		return 0
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q, not a port number", variable, value))
		return 0
	}
	return int(port)
}

// secureMetrics reads nothing but the first variable if that is not set. Metrics that some clients
// may not read must not be on a second port that all can reach.
func (r *envReader) secureMetrics() *SecureMetrics {
	if r.get(EnvSecureMetricsPort) == "" {
		return nil
	}
	if host := r.get(EnvMetricsHost); host != loopback {
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q: it must be %s, because %s restricts who may read metrics",
			EnvMetricsHost, host, loopback, EnvSecureMetricsPort))
	}
	return &SecureMetrics{Port: r.port(EnvSecureMetricsPort), Certificate: r.get(EnvSecureMetricsCertificate)}
}

// webhook reads nothing but the first variable if that is not set.
func (r *envReader) webhook() (*Webhook, error) {
	if r.get(EnvWebhook) == "" {
		return nil, nil
	}
	own := envReader{get: r.get}
	w := Webhook{
		Configuration: own.name(EnvWebhook), Service: own.name(EnvWebhookService), Secret: own.name(EnvWebhookSecret),
		Port: own.port(EnvWebhookPort),
	}
	for _, required := range []struct{ variable, names string }{
		{EnvWebhookService, "name the Service through which the API server reaches the webhook"},
		{EnvWebhookSecret, "name the Secret with the webhook's certificate"},
		{EnvWebhookPort, "be the port that serves the webhook"},
	} {
		if r.get(required.variable) == "" {
			own.wrong = append(own.wrong, fmt.Errorf("%s is not set: it must %s", required.variable, required.names))
		}
	}
	if err := errors.Join(own.wrong...); err != nil {
		return &w, fmt.Errorf("%s turns on the hold as a webhook: %w", EnvWebhook, err)
	}
	return &w, nil
}
