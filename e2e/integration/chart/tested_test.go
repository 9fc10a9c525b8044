package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// TestTestedDoc: README, docs/installation.md and the chart say what `make versions` saw. -update
// writes it.
func TestTestedDoc(t *testing.T) {
	root := filepath.Dir(filepath.Dir(chart))
	generated(t, filepath.Join(root, "README.md"), map[string]string{"tested": testedSentence()})
	generated(t, filepath.Join(root, "docs", "installation.md"), map[string]string{"tested": testedTable()})
	path := filepath.Join(chart, "files", "tested.yaml")
	want := chartsTested(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if is, err := os.ReadFile(path); err != nil || string(is) != string(want) {
		t.Errorf("%s is out of date: run make generate (%v)", path, err)
	}
}

func testedSentence() string {
	var parts []string
	for _, c := range tested.Components() {
		parts = append(parts, fmt.Sprintf("%s %s", c, tested.RangeOf(c)))
	}
	return "Tested on " + strings.Join(parts, ", ") + ".\n"
}

func testedTable() string {
	var b strings.Builder
	b.WriteString("| Kubernetes | Tekton Pipelines | Pipelines-as-Code | hold | outcome |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range tested.Rows() {
		outcome := string(r.Outcome)
		if r.Outcome != tested.Passed {
			outcome = fmt.Sprintf("**%s**: %s", r.Outcome, strings.ReplaceAll(r.Reason, "|", "\\|"))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Kubernetes, r.Tekton, r.PAC, r.Hold, outcome)
	}
	return b.String()
}

// chartsTested is what the chart knows: a template cannot read what is outside of its folder.
func chartsTested(t *testing.T) []byte {
	t.Helper()
	type kubernetes struct {
		tested.Range
		Failed map[string]string `json:"failed,omitempty"` // by version
	}
	is := kubernetes{Range: tested.RangeOf(tested.Kubernetes), Failed: map[string]string{}}
	for _, r := range tested.Rows() {
		if verdict := tested.Judge(tested.Kubernetes, r.Kubernetes); verdict.Failure != "" {
			numbers := strings.Split(r.Kubernetes, ".")
			is.Failed[numbers[0]+"."+numbers[1]] = verdict.Failure
		}
	}
	text, err := yaml.Marshal(map[string]kubernetes{"kubernetes": is})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("# Made by make generate of what make versions saw.\n"), text...)
}

// The notes warn of a version of Kubernetes that was not tested or that failed, and of no other.
// Nothing is refused for that. Without a cluster, the version is the one that helm was built for.
func TestNotesWarnOfUntestedVersions(t *testing.T) {
	const untested = "was not tested, and nothing is known to fail on it. Tested is "
	notes := func(t *testing.T, tested string) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "chart")
		if err := os.CopyFS(dir, os.DirFS(chart)); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "files", "tested.yaml")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(tested), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := process.Output(helmCommand(t, "install", product, dir, "--namespace", product, "--dry-run=client"))
		_, notes, found := strings.Cut(out, "\nNOTES:\n")
		if err != nil || !found {
			t.Fatalf("no notes: %v\n%s", err, out)
		}
		return notes
	}
	if out := notes(t, `kubernetes: {oldest: "1.1", newest: "1.99"}`); strings.Contains(out, "WARNING") {
		t.Errorf("the notes warn of a version that was tested:\n%s", out)
	}
	older, newer := notes(t, `kubernetes: {oldest: "1.98", newest: "1.99"}`), notes(t, `kubernetes: {oldest: "1.1", newest: "1.2"}`)
	for what, out := range map[string]string{
		untested + "1.98 to 1.99.": older, untested + "1.1 to 1.2.": newer, untested: notes(t, "kubernetes: {}"),
	} {
		if !strings.Contains(out, what) {
			t.Errorf("the notes lack %q:\n%s", what, out)
		}
	}
	is := regexp.MustCompile(`WARNING: Kubernetes v(1\.\d+)(\S*) was`).FindStringSubmatch(older)
	if is == nil {
		t.Fatalf("the notes do not say the version:\n%s", older)
	}
	out := notes(t, fmt.Sprintf(`kubernetes: {oldest: "1.1", newest: "1.99", failed: {"%s": "order: broken"}}`, is[1]))
	want := "WARNING: Kubernetes v" + is[1] + is[2] + " failed in tests: order: broken. Tested is 1.1 to 1.99."
	if !strings.Contains(out, want) {
		t.Errorf("the notes lack %q:\n%s", want, out)
	}
}
