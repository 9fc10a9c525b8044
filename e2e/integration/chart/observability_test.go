package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
)

// TestObservabilityDoc: the tables of docs/observability.md match the code and the chart's rules.
// -update writes them.
func TestObservabilityDoc(t *testing.T) {
	path := filepath.Join(filepath.Dir(filepath.Dir(chart)), "docs", "observability.md")
	generated(t, path, map[string]string{
		"states": statesTable(), "whys": whysTable(), "annotations": annotationsTable(), "events": eventsTable(),
		"metrics": metricsTable(), "alerts": alertsTable(t),
	})
}

// generated checks that a document has these texts between its markers. -update writes them.
func generated(t *testing.T, path string, texts map[string]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for name, table := range texts {
		begin, end := fmt.Sprintf("<!-- %s: made by make generate -->\n", name), "<!-- end -->"
		before, rest, found := strings.Cut(doc, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no markers for %s", path, name)
		}
		doc = before + begin + table + end + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if doc != string(text) {
		t.Errorf("what is generated in %s is out of date: run make generate", path)
	}
}

func statesTable() string {
	var b strings.Builder
	b.WriteString("| state | means |\n| --- | --- |\n")
	for _, s := range report.States() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.State, s.Means)
	}
	return b.String()
}

func whysTable() string {
	var b strings.Builder
	b.WriteString("| why | means |\n| --- | --- |\n")
	for _, w := range report.Whys() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", w.Why, w.Means)
	}
	return b.String()
}

func annotationsTable() string {
	var b strings.Builder
	b.WriteString("| annotation | means |\n| --- | --- |\n")
	for _, a := range pac.Annotations() {
		means := a.Means
		if a.Decides {
			means += " Decisions depend on it."
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", a.Annotation, means)
	}
	return b.String()
}

func eventsTable() string {
	var b strings.Builder
	b.WriteString("| reason | type | on | means |\n| --- | --- | --- | --- |\n")
	for _, r := range event.Reasons() {
		kind := "Normal"
		if r.Warning {
			kind = "**Warning**"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Reason, kind, r.On, r.Means)
	}
	return b.String()
}

func metricsTable() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | is |\n| --- | --- | --- | --- |\n")
	for _, m := range metrics.All() {
		var labels []string
		for _, label := range m.Labels {
			labels = append(labels, "`"+label+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(labels, ", "), m.Help)
	}
	return b.String()
}

// templated matches a place where Prometheus inserts a value.
var templated = regexp.MustCompile(`\{\{[^}]*\}\}(/\{\{[^}]*\}\})?`)

func alertsTable(t *testing.T) string {
	t.Helper()
	var spec struct {
		Groups []struct {
			Rules []struct {
				Alert, For          string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(rules(t), &spec); err != nil {
		t.Fatal(err)
	}
	runbooks, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(chart)), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| alert | severity | after | says |\n| --- | --- | --- | --- |\n")
	for _, group := range spec.Groups {
		for _, rule := range group.Rules {
			if !strings.Contains(string(runbooks), "### "+rule.Alert+"\n") {
				t.Errorf("docs/operations.md does not say what to do about %s", rule.Alert)
			}
			says := templated.ReplaceAllString(rule.Annotations["summary"], "…")
			fmt.Fprintf(&b, "| [`%s`](operations.md#%s) | %s | %s | %s |\n",
				rule.Alert, strings.ToLower(rule.Alert), rule.Labels["severity"], rule.For, says)
		}
	}
	return b.String()
}
