package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func started(run string, second int, pause time.Duration) audit.Start {
	return audit.Start{Run: run, At: at(second), Pause: pause}
}

func kept() summary {
	return summary{
		Config: config{Queue: leaseQueue, Runs: 6, Limit: 2, Replicas: 2, Watchers: 1, Kill: true},
		Report: audit.Report{Runs: 6, Done: 6, MostStarted: 2, Starts: []audit.Start{
			started("run-01", 1, 80*time.Millisecond), started("run-02", 1, 40*time.Millisecond),
			started("run-03", 3, 50*time.Millisecond), started("run-04", 4, 60*time.Millisecond),
			started("run-05", 9, 3500*time.Millisecond), started("run-06", 9, 1500*time.Millisecond),
		}},
		Statuses: statuses{Want: 6, Success: 6},
		Kill:     &kill{Replica: "pac-lease-queue-1", At: at(5), Finished: 3, By: "pac-lease-queue-0"},
		Requests: &requests{Client: "the add-on", Slots: 8, Runs: 6, Refused: 1, Reads: 5, Election: 11},
	}
}

func wedged() summary {
	s := kept()
	s.Config = config{Queue: pacQueue, Runs: 6, Limit: 1, Watchers: 2}
	s.Kill, s.Requests = nil, &requests{Client: "PAC's watchers", Runs: 21, Events: 8, Others: 16, Reads: 154}
	s.Report = audit.Report{Runs: 5, Done: 2, MostStarted: 2, Starts: s.Report.Starts[:3], Violations: []audit.Violation{
		{Invariant: "I1", At: at(1), What: "run-02 makes 2 started runs, the limit is 1"},
		{Invariant: "I3", At: at(1), What: "run-02 overtook run-01"},
		{Invariant: "I4", At: at(40), What: "left pending with 0 of 1 started: run-04, run-05"},
	}}
	s.Statuses = statuses{Want: 6, Success: 3, Missing: []string{"run-04 (pending)", "run-05 (pending)", "run-06 (none)"}}
	s.Stuck = "nothing has happened for 30s, with 0 of 1 running and 3 of 6 runs finished"
	return s
}

func TestSummary(t *testing.T) {
	late := kept()
	late.Statuses = statuses{Want: 6, Success: 5, Missing: []string{"run-06 (pending)"}, After: " 36s after the last run"}
	late.Kill.At, late.Kill.By = at(10), ""
	for name, tc := range map[string]struct {
		summary summary
		broken  bool
	}{
		"kept":    {kept(), false},
		"wedged":  {wedged(), true},
		"late":    {late, true},
		"nothing": {summary{Config: config{Runs: 3, Limit: 1}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, tc.summary.text()+"\n")
			if broken := len(tc.summary.broken()) > 0; broken != tc.broken {
				t.Errorf("broken is %t", broken)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	shown := []provider.Status{
		{Context: "Pipelines as Code CI / run-01", State: provider.Success},
		{Context: "Pipelines as Code CI / run-02", State: provider.Pending},
		{Context: "run-03", State: provider.Failure},
		{Context: "Pipelines as Code CI / not-run-04", State: provider.Success},
	}
	names := runNames(map[string]string{
		".tekton/run-02.yaml": "", ".tekton/run-01.yaml": "", ".tekton/run-04.yaml": "", ".tekton/run-03.yaml": "", "README.md": "",
	})
	want := statuses{Want: 4, Success: 1, Missing: []string{"run-02 (pending)", "run-03 (failure)", "run-04 (none)"}}
	if diff := cmp.Diff(want, compare(names, shown)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestCountRequests(t *testing.T) {
	const me = "system:serviceaccount:pac-lease-queue:pac-lease-queue"
	line := func(second int, user, verb, namespace, resource, code string) string {
		return `{"kind":"Event","verb":"` + verb + `","user":{"username":"` + user + `"},"objectRef":{"resource":"` + resource +
			`","namespace":"` + namespace + `"},"responseStatus":{"code":` + code +
			`},"requestReceivedTimestamp":"` + at(second).Format(time.RFC3339Nano) + `"}`
	}
	log := strings.Join([]string{
		line(-1, me, "create", "shop", "leases", "201"), // before
		line(1, "system:serviceaccount:pac-lease-queue:else", "create", "shop", "leases", "201"),
		line(1, me, "create", "shop", "leases", "201"),
		line(2, me, "update", "shop", "leases", "200"),
		line(2, me, "update", "shop", "leases", "409"),
		line(3, me, "patch", "shop", "pipelineruns", "200"),
		line(3, me, "list", "shop", "pipelineruns", "200"),
		line(3, me, "create", "shop", "events", "201"),
		line(3, me, "get", "pac-lease-queue", "leases", "200"),
		line(3, me, "update", "pac-lease-queue", "leases", "200"),
		line(3, me, "update", "pac-lease-queue", "configmaps", "200"),
		`{"kind":"Event","verb":"get","user":{"username":"` + me + `"},"requestURI":"/version",` +
			`"requestReceivedTimestamp":"` + at(4).Format(time.RFC3339Nano) + `"}`,
	}, "\n")
	got, err := countRequests(strings.NewReader(log), me, "shop", at(0))
	if err != nil {
		t.Fatal(err)
	}
	want := &requests{Slots: 2, Runs: 1, Events: 1, Others: 1, Refused: 1, Reads: 2, Election: 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if _, err := countRequests(strings.NewReader("not JSON"), me, "shop", at(0)); err == nil {
		t.Error("an unreadable log is counted")
	}
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
