package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// job is the label that the Prometheus operator gives targets which a ServiceMonitor finds by this
// Service.
const job = "pac-lease-queue-metrics"

// server is a Prometheus that scrapes the replicas every second.
type server struct {
	process *process.Process
	url     string
	dir     string
	targets *httptest.Server
}

// startPrometheus starts a server with the rules of the chart.
func startPrometheus(ctx context.Context) (_ *server, err error) {
	programs, err := build.Build(ctx, nil, build.Prometheus)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pac-lease-queue-prometheus-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	rules, monitor, err := render(ctx)
	if err != nil {
		return nil, err
	}
	if err := write(filepath.Join(dir, "rules.yaml"), rules); err != nil {
		return nil, err
	}
	s.targets = httptest.NewServer(http.HandlerFunc(listTargets))
	config := map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{"rules.yaml"},
		"scrape_configs": []any{map[string]any{
			"job_name": job, "honor_labels": monitor.Spec.Endpoints[0].HonorLabels,
			"http_sd_configs": []any{map[string]any{"url": s.targets.URL, "refresh_interval": "1s"}},
		}},
	}
	if err := write(filepath.Join(dir, "prometheus.yaml"), config); err != nil {
		return nil, err
	}
	port, err := network.ports.Take()
	if err != nil {
		return nil, err
	}
	s.url = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.process = process.New(process.Spec{
		Name: "prometheus", Path: programs[build.Prometheus], Dir: dir, Logs: cluster.LogsDir(),
		Args: []string{
			"--config.file=prometheus.yaml", "--storage.tsdb.path=data", "--web.listen-address=" + strings.TrimPrefix(s.url, "http://"),
		},
		Ready: func(ctx context.Context) error { _, err := s.get(ctx, "/-/ready", nil); return err },
	})
	return s, s.process.Start(ctx)
}

// stop stops the server and removes its files. A nil server was never started.
func (s *server) stop() {
	if s == nil {
		return
	}
	if s.process != nil {
		_ = s.process.Stop(context.Background())
	}
	if s.targets != nil {
		s.targets.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// listTargets serves the list of replicas to Prometheus, with the labels that the operator would
// give them.
func listTargets(w http.ResponseWriter, _ *http.Request) {
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	targets := []target{}
	for _, r := range addon.Replicas() {
		address := strings.TrimSuffix(strings.TrimPrefix(r.MetricsURL, "http://"), "/metrics")
		labels := map[string]string{"namespace": addon.Namespace(), "pod": r.Name(), "service": job}
		targets = append(targets, target{[]string{address}, labels})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(targets)
}

func write(path string, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// serviceMonitor is the part of a ServiceMonitor that affects how Prometheus scrapes.
type serviceMonitor struct {
	Spec struct {
		Endpoints []struct {
			HonorLabels bool `json:"honorLabels"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// render renders the chart's rules, as a file for Prometheus, and its ServiceMonitor.
func render(ctx context.Context) (rules any, monitor serviceMonitor, err error) {
	var rule struct {
		Spec any `json:"spec"`
	}
	for file, into := range map[string]any{"rules.yaml": &rule, "metrics.yaml": &monitor} {
		rendered, err := helmTemplate(ctx, file, "serviceMonitor.enabled=true", "prometheusRule.enabled=true",
			"prometheusRule.stalledFor=5s", "prometheusRule.limitExceededFor=5s",
			"prometheusRule.recoveryBusyFor=20s", "prometheusRule.outOfSyncFor=20s")
		if err != nil {
			return nil, monitor, err
		}
		documents := strings.Split(rendered, "\n---\n")
		if err := yaml.Unmarshal([]byte(documents[len(documents)-1]), into); err != nil {
			return nil, monitor, err
		}
	}
	return rule.Spec, monitor, nil
}

// helmTemplate renders one file of the chart.
func helmTemplate(ctx context.Context, file string, values ...string) (string, error) {
	root, err := build.Root()
	if err != nil {
		return "", err
	}
	args := []string{"template", "pac-lease-queue", filepath.Join(root, "charts", "pac-lease-queue"), "--show-only", "templates/" + file}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return cluster.Helm(ctx, args...)
}

// get queries Prometheus' HTTP API.
func (s *server) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	return get(ctx, s.url+path+"?"+query.Encode())
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, res.Status, body)
	}
	return body, err
}

// sample is one series of a result.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"` // the time and the value
}

// query evaluates an expression now.
func (s *server) query(ctx context.Context, expression string) ([]sample, error) {
	body, err := s.get(ctx, "/api/v1/query", url.Values{"query": {expression}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	var answer struct {
		Data struct {
			Result []sample `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s: %w in %s", expression, err, body)
	}
	return answer.Data.Result, nil
}

// firing returns the alerts that fire now, each with its Repository.
func (s *server) firing(t *testing.T) []string {
	t.Helper()
	return s.alerts(t, `ALERTS{alertstate="firing"}`)
}

// fired returns the alerts that have fired since a time.
func (s *server) fired(t *testing.T, since time.Time) []string {
	t.Helper()
	return s.alerts(t, fmt.Sprintf(`max_over_time(ALERTS{alertstate="firing"}[%ds])`, int(time.Since(since).Seconds())+1))
}

func (s *server) alerts(t *testing.T, expression string) []string {
	t.Helper()
	samples, err := s.query(t.Context(), expression)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, sample := range samples {
		names = append(names, strings.TrimSpace(sample.Metric["alertname"]+" "+sample.Metric["repository"]))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
