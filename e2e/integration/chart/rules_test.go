package chart

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// rules returns the chart's alert rules with default values, as a file for Prometheus.
func rules(t *testing.T) []byte {
	t.Helper()
	for _, o := range render(t, withPolicy, "prometheusRule.enabled=true") {
		if o.GetKind() == "PrometheusRule" {
			data, err := yaml.Marshal(o.Object["spec"])
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	t.Fatal("the chart renders no PrometheusRule")
	return nil
}

// TestRules: promtool finds the alert rules valid, and they pass the cases of testdata/alerts.yaml,
// which play faults and what only looks like one. e2e/integration/metrics tests the rules with real
// replicas.
func TestRules(t *testing.T) {
	if testing.Short() {
		t.Skip("builds promtool")
	}
	programs, err := build.Build(context.Background(), t.Logf, build.Promtool)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile(filepath.Join("testdata", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"rules.yaml": rules(t), "alerts.yaml": cases} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"}, {"test", "rules", "alerts.yaml"}} {
		promtool := exec.CommandContext(t.Context(), programs[build.Promtool], args...)
		promtool.Dir = dir
		if out, err := promtool.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryMetricIsKnown: rules and dashboards use only metrics that exist, and the dashboards show
// every one of them.
func TestEveryMetricIsKnown(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(chart, "dashboards", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var shown string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(data) {
			t.Errorf("%s is not valid JSON", file)
		}
		shown += string(data)
	}
	var names []string
	for _, m := range metrics.All() {
		names = append(names, m.Name)
		if !strings.Contains(shown, m.Name) {
			t.Errorf("no dashboard shows %s", m.Name)
		}
	}
	for _, word := range strings.FieldsFunc(shown+string(rules(t)), func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z')
	}) {
		name := strings.TrimSuffix(word, "_bucket")
		if strings.HasPrefix(name, "pac_lease_queue_") && !slices.Contains(names, name) {
			t.Errorf("metric %s does not exist", name)
		}
	}
}
