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

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// dashboard is the part of Grafana's format that contains expressions.
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

// TestDashboard: every expression is valid and has a result once runs were started.
func TestDashboard(t *testing.T) {
	needsStack(t)
	r := newRepository(t, "shown", 1)
	r.push(2, time.Second)
	r.wait(drainDeadline, 0, 2)

	root, err := build.Root()
	fixture.Must(t, err)
	files, err := filepath.Glob(filepath.Join(root, "charts", "pac-lease-queue", "dashboards", "*.json"))
	fixture.Must(t, err)
	if len(files) == 0 {
		t.Fatal("the chart has no dashboards")
	}
	values := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$namespace", ".*", "$repository", ".*")
	for _, file := range files {
		data, err := os.ReadFile(file)
		fixture.Must(t, err)
		var d dashboard
		fixture.Must(t, json.Unmarshal(data, &d))
		shows := func(what, expression string) { // waits, because a result may need another scrape
			waitQuery(t, stepDeadline, what, values.Replace(expression), func(samples []sample) bool {
				return len(samples) > 0 && samples[0].Value[1] != "NaN"
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
					t.Errorf("variable %s takes the values of another label: %s", variable.Name, variable.Definition)
				}
				shows("variable "+variable.Name, "count by ("+variable.Name+") ("+selector+")")
			}
		}
	}
}

// TestNames: promtool finds no fault with the product's metrics as they are scraped.
func TestNames(t *testing.T) {
	needsStack(t)
	programs, err := build.Build(t.Context(), t.Logf, build.Promtool)
	fixture.Must(t, err)
	for _, replica := range addon.Replicas() {
		scraped, err := get(t.Context(), replica.MetricsURL)
		fixture.Must(t, err)
		if !bytes.Contains(scraped, []byte("pac_lease_queue_leader_buckets")) {
			t.Errorf("%s exports no metrics of the product", replica.Name())
		}
		check := exec.CommandContext(t.Context(), programs[build.Promtool], "check", "metrics")
		check.Stdin = bytes.NewReader(scraped)
		complaints, _ := check.CombinedOutput() // it fails anyway, because of names that knative chose
		for complaint := range strings.Lines(string(complaints)) {
			if strings.Contains(complaint, "pac_lease_queue_") {
				t.Errorf("promtool: %s", complaint)
			}
		}
	}
}

// TestNoRequests: metrics cost the API server nothing. While queues rest, replicas that are scraped
// every second make only the requests of leader election, and look for Kueue now and then.
func TestNoRequests(t *testing.T) {
	needsStack(t)
	fixture.Eventually(t, alertDeadline, "20 seconds without a request", func() error {
		all, err := prometheus.query(t.Context(), `sum(increase(http_client_request_duration_seconds_count[20s])) > 0`)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return errors.New("no request is counted, not even those of leader election")
		}
		made, err := prometheus.query(t.Context(), `sum by (http_request_method, url_template) (`+
			`increase(http_client_request_duration_seconds_count{url_template!~".*/leases/.name.|/apis/kueue.x-k8s.io"}[20s])) > 0`)
		if err == nil && len(made) > 0 {
			err = fmt.Errorf("the requests of 20 seconds are %v", made)
		}
		return err
	})
}
