package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// values are all values of the chart. Each is set as given here, together with the values in
// besides, without which it has no effect. testdata/values contains the resulting changes in the
// objects. A value that renames changes nothing but what the names of all objects begin with.
var values = []struct {
	name, json string
	besides    []string
	renames    string
}{
	{name: "replicaCount", json: `3`},
	{name: "concurrency.backend", json: `"memory"`, besides: []string{"replicaCount=1"}},
	{name: "concurrency.release", json: `"perQueue"`},
	{name: "concurrency.claimTTL", json: `"40s"`},
	{name: "concurrency.takeoverAfter", json: `"2500ms"`},
	{name: "concurrency.recoveryInterval", json: `"2s"`},
	{name: "concurrency.orderGrace", json: `"1m30s"`},
	{name: "concurrency.readinessGrace", json: `"2m"`},
	{name: "concurrency.backoffBase", json: `"1s"`},
	{name: "concurrency.backoffMax", json: `"1h"`},
	{name: "admission.hold", json: `"webhook"`},
	{name: "admission.webhook.port", json: `10250`, besides: []string{"admission.hold=webhook"}},
	{name: "admission.guard.enabled", json: `false`},
	{name: "admission.guard.leases", json: `false`},
	{name: "admission.guard.ownAccount", json: `false`},
	{name: "admission.guard.breakGlassGroups", json: `["admins", "on-call"]`},
	{name: "handBack", json: `true`},
	{name: "uninstall.handBack", json: `false`},
	{name: "uninstall.handBackTimeout", json: `"4m"`},
	{name: "uninstall.confirm", json: `false`},
	{name: "kueue.accounts", json: `["kueue"]`},
	{name: "pac.enabled", json: `false`},
	{name: "pac.namespace", json: `"openshift-pipelines"`},
	{name: "pac.globalRepository", json: `"everybody"`},
	{name: "pac.configMaps", json: `["pipelines-as-code", "ghe-configmap"]`},
	{name: "watchNamespaces", json: `["shop", "bank"]`},
	{name: "leaderElection.buckets", json: `3`},
	{name: "leaderElection.leaseDuration", json: `"30s"`},
	{name: "leaderElection.renewDeadline", json: `"12s"`},
	{name: "leaderElection.retryPeriod", json: `"1s"`},
	{name: "nameOverride", json: `"ci"`, renames: "pac-lease-queue-ci"},
	{name: "fullnameOverride", json: `"ci-queue"`, renames: "ci-queue"},
	{name: "image.registry", json: `"registry.example.com:5000/mirror"`},
	{name: "image.repository", json: `"mirror/pac-lease-queue"`},
	{name: "image.tag", json: `"v2"`},
	{name: "image.digest", json: `"sha256:` + strings.Repeat("0a", 32) + `"`, besides: []string{"image.tag=v2"}},
	{name: "image.pullPolicy", json: `"Always"`},
	{name: "imagePullSecrets", json: `[{"name": "registry"}]`},
	{name: "serviceAccount.create", json: `false`, besides: []string{"serviceAccount.name=mine"}},
	{name: "serviceAccount.name", json: `"mine"`},
	{name: "serviceAccount.annotations", json: `{"of": "me"}`},
	{name: "rbac.aggregate", json: `false`},
	{name: "runQueues.enabled", json: `false`},
	{name: "crds.enabled", json: `false`},
	{name: "crds.keep", json: `false`},
	{name: "resources", json: `{"limits": {"cpu": 1, "memory": "512Mi"}}`},
	{name: "probes.port", json: `8081`},
	{name: "probes.liveness", json: `{"failureThreshold": 5}`},
	{name: "probes.readiness", json: `{"periodSeconds": 1}`},
	{name: "terminationGracePeriodSeconds", json: `60`},
	{name: "hostNetwork", json: `true`},
	{name: "dnsPolicy", json: `"Default"`, besides: []string{"hostNetwork=true"}},
	{name: "dnsConfig", json: `{"nameservers": ["192.0.2.53"], "options": [{"name": "ndots", "value": "1"}]}`},
	{name: "flowSchema.enabled", json: `false`},
	{name: "podDisruptionBudget.enabled", json: `false`},
	{name: "podDisruptionBudget.maxUnavailable", json: `"50%"`},
	{name: "nodeSelector", json: `{"disk": "ssd"}`},
	{name: "tolerations", json: `[{"operator": "Exists"}]`},
	{name: "affinity", json: `{"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": ` +
		`[{"weight": 1, "preference": {"matchFields": []}}]}}`},
	{name: "topologySpreadConstraints", json: `[{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
		{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"my": "own"}}}]`},
	{name: "priorityClassName", json: `"high"`},
	{name: "podSecurityContext", json: `{"runAsUser": 1000}`},
	{name: "securityContext", json: `{"runAsGroup": 1000}`},
	{name: "commonLabels", json: `{"team": "ci", "app.kubernetes.io/name": "what selectors go by stays"}`},
	{name: "podLabels", json: `{"team": "ci", "app.kubernetes.io/component": "what selectors go by stays"}`},
	{name: "podAnnotations", json: `{"sidecar": "no"}`},
	{name: "extraEnv", json: `[{"name": "GODEBUG", "value": "http2debug=1"}]`},
	{name: "extraVolumes", json: `[{"name": "ca", "configMap": {"name": "our-ca"}}]`},
	{
		name: "extraVolumeMounts", json: `[{"name": "ca", "mountPath": "/etc/ssl/certs/our-ca.crt", "subPath": "ca.crt"}]`,
		besides: []string{"extraVolumes[0].name=ca", "extraVolumes[0].emptyDir.medium=Memory"},
	},
	{name: "extraObjects", json: `[
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "{{ .Release.Namespace }}"}, "data": {"a": "b"}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two"}, "data": {"replicas": "{{ .Values.replicaCount }}"}}]`},
	{name: "logLevel", json: `"debug"`},
	{name: "metrics.enabled", json: `false`},
	{name: "profiling.enabled", json: `true`},
	{name: "runAnnotations.interval", json: `"1m"`},
	{name: "runAnnotations.positions", json: `0`},
	{name: "texts.perSecond", json: `5`},
	{name: "metrics.port", json: `9191`},
	{name: "metrics.service.enabled", json: `false`},
	{name: "metrics.service.annotations", json: `{"scrape": "yes"}`},
	{name: "metrics.secure.enabled", json: `true`, besides: []string{"serviceMonitor.enabled=true"}},
	{
		name: "metrics.secure.certSecret", json: `"metrics-tls"`,
		besides: []string{"metrics.secure.enabled=true", "serviceMonitor.enabled=true"},
	},
	{
		name: "metrics.secure.readers", json: `[{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]`,
		besides: []string{"metrics.secure.enabled=true"},
	},
	{name: "metrics.maxQueues", json: `5`},
	{name: "serviceMonitor.enabled", json: `true`},
	{name: "serviceMonitor.interval", json: `"10s"`, besides: []string{"serviceMonitor.enabled=true"}},
	{name: "serviceMonitor.labels", json: `{"release": "prometheus"}`, besides: []string{"serviceMonitor.enabled=true"}},
	{
		name: "serviceMonitor.authorization", json: `{"credentials": {"name": "token", "key": "token"}}`,
		besides: []string{"metrics.secure.enabled=true", "serviceMonitor.enabled=true"},
	},
	{
		name: "serviceMonitor.tlsConfig", json: `{"ca": {"configMap": {"name": "issuer", "key": "ca.crt"}}}`,
		besides: []string{"metrics.secure.enabled=true", "serviceMonitor.enabled=true"},
	},
	{name: "prometheusRule.enabled", json: `true`},
	{name: "prometheusRule.labels", json: `{"release": "prometheus"}`, besides: []string{"prometheusRule.enabled=true"}},
	{name: "prometheusRule.stalledFor", json: `"20m"`, besides: []string{"prometheusRule.enabled=true"}},
	{name: "prometheusRule.limitExceededFor", json: `"30s"`, besides: []string{"prometheusRule.enabled=true"}},
	{name: "prometheusRule.recoveryBusyFor", json: `"1h"`, besides: []string{"prometheusRule.enabled=true"}},
	{name: "prometheusRule.outOfSyncFor", json: `"1m30s"`, besides: []string{"prometheusRule.enabled=true"}},
	{name: "dashboards.enabled", json: `true`},
	{name: "dashboards.labels", json: `{"dashboards": "yes"}`, besides: []string{"dashboards.enabled=true"}},
	{name: "dashboards.annotations", json: `{"grafana_folder": "Tekton"}`, besides: []string{"dashboards.enabled=true"}},
	{name: "board.enabled", json: `true`},
	{name: "board.replicaCount", json: `2`, besides: []string{"board.enabled=true"}},
	{name: "board.namespaces", json: `["shop"]`, besides: []string{"board.enabled=true"}},
	{name: "board.auth", json: `"kubernetes"`, besides: []string{"board.enabled=true"}},
	{name: "board.console", json: `"https://tekton.example.com/{{ namespace }}/{{ pr }}"`, besides: []string{"board.enabled=true"}},
	{name: "board.readers", json: `100`, besides: []string{"board.enabled=true"}},
	{name: "board.requestsPerSecond", json: `5`, besides: []string{"board.enabled=true"}},
	{name: "board.port", json: `8090`, besides: []string{"board.enabled=true"}},
	{name: "board.resources", json: `{"limits": {"memory": "1Gi"}}`, besides: []string{"board.enabled=true"}},
	{name: "board.service.port", json: `8080`, besides: []string{"board.enabled=true"}},
	{name: "board.service.annotations", json: `{"of": "me"}`, besides: []string{"board.enabled=true"}},
	{
		name: "board.ingress.enabled", json: `true`,
		besides: []string{"board.enabled=true", "board.ingress.host=queues.example.com"},
	},
	{
		name: "board.ingress.host", json: `"queues.example.com"`,
		besides: []string{"board.enabled=true", "board.ingress.enabled=true", "board.ingress.host=old.example.com"},
	},
	{
		name: "board.ingress.className", json: `"nginx"`,
		besides: []string{"board.enabled=true", "board.ingress.enabled=true", "board.ingress.host=queues.example.com"},
	},
	{
		name: "board.ingress.tlsSecret", json: `"queues-tls"`,
		besides: []string{"board.enabled=true", "board.ingress.enabled=true", "board.ingress.host=queues.example.com"},
	},
	{
		name: "board.ingress.annotations", json: `{"sign": "in"}`,
		besides: []string{"board.enabled=true", "board.ingress.enabled=true", "board.ingress.host=queues.example.com"},
	},
	{
		name: "board.httpRoute.enabled", json: `true`,
		besides: []string{"board.enabled=true", "board.httpRoute.parentRefs[0].name=public"},
	},
	{
		name: "board.httpRoute.parentRefs", json: `[{"name": "public", "namespace": "gateways"}]`,
		besides: []string{"board.enabled=true", "board.httpRoute.enabled=true", "board.httpRoute.parentRefs[0].name=other"},
	},
	{
		name: "board.httpRoute.hostnames", json: `["queues.example.com"]`,
		besides: []string{"board.enabled=true", "board.httpRoute.enabled=true", "board.httpRoute.parentRefs[0].name=public"},
	},
	{
		name: "board.httpRoute.annotations", json: `{"of": "me"}`,
		besides: []string{"board.enabled=true", "board.httpRoute.enabled=true", "board.httpRoute.parentRefs[0].name=public"},
	},
	{
		name: "board.from", json: `[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]`,
		besides: []string{"board.enabled=true"},
	},
	{name: "networkPolicy.enabled", json: `false`},
	{name: "networkPolicy.metricsFrom", json: `[{"podSelector": {"matchLabels": {"app": "prometheus"}}}]`},
	{name: "networkPolicy.egress", json: `[{"ports": [{"port": 6443}]}]`},
}

// Every value changes exactly what it is meant to change.
func TestValues(t *testing.T) {
	defaults := render(t, withPolicy)
	changes := make([]string, len(values))
	t.Run("each", func(t *testing.T) {
		for i, v := range values {
			t.Run(v.name, func(t *testing.T) {
				t.Parallel()
				before := defaults
				if len(v.besides) > 0 {
					before = render(t, withPolicy, v.besides...)
				}
				// Helm lets --set win over --set-json.
				others := slices.DeleteFunc(slices.Clone(v.besides), func(other string) bool { return strings.HasPrefix(other, v.name) })
				rendered := template(t, append(set(withPolicy, others...), "--set-json", v.name+"="+v.json)...)
				if v.renames != "" {
					if diff := cmp.Diff(template(t, set(withPolicy)...), strings.ReplaceAll(rendered, v.renames, product)); diff != "" {
						t.Errorf("besides names (-before +after):\n%s", diff)
					}
					changes[i] = fmt.Sprintf("# %s=%s\nNames begin with %s.\n", v.name, v.json, v.renames)
					return
				}
				after := parse(t, rendered)
				configuration(t, after)
				difference := changed(before, after)
				if difference == "" {
					t.Error("the value changes nothing")
				}
				besides := ""
				if len(v.besides) > 0 {
					besides = ", besides " + strings.Join(v.besides, ", ")
				}
				changes[i] = fmt.Sprintf("# %s=%s%s\n%s", v.name, v.json, besides, difference)
			})
		}
	})
	golden(t, "values", strings.Join(changes, "\n"))
}

// changed lists the fields that differ, and the objects that appear or disappear.
func changed(before, after []object) string {
	was, is := byName(before), byName(after)
	all := maps.Clone(was)
	maps.Copy(all, is)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case is[name] == nil:
			fmt.Fprintf(&b, "- %s\n", name)
			continue
		case was[name] == nil: // its fields follow, except those that all objects have in common
			fmt.Fprintf(&b, "+ %s\n", name)
			maps.DeleteFunc(is[name], func(field, _ string) bool {
				common := strings.HasPrefix(field, " metadata") && !strings.HasPrefix(field, " metadata annotations")
				return common || field == " apiVersion" || field == " kind"
			})
		}
		fields := maps.Clone(is[name])
		maps.Copy(fields, was[name])
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if value, exists := was[name][field]; exists && value != is[name][field] {
				fmt.Fprintf(&b, "- %s:%s: %s\n", name, field, value)
			}
			if value, exists := is[name][field]; exists && value != was[name][field] {
				fmt.Fprintf(&b, "+ %s:%s: %s\n", name, field, value)
			}
		}
	}
	return b.String()
}

// byName returns the fields of every object by path. In a path, an item of a list is named by its
// name field, or else by its index.
func byName(objects []object) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, o := range objects {
		all[o.String()] = map[string]string{}
		walk(all[o.String()], "", o.Object)
		maps.DeleteFunc(all[o.String()], func(field, value string) bool {
			// testdata/rights covers roles, and dashboards are files of the chart.
			dashboard := strings.HasSuffix(field, ".json") && value != `""`
			return dashboard || strings.HasPrefix(field, " rules ") || strings.HasPrefix(field, " roleRef ")
		})
	}
	return all
}

func walk(fields map[string]string, path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			walk(fields, path+" "+k, v)
		}
	case []any:
		for i, v := range value {
			key := fmt.Sprint(i)
			if m, ok := v.(map[string]any); ok && m["name"] != nil {
				key = fmt.Sprint(m["name"])
			}
			walk(fields, path+" ["+key+"]", v)
		}
	case string:
		fields[path] = strconv.Quote(value)
	default:
		fields[path] = fmt.Sprint(value)
	}
}

// schema is the part of a JSON schema that the test reads.
type schema struct {
	Description          string
	Properties           map[string]schema
	AdditionalProperties any
}

// Every value is documented and has a case above, and the schema lets no unknown values in.
func TestEveryValueIsKnown(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	delete(root.Properties, "global") // helm's own
	var documented, tried []string
	var visit func(path string, s schema)
	visit = func(path string, s schema) {
		if len(s.Properties) > 0 && s.AdditionalProperties != false {
			t.Errorf("%q lets unknown values in", path)
		}
		if len(s.Properties) == 0 {
			documented = append(documented, path)
			if s.Description == "" {
				t.Errorf("%s is not documented", path)
			}
		}
		for name, property := range s.Properties {
			visit(strings.TrimPrefix(path+"."+name, "."), property)
		}
	}
	visit("", root)
	for _, v := range values {
		tried = append(tried, v.name)
	}
	slices.Sort(documented)
	slices.Sort(tried)
	if diff := cmp.Diff(documented, tried); diff != "" {
		t.Errorf("values (-in the schema +in the cases above):\n%s", diff)
	}
}
