package chart

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	psaapi "k8s.io/pod-security-admission/api"
	psa "k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/leaderelection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/observability"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

func TestDefaults(t *testing.T) {
	golden(t, "default.yaml", template(t, set(withPolicy)...))
}

func TestDefaultsMatchTheProgram(t *testing.T) {
	if diff := cmp.Diff(config.Defaults(), configuration(t, render(t, withPolicy))); diff != "" {
		t.Errorf("defaults (-program +chart):\n%s", diff)
	}
}

// Argo CD leaves out objects of these kinds unless it is configured otherwise, and warns about an
// application that has them.
func TestArgoCDLeavesNothingOut(t *testing.T) {
	leftOut := []string{
		"Endpoints", "EndpointSlice", "Lease", "TokenReview", "SubjectAccessReview", "LocalSubjectAccessReview",
		"SelfSubjectAccessReview", "CertificateSigningRequest", "CertificateRequest",
	}
	for _, kubernetes := range []string{withPolicy, older} {
		for _, o := range render(t, kubernetes) {
			if slices.Contains(leftOut, o.GetKind()) {
				t.Errorf("Argo CD leaves out %s", o)
			}
		}
	}
}

// configuration parses the ConfigMaps as the program does.
func configuration(t *testing.T, objects []object) config.Config {
	t.Helper()
	data := func(suffix string) map[string]string {
		return get[*corev1.ConfigMap](t, objects, "ConfigMap pac-lease-queue/pac-lease-queue-config"+suffix).Data
	}
	read := config.Read(data(""))
	_, err2 := leaderelection.NewConfigFromMap(data("-leader-election"))
	_, err3 := logging.NewConfigFromMap(data("-logging"))
	_, err4 := observability.NewFromMap(data("-observability"))
	if err := errors.Join(read.Wrong, err2, err3, err4); err != nil || len(read.Unknown) > 0 {
		t.Errorf("the program refuses its ConfigMaps: %v; it ignores the settings %q", err, read.Unknown)
	}
	return read.Config
}

// holds returns the kinds of the objects that make up the hold, sorted.
func holds(objects []object) (found []string) {
	for _, o := range objects {
		if strings.HasSuffix(o.GetName(), "-hold") || strings.Contains(o.GetName(), "-webhook") {
			found = append(found, o.GetKind())
		}
	}
	slices.Sort(found)
	return found
}

func TestHold(t *testing.T) {
	policy := []string{"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}
	webhook := []string{"MutatingWebhookConfiguration", "Secret", "Service"}
	// APIs of a cluster that helm talks to.
	const pods, policies = "v1/Pod", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
	for name, c := range map[string]struct {
		kubernetes string
		apis       []string
		values     []string
		want       []string
	}{
		"by version":                                    {withPolicy, nil, nil, policy},
		"by version, a vendor's":                        {"1.36.2-gke.100", nil, nil, policy},
		"by version, a prerelease":                      {"1.36.0-alpha.1", nil, nil, policy},
		"by version, an older one":                      {older, nil, nil, webhook},
		"by the APIs of the cluster":                    {withPolicy, []string{pods, policies}, nil, policy},
		"by the APIs of an older cluster":               {older, []string{pods, policies}, nil, policy},
		"by the lack of the API":                        {withPolicy, []string{pods}, nil, webhook},
		"policy by value":                               {withPolicy, nil, []string{"admission.hold=policy"}, policy},
		"webhook by value":                              {withPolicy, nil, []string{"admission.hold=webhook"}, webhook},
		"none by value":                                 {withPolicy, nil, []string{"admission.hold=none"}, nil},
		"none when everything is handed back":           {withPolicy, nil, []string{"handBack=true"}, nil},
		"no webhook when everything is handed back":     {older, nil, []string{"handBack=true"}, nil},
		"missing policy when everything is handed back": {older, nil, []string{"handBack=true", "admission.hold=policy"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := set(c.kubernetes, c.values...)
			for _, api := range c.apis {
				args = append(args, "--api-versions", api)
			}
			if diff := cmp.Diff(c.want, holds(parse(t, template(t, args...)))); diff != "" {
				t.Errorf("the hold (-want +got):\n%s", diff)
			}
		})
	}
}

// Policy and webhook match the same requests: the one condition of the policy is those of the
// webhooks, in their order.
func TestHoldsAgree(t *testing.T) {
	for _, values := range [][]string{nil, {"watchNamespaces={shop,bank}"}, {"pac.namespace=openshift-pipelines"}} {
		policy := get[*admissionregistrationv1.MutatingAdmissionPolicy](
			t, render(t, withPolicy, values...), "MutatingAdmissionPolicy pac-lease-queue-hold")
		constraints := policy.Spec.MatchConstraints
		type requests struct {
			Rules                []admissionregistrationv1.RuleWithOperations
			Namespaces           any
			MatchPolicy, Failure string
			Reinvocation         string
		}
		first := requests{
			nil, constraints.NamespaceSelector,
			string(*constraints.MatchPolicy), string(*policy.Spec.FailurePolicy), string(policy.Spec.ReinvocationPolicy),
		}
		for _, rule := range constraints.ResourceRules {
			first.Rules = append(first.Rules, rule.RuleWithOperations)
		}
		var conditions []string
		for _, webhook := range get[*admissionregistrationv1.MutatingWebhookConfiguration](
			t, render(t, older, values...), "MutatingWebhookConfiguration pac-lease-queue-hold").Webhooks {
			second := requests{
				webhook.Rules, webhook.NamespaceSelector,
				string(*webhook.MatchPolicy), string(*webhook.FailurePolicy), string(*webhook.ReinvocationPolicy),
			}
			want := first
			if webhook.Name == "kueue.pac-lease-queue.dev" {
				// It is asked about every new run of Pipelines-as-Code, with Kueue or without.
				want.Failure = string(admissionregistrationv1.Ignore)
			}
			if diff := cmp.Diff(want, second); diff != "" {
				t.Errorf("%s with %v (-policy +webhook):\n%s", webhook.Name, values, diff)
			}
			if len(webhook.MatchConditions) != 1 {
				t.Fatalf("%s has the conditions %v, want one", webhook.Name, webhook.MatchConditions)
			}
			conditions = append(conditions, webhook.MatchConditions[0].Expression)
		}
		if len(policy.Spec.MatchConditions) != 1 {
			t.Fatalf("the policy has the conditions %v, want one", policy.Spec.MatchConditions)
		}
		if diff := cmp.Diff(policy.Spec.MatchConditions[0].Expression, strings.Join(conditions, " || ")); diff != "" {
			t.Errorf("the conditions with %v (-policy +webhooks):\n%s", values, diff)
		}
	}
}

// pods returns the pods of all objects in the release, by the object that creates them.
func pods(objects []object) map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for _, o := range objects {
		switch typed := o.typed.(type) {
		case *appsv1.Deployment:
			found[o.String()] = typed.Spec.Template
		case *batchv1.Job:
			found[o.String()] = typed.Spec.Template
		case *corev1.Pod:
			found[o.String()] = corev1.PodTemplateSpec{ObjectMeta: typed.ObjectMeta, Spec: typed.Spec}
		}
	}
	return found
}

func TestPods(t *testing.T) {
	evaluator, err := psa.NewEvaluator(psa.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kubernetes := range []string{withPolicy, older} {
		objects := render(t, kubernetes)
		found := pods(objects)
		if len(found) != 3 {
			t.Fatalf("%d objects create pods, want three: replicas, hand-back and check", len(found))
		}
		for what, pod := range found {
			restricted := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
			verdict := psa.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
			if !verdict.Allowed {
				t.Errorf("Pod Security \"restricted\" refuses %s: %s", what, verdict.ForbiddenDetail())
			}
			container := pod.Spec.Containers[0]
			if !*container.SecurityContext.ReadOnlyRootFilesystem {
				t.Errorf("%s has a writable root file system", what)
			}
			if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s has no request for CPU or no limit of memory", what)
			}
			// Services, the disruption budget and the Deployment select pods by labels, so only
			// replicas may have theirs.
			replica := pod.Labels["app.kubernetes.io/component"] == "controller"
			if isReplica := strings.HasPrefix(what, "Deployment"); replica != isReplica {
				t.Errorf("%s has the labels %v", what, pod.Labels)
			}
		}
		for _, o := range objects {
			if account, ok := o.typed.(*corev1.ServiceAccount); ok && ptr.Deref(account.AutomountServiceAccountToken, true) {
				t.Errorf("%s mounts its token into every pod", o)
			}
		}
	}
}

// The security context constraints "restricted-v2" of OpenShift assign a user, groups and SELinux
// options to every pod, and refuse a pod that chooses its own.
func TestPodsFitOpenShift(t *testing.T) {
	for _, kubernetes := range []string{withPolicy, older} {
		for o, pod := range pods(render(t, kubernetes, "pac.namespace=openshift-pipelines")) {
			spec := pod.Spec
			if spec.HostNetwork || spec.HostPID || spec.HostIPC {
				t.Errorf("%s shares a namespace with its node", o)
			}
			own := spec.SecurityContext
			if own.RunAsUser != nil || own.RunAsGroup != nil || own.FSGroup != nil || own.SELinuxOptions != nil ||
				len(own.SupplementalGroups) > 0 || own.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s chooses for itself what OpenShift assigns: %v", o, own)
			}
			if len(spec.Volumes) > 0 {
				t.Errorf("%s has volumes, whose kinds OpenShift may refuse: %v", o, spec.Volumes)
			}
			for _, c := range spec.Containers {
				sc := c.SecurityContext
				if sc.RunAsUser != nil || sc.RunAsGroup != nil || sc.SELinuxOptions != nil || *sc.AllowPrivilegeEscalation ||
					ptr.Deref(sc.Privileged, false) || !slices.Contains(sc.Capabilities.Drop, "ALL") || len(sc.Capabilities.Add) > 0 {
					t.Errorf("%s chooses for itself what OpenShift assigns: %v", o, sc)
				}
				for _, port := range c.Ports {
					if port.HostPort != 0 {
						t.Errorf("%s takes port %d of its node", o, port.HostPort)
					}
				}
			}
		}
	}
}

// Names are valid however long the name of the release is, or what overrides it.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("r", 53)
	for _, c := range []struct{ release, override string }{
		{long, ""},
		{strings.Repeat("r", 20) + "-" + product + strings.Repeat("-r", 8), ""},
		{long, "nameOverride=" + strings.Repeat("n", 15)},
		{"ci", "fullnameOverride=" + strings.Repeat("n", 40)},
	} {
		values := []string{"watchNamespaces={shop}"}
		if c.override != "" {
			values = append(values, c.override)
		}
		out, err := runHelm(t, "template", c.release, set(older, values...)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range parse(t, out) {
			problems := validation.IsDNS1123Subdomain(o.GetName())
			if len(problems) > 0 || len(o.GetName()) > validation.DNS1123LabelMaxLength {
				t.Errorf("%s (%d characters): %v", o, len(o.GetName()), problems)
			}
			for _, value := range o.GetLabels() {
				if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
					t.Errorf("%s: label %q: %v", o, value, problems)
				}
			}
		}
	}
}

// A registry takes the place of the one in the repository, for every pod; the chart's own value
// comes before that of all charts.
func TestRegistry(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   string
	}{
		{nil, "ghcr.io/pac-lease-queue/pac-lease-queue"},
		{[]string{"image.registry=registry.example.com:5000/mirror"}, "registry.example.com:5000/mirror/pac-lease-queue/pac-lease-queue"},
		{[]string{"global.imageRegistry=registry.example.com"}, "registry.example.com/pac-lease-queue/pac-lease-queue"},
		{[]string{"global.imageRegistry=a.example.com", "image.registry=b.example.com"}, "b.example.com/pac-lease-queue/pac-lease-queue"},
		{[]string{"image.registry=registry.example.com", "image.repository=team/queue"}, "registry.example.com/team/queue"},
		{[]string{"image.registry=registry.example.com", "image.repository=localhost/team/queue"}, "registry.example.com/team/queue"},
	} {
		for what, pod := range pods(render(t, withPolicy, append(c.values, "image.tag=v1")...)) {
			if got := pod.Spec.Containers[0].Image; got != c.want+":v1" {
				t.Errorf("with %q the image of %s is %s, want %s", c.values, what, got, c.want+":v1")
			}
		}
	}
}

// The templates refuse values that contradict each other or the cluster, and say what to set
// instead.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		kubernetes string
		values     []string
		want       string
	}{
		"memory in two replicas": {
			withPolicy,
			[]string{"concurrency.backend=memory"},
			`concurrency.backend is "memory", which works with one replica only, but replicaCount is 2. ` +
				`Set replicaCount to 1, or concurrency.backend to "lease".`,
		},
		"policy on an older cluster": {
			older,
			[]string{"admission.hold=policy"},
			`admission.hold is "policy", but this cluster (Kubernetes v1.35.4) does not serve ` +
				`MutatingAdmissionPolicy in admissionregistration.k8s.io/v1, which Kubernetes has from 1.36 on. ` +
				`Set admission.hold to "auto" or "webhook", or upgrade the cluster. ` +
				`If you render without a cluster, name its version with --kube-version.`,
		},
		"guard on an older cluster": {
			"1.29.9", nil,
			`admission.guard.enabled is true, but this cluster (Kubernetes v1.29.9) has no ValidatingAdmissionPolicy, ` +
				`which Kubernetes has from 1.30 on. Set admission.guard.enabled to false, or upgrade the cluster. ` +
				`If you render without a cluster, name its version with --kube-version.`,
		},
		"a cluster too old for Tekton": {
			"1.27.0", nil,
			"chart requires kubeVersion: >=1.28.0-0 which is incompatible with Kubernetes v1.27.0",
		},
		"no service account": {
			withPolicy,
			[]string{"serviceAccount.create=false"},
			`serviceAccount.create is false, but serviceAccount.name is empty. ` +
				`Set serviceAccount.name to an account that only pac-lease-queue uses, or serviceAccount.create to true.`,
		},
		"nothing to scrape": {
			withPolicy,
			[]string{"serviceMonitor.enabled=true", "metrics.enabled=false"},
			`serviceMonitor.enabled is true, but there is no metrics Service to scrape. ` +
				`Set metrics.enabled and metrics.service.enabled to true, or serviceMonitor.enabled to false.`,
		},
		"no metrics to secure": {
			withPolicy,
			[]string{"metrics.secure.enabled=true", "metrics.enabled=false"},
			`metrics.secure.enabled is true, but metrics.enabled is false, so there are no metrics to serve. ` +
				`Set metrics.enabled to true, or metrics.secure.enabled to false.`,
		},
		"a port that is taken": {
			withPolicy,
			[]string{"metrics.port=8080"},
			"metrics.port is 8080, but probes.port has that port. Set metrics.port to another one.",
		},
		"one port for two": {
			older,
			[]string{"admission.webhook.port=9090"},
			"metrics.port is 9090, but admission.webhook.port has that port. Set metrics.port to another one.",
		},
		"the port of the debug view": {
			withPolicy,
			[]string{"probes.port=8008"},
			"probes.port is 8008, but the debug view has that port. Set probes.port to another one.",
		},
		"the kubelet's port": {
			older,
			[]string{"hostNetwork=true", "admission.webhook.port=10250"},
			"admission.webhook.port is 10250, but the kubelet, because of hostNetwork, has that port. " +
				"Set admission.webhook.port to another one.",
		},
		"no DNS server": {
			withPolicy,
			[]string{"dnsPolicy=None"},
			`dnsPolicy is "None", but dnsConfig.nameservers is empty, so the pods could resolve no name. ` +
				`Set dnsConfig.nameservers, or another dnsPolicy.`,
		},
		"alerts without metrics": {
			withPolicy,
			[]string{"prometheusRule.enabled=true", "metrics.enabled=false"},
			`prometheusRule.enabled is true, but metrics.enabled is false, so the alerts would have no metrics. ` +
				`Set metrics.enabled to true, or prometheusRule.enabled to false.`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, c.want, set(c.kubernetes, c.values...)...)
		})
	}
}

// The values schema refuses unknown names, wrong types and values out of range.
func TestSchemaRefusals(t *testing.T) {
	for value, want := range map[string]string{
		// unknown names and choices
		"concurency.backend=lease": "at '': additional properties 'concurency' not allowed",
		"concurrency.claimTtl=1s":  "at '/concurrency': additional properties 'claimTtl' not allowed",
		"concurrency.backend=etcd": "at '/concurrency/backend': value must be one of 'lease', 'memory'",
		"admission.hold=cel":       "at '/admission/hold': value must be one of 'auto', 'policy', 'webhook', 'none'",
		// durations: without a unit, in words, only in Go's syntax, empty
		"concurrency.claimTTL=30":         "at '/concurrency/claimTTL': got number, want string",
		"concurrency.orderGrace=soon":     "at '/concurrency/orderGrace': 'soon' does not match pattern",
		"prometheusRule.stalledFor=500ms": "at '/prometheusRule/stalledFor': '500ms' does not match pattern",
		"prometheusRule.outOfSyncFor=":    "at '/prometheusRule/outOfSyncFor': minLength: got 0, want 2",
		// numbers out of range; port 80 needs privileges
		"replicaCount=0":                "at '/replicaCount': minimum: got 0, want 1",
		"leaderElection.buckets=11":     "at '/leaderElection/buckets': maximum: got 11, want 10",
		"runAnnotations.positions=1001": "at '/runAnnotations/positions': maximum: got 1,001, want 1,000",
		"texts.perSecond=0":             "at '/texts/perSecond': minimum: got 0, want 1",
		"metrics.maxQueues=1001":        "at '/metrics/maxQueues': maximum: got 1,001, want 1,000",
		"metrics.port=80":               "at '/metrics/port': minimum: got 80, want 1,024",
		"probes.port=80":                "at '/probes/port': minimum: got 80, want 1,024",
		"admission.webhook.port=443":    "at '/admission/webhook/port': minimum: got 443, want 1,024",
		// names: invalid, twice, with a quote that would end a string in CEL, a tag in place of a
		// digest
		"watchNamespaces={Shop}":                 "at '/watchNamespaces/0': 'Shop' does not match pattern",
		"watchNamespaces={shop,shop}":            "at '/watchNamespaces': items at 0 and 1 are equal",
		"admission.guard.breakGlassGroups={a'b}": "at '/admission/guard/breakGlassGroups/0': 'a\\'b' does not match pattern",
		"image.digest=v1":                        "at '/image/digest': 'v1' does not match pattern",
		"image.registry=registry.example.com/":   "at '/image/registry': 'registry.example.com/' does not match pattern",
		"nameOverride=Queue":                     "at '/nameOverride': 'Queue' does not match pattern",
		"nameOverride=pipelines-queue1":          "at '/nameOverride': maxLength: got 16, want 15",
		"fullnameOverride=-queue":                "at '/fullnameOverride': '-queue' does not match pattern",
		// wrong types
		"podLabels.generation=2": "at '/podLabels/generation': got number, want string",
		"extraObjects[0].kind=A": "at '/extraObjects/0': missing property 'apiVersion'",
		"tolerations=all":        "at '/tolerations': got string, want array",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, want, set(withPolicy, value)...)
		})
	}
}

// wantRefusal fails the test unless helm refuses to render the chart, with an error that contains
// want.
func wantRefusal(t *testing.T, want string, args ...string) {
	t.Helper()
	if _, err := runHelm(t, "template", product, args...); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("helm fails with\n%v\nwant an error with\n%s", err, want)
	}
}

func TestNotes(t *testing.T) {
	var b strings.Builder
	for _, values := range [][]string{
		nil,
		{"admission.hold=webhook", "watchNamespaces={shop,bank}"},
		{
			"concurrency.backend=memory", "replicaCount=1",
			"admission.hold=none", "admission.guard.enabled=false", "uninstall.handBack=false",
		},
		{"handBack=true"},
	} {
		args := []string{"--dry-run=client"}
		for _, v := range values {
			args = append(args, "--set", v)
		}
		out, err := runHelm(t, "install", product, args...)
		if err != nil {
			t.Fatal(err)
		}
		_, notes, _ := strings.Cut(out, "\nNOTES:\n")
		b.WriteString("# " + strings.Join(append([]string{"helm install"}, values...), " ") + "\n" + notes + "\n")
	}
	golden(t, "notes", b.String())
}
