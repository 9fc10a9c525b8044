package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// dashboard is as much of Grafana's format as has expressions.
type dashboard struct {
	Panels []struct {
		Title   string
		Type    string
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

// TestDashboard: every expression is valid, and shows something once runs have been started.
func TestDashboard(t *testing.T) {
	needsStack(t)
	r := newRepository(t, "shown", 1)
	r.push(2, time.Second)
	r.wait(drainDeadline, 0, 2)

	root, err := build.Root()
	must(t, err)
	files, err := filepath.Glob(filepath.Join(root, "charts", "pac-lease-queue", "dashboards", "*.json"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are no dashboards")
	}
	values := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$namespace", ".*", "$repository", ".*")
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		var d dashboard
		must(t, json.Unmarshal(data, &d))
		shows := func(what, expression string) {
			expression = values.Replace(expression)
			eventually(t, stepDeadline, func() error { // scraped once more
				samples, err := prometheus.query(t.Context(), expression)
				if err == nil && (len(samples) == 0 || samples[0].Value[1] == "NaN") {
					err = &emptyError{what, expression}
				}
				return err
			})
		}
		for _, panel := range d.Panels {
			if panel.Type != "row" && len(panel.Targets) == 0 {
				t.Errorf("panel %q has no expression", panel.Title)
			}
			for _, target := range panel.Targets {
				shows("panel "+panel.Title, target.Expr)
			}
		}
		for _, variable := range d.Templating.List {
			if selector, ok := strings.CutPrefix(variable.Definition, "label_values("); ok {
				selector, label, _ := strings.Cut(strings.TrimSuffix(selector, ")"), ", "+variable.Name)
				if label != "" {
					t.Errorf("variable %s is of another label: %s", variable.Name, variable.Definition)
				}
				shows("variable "+variable.Name, "count by ("+variable.Name+") ("+selector+")")
			}
		}
	}
}

type emptyError struct{ what, expression string }

func (e *emptyError) Error() string { return e.what + " shows nothing: " + e.expression }

// TestNames: promtool has nothing to say against the product's metrics as they are scraped.
func TestNames(t *testing.T) {
	needsStack(t)
	programs, err := build.Build(t.Context(), t.Logf, build.Promtool)
	must(t, err)
	for _, replica := range addon.Replicas() {
		scraped, err := get(t.Context(), replica.MetricsURL)
		must(t, err)
		if !bytes.Contains(scraped, []byte("pac_lease_queue_leader_buckets")) {
			t.Errorf("%s exports nothing of the product's", replica.Name())
		}
		check := exec.CommandContext(t.Context(), programs[build.Promtool], "check", "metrics")
		check.Stdin = bytes.NewReader(scraped)
		complaints, _ := check.CombinedOutput() // some of knative's names have it fail
		for complaint := range strings.Lines(string(complaints)) {
			if strings.Contains(complaint, "pac_lease_queue_") {
				t.Errorf("promtool: %s", complaint)
			}
		}
	}
}

// TestNoRequests: metrics ask nothing of the API server. While queues rest, replicas that are scraped every second make no requests but
// those of leader election.
func TestNoRequests(t *testing.T) {
	needsStack(t)
	eventually(t, alertDeadline, func() error {
		all, err := prometheus.query(t.Context(), `sum(increase(http_client_request_duration_seconds_count[20s])) > 0`)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return errors.New("requests are not counted")
		}
		made, err := prometheus.query(t.Context(),
			`sum by (http_request_method, url_template) (increase(http_client_request_duration_seconds_count{url_template!~".*/leases/.name."}[20s])) > 0`)
		if err == nil && len(made) > 0 {
			err = fmt.Errorf("within 20 seconds there were %v", made)
		}
		return err
	})
}
