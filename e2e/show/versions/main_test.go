package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// What is pinned was played, and nothing else is in the table.
func TestEveryCombinationWasPlayed(t *testing.T) {
	all, err := combinations()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, row := range all {
		want = append(want, row.Kubernetes+" "+row.Tekton+" "+row.PAC)
	}
	for _, row := range tested.Rows() {
		got = append(got, row.Kubernetes+" "+row.Tekton+" "+row.PAC)
		if row.Outcome == tested.Passed && row.Hold == "" {
			t.Errorf("%+v says nothing of the hold", row)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("make versions has to play these rows (-pinned +played):\n%s", diff)
	}
}

func row(kubernetes, tekton, pac string) tested.Row {
	return tested.Row{Kubernetes: kubernetes, Tekton: tekton, PAC: pac}
}

func TestCombine(t *testing.T) {
	for name, c := range map[string]struct {
		pinned [3][]string
		want   []tested.Row
	}{
		"defaults": {[3][]string{{"1.36.3"}, {"1.15.0"}, {"0.50.0"}}, []tested.Row{row("1.36.3", "1.15.0", "0.50.0")}},
		"one component": {
			[3][]string{{"1.36.3", "1.30.14", "1.37.2"}, {"1.15.0"}, {"0.50.0"}},
			[]tested.Row{row("1.36.3", "1.15.0", "0.50.0"), row("1.30.14", "1.15.0", "0.50.0"), row("1.37.2", "1.15.0", "0.50.0")},
		},
		"all": {
			[3][]string{{"1.36.3", "1.30.14"}, {"1.15.0", "1.3.0"}, {"0.50.0", "0.45.0", "0.49.0"}},
			[]tested.Row{
				row("1.36.3", "1.15.0", "0.50.0"), row("1.30.14", "1.15.0", "0.50.0"), row("1.36.3", "1.3.0", "0.50.0"),
				row("1.36.3", "1.15.0", "0.45.0"), row("1.36.3", "1.15.0", "0.49.0"), row("1.30.14", "1.3.0", "0.45.0"),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, combine(c.pinned)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	all := []tested.Row{row("1.36.3", "1.15.0", "0.50.0"), row("1.3.1", "1.15.0", "0.50.0"), row("1.36.3", "1.15.0", "0.45.0")}
	for only, want := range map[string][]tested.Row{"": all, "1.3": {all[1]}, "1.3.1,0.45": {all[1], all[2]}} {
		got, err := choose(all, only)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v, rows (-want +got):\n%s", only, err, diff)
		}
	}
	if got, err := choose(all, "0.45,1.30"); err == nil || !strings.Contains(err.Error(), `"1.30"`) {
		t.Errorf("a version that is not pinned: %v, %v", got, err)
	}
}

// The file keeps what was played before, in the order of the rows, and drops what is not pinned.
func TestRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tested.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := []tested.Row{row("1.36.3", "1.15.0", "0.50.0"), row("1.30.14", "1.15.0", "0.50.0")}
	first, second, gone := all[0], all[1], row("1.29.0", "1.15.0", "0.50.0")
	first.Outcome, second.Outcome, gone.Outcome = tested.Passed, tested.Passed, tested.Passed
	again := second
	again.Outcome, again.Reason = tested.Failed, "order: broken"
	for _, played := range []tested.Row{second, first, again} {
		if err := record(file, append(all, gone), played); err != nil {
			t.Fatal(err)
		}
	}
	if err := record(file, append(all, gone), gone); err != nil {
		t.Fatal(err)
	}
	if err := record(file, all, first); err != nil {
		t.Fatal(err)
	}
	got, err := read(file)
	if diff := cmp.Diff([]tested.Row{first, again}, got); err != nil || diff != "" {
		t.Errorf("%v, rows (-want +got):\n%s", err, diff)
	}
	if out := text(got); !strings.Contains(out, "failed: order: broken") || strings.Count(out, "\n") != 3 {
		t.Errorf("the table is\n%s", out)
	}
}

// A failure that the table knows is no news.
func TestWorse(t *testing.T) {
	with := func(outcome tested.Outcome, reason string) []tested.Row {
		r := row("1.30.14", "1.15.0", "0.50.0")
		r.Outcome, r.Reason = outcome, reason
		return []tested.Row{r}
	}
	passed, failed := with(tested.Passed, ""), with(tested.Failed, "order: broken")
	for name, c := range map[string]struct {
		before, now []tested.Row
		worse       bool
	}{
		"passes":            {passed, passed, false},
		"passes at last":    {failed, passed, false},
		"fails as before":   {failed, with(tested.Failed, "order: stuck"), false},
		"fails now":         {passed, failed, true},
		"fails when new":    {nil, failed, true},
		"fails when built":  {with(tested.NotBuilt, "no such module"), failed, true},
		"another row fails": {with(tested.Failed, "order: broken"), append(failed, row("1.31.0", "1.15.0", "0.50.0")), true},
	} {
		if err := worse(c.before, c.now); (err != nil) != c.worse {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a test program reports decides, and a scenario that is not there did not pass.
func TestJudge(t *testing.T) {
	end := func(action string, tests ...string) (events string) {
		for _, test := range tests {
			events += `{"Action":"` + action + `","Test":"` + test + `"}` + "\n"
		}
		return events
	}
	var names []string
	for _, s := range scenarios {
		names = append(names, s.test)
	}
	const broken = `{"Action":"output","Test":"TestGlobalLimit","Output":"    contract_test.go:7: shop-x4k2p has\n"}
{"Action":"output","Test":"TestGlobalLimit","Output":"        /root/here/3 runs, want 2\n"}
{"Action":"output","Test":"TestGlobalLimit","Output":"    env.go:7: a log\n"}
`
	p := &player{root: "/root/here", cache: "/root/.cache/it"}
	for name, c := range map[string]struct {
		events  string
		outcome tested.Outcome
		reason  string
	}{
		"all pass": {
			`{"Action":"attr","Test":"TestAutoPicksTheHold","Key":"hold","Value":"policy"}` + "\n" + end("pass", names...),
			tested.Passed, "",
		},
		"one fails": {
			broken + end("pass", names[:4]...) + end("fail", names[4]) + end("pass", names[5:]...),
			tested.Failed, "global limit: shop-… has 3 runs, want 2",
		},
		"two fail": {
			broken + end("pass", names[:4]...) + end("fail", names[4:6]...) + end("pass", names[6:]...), tested.Failed,
			"global limit: shop-… has 3 runs, want 2; also " + scenarios[5].name,
		},
		"one is skipped":  {end("skip", names[0]) + end("pass", names[1:]...), tested.Failed, scenarios[0].name + ": not played"},
		"without a stack": {"no stack:\nport taken\n", tested.Failed, "the stack does not start: no stack: port taken"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := follow(strings.NewReader(c.events), io.Discard)
			outcome, reason := p.judge(seen, nil)
			if outcome != c.outcome || reason != c.reason {
				t.Errorf("%s, %q, want %s, %q", outcome, reason, c.outcome, c.reason)
			}
			if c.outcome == tested.Passed && seen.hold != "policy" {
				t.Errorf("the hold is %q", seen.hold)
			}
		})
	}
	if text := p.tidy(strings.Repeat("ü", 400)); len(text) > longest+len("…") || !strings.HasSuffix(text, "ü…") {
		t.Errorf("a long text becomes %q", text)
	}
}

// A test that is renamed has to be renamed in the list too.
func TestScenariosAreThere(t *testing.T) {
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(suite), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(content)
	}
	for _, s := range scenarios {
		function, _, _ := strings.Cut(s.test, "/")
		if !regexp.MustCompile(`(?m)^func ` + function + `\(t `).MatchString(source.String()) {
			t.Errorf("the suite has no %s", function)
		}
	}
}
