package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

func TestReadEnvironment(t *testing.T) {
	defaults := config.Environment{
		Namespace: "tools", ConfigMap: "pac-lease-queue-config", Deployment: "pac-lease-queue", CheckNamespace: "tools", ProbesPort: 8080,
		Release: config.ReleaseDone,
	}
	but := func(change func(*config.Environment)) config.Environment {
		e := defaults
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		variables map[string]string
		want      config.Environment
		wrong     []string // parts of the error
	}{
		"defaults": {nil, defaults, nil},
		"everything": {
			map[string]string{
				config.EnvConfigMap: "queue-config", config.EnvDeployment: "queue", config.EnvWatched: "shop,bank",
				config.EnvPACConfigMaps:  "ghe-configmap,other.configmap",
				config.EnvCheckNamespace: "shop",
				config.EnvHold:           "queue-hold", config.EnvGuard: "queue-guard", config.EnvProbesPort: "8081",
				config.EnvWebhook: "queue-hold", config.EnvWebhookService: "queue", config.EnvWebhookSecret: "queue-certs",
				config.EnvWebhookPort:       "8443",
				config.EnvSecureMetricsPort: "9090", config.EnvSecureMetricsCertificate: "/certs", config.EnvMetricsHost: "127.0.0.1",
			},
			config.Environment{
				Namespace: "tools", ConfigMap: "queue-config", Deployment: "queue", Watched: config.Namespaces{"shop", "bank"},
				PACConfigMaps:  []string{"ghe-configmap", "other.configmap"},
				CheckNamespace: "shop", Release: config.ReleaseDone,
				Hold: "queue-hold", Guard: "queue-guard", ProbesPort: 8081,
				Webhook:       &config.Webhook{Configuration: "queue-hold", Service: "queue", Secret: "queue-certs", Port: 8443},
				SecureMetrics: &config.SecureMetrics{Port: 9090, Certificate: "/certs"},
			},
			nil,
		},
		"no namespace": {
			map[string]string{config.EnvNamespace: ""},
			but(func(e *config.Environment) { e.Namespace, e.CheckNamespace = "", "" }),
			[]string{"SYSTEM_NAMESPACE is not set: it must name the namespace"},
		},
		"not a namespace": {
			map[string]string{config.EnvNamespace: "no/where"},
			but(func(e *config.Environment) { e.Namespace, e.CheckNamespace = "", "" }),
			[]string{`SYSTEM_NAMESPACE is "no/where", not the name of a namespace: `},
		},
		"not a ConfigMap": {
			map[string]string{config.EnvConfigMap: "Config"},
			defaults,
			[]string{`CONFIG_NAME is "Config", not the name of an object: `},
		},
		"watched, with spaces": {
			map[string]string{config.EnvWatched: " shop , bank"},
			but(func(e *config.Environment) { e.Watched = config.Namespaces{"shop", "bank"} }), nil,
		},
		"watched twice": {
			map[string]string{config.EnvWatched: "shop,shop"},
			but(func(e *config.Environment) { e.Watched = config.Namespaces{"shop"} }), nil,
		},
		"watched, only a comma": {
			map[string]string{config.EnvWatched: ","},
			defaults,
			[]string{`WATCH_NAMESPACES is ",", with an empty name in it`, "unset it for all"},
		},
		"watched, not one": {
			map[string]string{config.EnvWatched: "shop,Bank"},
			but(func(e *config.Environment) { e.Watched = config.Namespaces{"shop"} }),
			[]string{`WATCH_NAMESPACES has "Bank", not the name of a namespace: `},
		},
		"not a ConfigMap of PAC": {
			map[string]string{config.EnvPACConfigMaps: "ghe,,"},
			but(func(e *config.Environment) { e.PACConfigMaps = []string{"ghe"} }),
			[]string{`PAC_CONFIGMAPS is "ghe,,", with an empty name in it`, "unset it for none"},
		},
		"too many ConfigMaps of PAC": {
			map[string]string{config.EnvPACConfigMaps: "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"},
			defaults,
			[]string{"PAC_CONFIGMAPS has 17 names, more than 16"},
		},
		"slots are kept for pods": {
			map[string]string{config.EnvRelease: "podsGone"}, but(func(e *config.Environment) { e.Release = config.ReleasePodsGone }), nil,
		},
		"queues say when their slots are free": {
			map[string]string{config.EnvRelease: "perQueue"}, but(func(e *config.Environment) { e.Release = config.ReleasePerQueue }), nil,
		},
		"slots are not kept for pods": {map[string]string{config.EnvRelease: "done"}, defaults, nil},
		"who knows when slots are free": {
			map[string]string{config.EnvRelease: "PodsGone"}, defaults, []string{`RELEASE is "PodsGone": want done, perQueue or podsGone`},
		},
		"no port": {map[string]string{config.EnvProbesPort: "http"}, defaults, []string{`PROBES_PORT is "http", not a port number`}},
		"metrics for some, and for all": {
			map[string]string{config.EnvSecureMetricsPort: "9090"},
			but(func(e *config.Environment) { e.SecureMetrics = &config.SecureMetrics{Port: 9090} }),
			[]string{`METRICS_PROMETHEUS_HOST is "": it must be 127.0.0.1, because METRICS_SECURE_PORT restricts who may read metrics`},
		},
		"no port of secure metrics": {
			map[string]string{config.EnvSecureMetricsPort: "https", config.EnvMetricsHost: "127.0.0.1"},
			but(func(e *config.Environment) { e.SecureMetrics = &config.SecureMetrics{} }),
			[]string{`METRICS_SECURE_PORT is "https", not a port number`},
		},
		"two mistakes": {
			map[string]string{config.EnvProbesPort: "0", config.EnvGuard: "?"},
			defaults,
			[]string{`PROBES_PORT is "0"`, `GUARD_NAME is "?"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.ReadEnvironment(func(variable string) string {
				value, set := c.variables[variable]
				if !set && variable == config.EnvNamespace {
					return "tools"
				}
				return value
			})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			says(t, err, c.wrong)
		})
	}
}

func TestReadEnvironmentOfTheWebhook(t *testing.T) {
	for name, c := range map[string]struct {
		hold, service, secret, port string
		want                        *config.Webhook
		wrong                       []string // parts of the error
	}{
		"no webhook": {service: "s", secret: "c", port: "nonsense"},
		"a webhook":  {"h", "s", "c", "8443", &config.Webhook{Configuration: "h", Service: "s", Secret: "c", Port: 8443}, nil},
		"nothing else": {
			"h", "", "", "", &config.Webhook{Configuration: "h"},
			[]string{"HOLD_WEBHOOK turns on", "WEBHOOK_SERVICE is not set", "WEBHOOK_SECRET is not set", "WEBHOOK_PORT is not set"},
		},
		"not a number": {
			"h", "s", "c", "https", &config.Webhook{Configuration: "h", Service: "s", Secret: "c"},
			[]string{`WEBHOOK_PORT is "https", not a port number`},
		},
		"out of range": {
			"h", "s", "c", "65536", &config.Webhook{Configuration: "h", Service: "s", Secret: "c"},
			[]string{`WEBHOOK_PORT is "65536", not a port number`},
		},
		"no such port": {
			"h", "s", "c", "0", &config.Webhook{Configuration: "h", Service: "s", Secret: "c"},
			[]string{`WEBHOOK_PORT is "0", not a port number`},
		},
		"negative port": {
			"h", "s", "c", "-1", &config.Webhook{Configuration: "h", Service: "s", Secret: "c"},
			[]string{`WEBHOOK_PORT is "-1", not a port number`},
		},
		"not a Service": {
			"h", "a b", "c", "1", &config.Webhook{Configuration: "h", Secret: "c", Port: 1},
			[]string{`WEBHOOK_SERVICE is "a b", not the name of an object`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			variables := map[string]string{
				config.EnvNamespace: "tools", config.EnvWebhook: c.hold, config.EnvWebhookService: c.service,
				config.EnvWebhookSecret: c.secret, config.EnvWebhookPort: c.port,
			}
			got, err := config.ReadEnvironment(func(variable string) string { return variables[variable] })
			if diff := cmp.Diff(c.want, got.Webhook); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			says(t, err, c.wrong)
		})
	}
}

func TestNamespaces(t *testing.T) {
	two := config.Namespaces{"shop", "bank"}
	if two.All() || !two.Contains("bank") || two.Contains("other") || !cmp.Equal(two.Each(), []string{"shop", "bank"}) {
		t.Errorf("two namespaces: %t, %v", two.All(), two.Each())
	}
	var all config.Namespaces
	if !all.All() || !all.Contains("other") || !cmp.Equal(all.Each(), []string{""}) {
		t.Errorf("all namespaces: %t, %v", all.All(), all.Each())
	}
}

// says fails the test unless the error has all of these parts, or there is none if none is
// wanted.
func says(t *testing.T, err error, parts []string) {
	t.Helper()
	if (err == nil) != (parts == nil) {
		t.Fatalf("the error is %v, want %q", err, parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}
