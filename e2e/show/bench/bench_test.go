package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// at is a time of the test, in milliseconds after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func runOf(queue, status, succeeded string) []byte {
	return fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}},"spec":{"status":%q},`+
		`"status":{"conditions":[{"type":"Succeeded","status":%q}]}}`, repositoryKey, queue, status, succeeded)
}

func TestRecord(t *testing.T) {
	r := &record{runs: map[string]*life{}, changed: make(chan struct{})}
	const pending, unknown = "PipelineRunPending", "Unknown"
	for _, e := range []struct {
		ms    int
		name  string
		value []byte
	}{
		{0, "ns/a", runOf("q", pending, unknown)},
		{1, "ns/b", runOf("q", pending, unknown)},
		{2, "ns/c", runOf("q", pending, unknown)},
		{10, "ns/a", runOf("q", "", unknown)},
		{110, "ns/a", runOf("q", "", "True")},
		{140, "ns/b", runOf("q", "", unknown)},
		{141, "ns/b", runOf("q", "", unknown)}, // started once
		{200, "ns/b", runOf("q", "", "False")},
		{250, "ns/c", runOf("q", "", unknown)},
		{260, "ns/d", runOf("q", pending, unknown)},
		{300, "ns/c", runOf("q", "", "True")},
		{330, "ns/d", runOf("q", "", unknown)},
		{331, "ns/other", runOf("elsewhere", "", unknown)},
	} {
		r.see(at(e.ms), e.name, e.value)
	}
	if r.started != 5 || r.done != 3 {
		t.Errorf("%d started and %d done, want 5 and 3", r.started, r.done)
	}
	if got, want := fmt.Sprint(r.pauses(1)), "[30ms 30ms 50ms]"; got != want {
		t.Errorf("pauses %s, want %s", got, want)
	}
	if most := r.mostStarted(); most != 1 {
		t.Errorf("%d ran at a time, want 1", most)
	}
	if got := r.span(); got != 331*time.Millisecond {
		t.Errorf("span %s", got)
	}
	r.see(at(400), "ns/e", runOf("q", "", unknown))
	if most := r.mostStarted(); most != 2 {
		t.Errorf("%d ran at a time, want 2", most)
	}
	r.see(at(401), "ns/e", []byte("{"))
	if r.err == nil {
		t.Error("what cannot be read is no error")
	}
}

// A run that is created after a slot is free waits for no slot before that.
func TestPausesOfLateRuns(t *testing.T) {
	r := &record{runs: map[string]*life{
		"ns/a": {queue: "q", created: at(0), started: at(1), done: at(100)},
		"ns/b": {queue: "q", created: at(500), started: at(520)},
	}}
	if got, want := fmt.Sprint(r.pauses(1)), "[20ms]"; got != want {
		t.Errorf("pauses %s, want %s", got, want)
	}
}

func TestAudit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	line := func(user, verb, resource, namespace string, code int) string {
		return fmt.Sprintf(`{"verb":%q,"user":{"username":%q},"objectRef":{"resource":%q,"namespace":%q},`+
			`"responseStatus":{"code":%d}}`+"\n", verb, user, resource, namespace, code)
	}
	before := line("ours:a", "get", "pipelineruns", "shop", 200) + line("ours:a", "delete", "pipelineruns", "shop", 200)
	if err := os.WriteFile(file, []byte(before[:len(before)-20]), 0o600); err != nil { // a line is being written
		t.Fatal(err)
	}
	a := audit{file}
	mark, err := a.mark()
	if err != nil {
		t.Fatal(err)
	}
	content := before + line("ours:a", "patch", "pipelineruns", "shop", 200) + line("ours:b", "patch", "pipelineruns", "shop", 409) +
		line("others", "patch", "pipelineruns", "shop", 200) + line("ours:a", "watch", "pipelineruns", "shop", 200) +
		line("ours:a", "update", "leases", addonNamespace, 200) + line("ours:a", "update", "leases", "shop", 200) + `{"verb":"pat`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := a.since(mark, []string{"ours:"})
	if err != nil {
		t.Fatal(err)
	}
	want := requests{"patch pipelineruns": {Answered: 2, Refused: 1}, "update leases": {Answered: 1}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	if got.total() != 3 {
		t.Errorf("%d in all, want 3", got.total())
	}
}

func TestJudge(t *testing.T) {
	s := summary{Rows: []entry{
		{Measure: "burst", Contender: floorName, Figures: figures{perSecond: 100, p50: 1, p99: 2}},
		{Measure: "burst", Contender: leaseName, Figures: figures{
			perSecond: 79, p50: 1.5, p99: 5, requestsOf + "get pipelineruns": 0.5, requestsOf + "patch pipelineruns": 1,
		}},
		{Measure: "short", Contender: leaseName, Figures: figures{perStart: 0.01}},
		{Measure: "long", Contender: leaseName, Figures: figures{perStart: 0.015}},
	}}
	var got []string
	for _, v := range s.judge() {
		got = append(got, strings.Join(v.cells(), "|"))
	}
	want := []string{
		"burst: starts per second, against the floor|0.79 ×|at least 0.80 ×|missed",
		"burst: freed slot to next start, p50, against the floor|1.50 ×|at most 1.50 ×|met",
		"burst: freed slot to next start, p99, against the floor|2.50 ×|at most 2.00 ×|missed",
		"burst: runs and slots read, per run|0.50|at most 0.010|missed",
		"long queue: CPU of a start, against one in a queue of 50|1.50 ×|at most 2.00 ×|met",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSum: the figures are the medians of the rounds.
func TestSum(t *testing.T) {
	b := &bench{Stage: &show.Stage{}}
	for _, v := range []float64{3, 1, 2} {
		b.keep(measures[0], leaseName, []time.Duration{time.Duration(v) * time.Second})
		b.note(measures[0], leaseName, figures{perSecond: v})
	}
	s := b.sum()
	if len(s.Rows) != 1 {
		t.Fatalf("%+v", s.Rows)
	}
	row := s.Rows[0]
	if row.Figures[perSecond] != 2 || len(row.Pauses) != 101 || row.Pauses[0] != 1 || row.Pauses[100] != 3 {
		t.Errorf("%+v", row)
	}
}

var update = flag.Bool("update", false, "make the document and its pictures anew")

// The document says what the figures say.
func TestDocument(t *testing.T) {
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	all, err := readKept(filepath.Join(root, filepath.FromSlash(folder)))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := render(root); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(document)))
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != page(all) {
		t.Errorf("%s is not what %s has: run go test ./e2e/show/bench -update", document, folder)
	}
}
