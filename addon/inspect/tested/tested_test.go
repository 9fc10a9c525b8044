package tested

import (
	"strings"
	"testing"
)

// What is compiled in can be read, and has something to say of each component.
func TestTable(t *testing.T) {
	for _, c := range Components() {
		if got := RangeOf(c); got == (Range{}) {
			t.Errorf("no version of %s passed", c)
		}
	}
}

func TestRead(t *testing.T) {
	const row = "- {kubernetes: 1.36.3, tekton: 1.15.0, pac: 0.50.0, "
	for text, want := range map[string]string{
		row + "hold: policy, outcome: passed}":              "",
		row + "outcome: failed, reason: 'order: broken'}":   "",
		row + "outcome: not built, reason: no such module}": "",
		row + "outcome: failed}":                            `a row whose outcome is "failed" has the reason ""`,
		row + "outcome: passed, reason: luck}":              `a row whose outcome is "passed" has the reason "luck"`,
		row + "outcome: perhaps}":                           `the outcome "perhaps" is none of`,
		row + "outcome: passed, when: today}":               "unknown field",
		"- {kubernetes: 1.36.3, pac: 0.50.0, outcome: x}":   "Tekton Pipelines: ",
	} {
		_, err := Read([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestJudge(t *testing.T) {
	row := func(kubernetes, pac string, outcome Outcome, reason string) Row {
		return Row{Kubernetes: kubernetes, Tekton: "1.15.0", PAC: pac, Outcome: outcome, Reason: reason}
	}
	rows := []Row{
		row("1.36.3", "0.50.0", Passed, ""),
		row("1.33.13", "0.50.0", Passed, ""),
		row("1.9.1", "0.50.0", Failed, "order: broken"),
		row("1.33.13", "0.45.0", Failed, "uninstall: stuck"),
		row("1.36.3", "0.45.0", Failed, "order: broken"),
		row("1.36.3", "0.44.0", NotBuilt, "no such module"),
	}
	for c, want := range map[Component]string{Kubernetes: "1.33 to 1.36", Tekton: "1.15", PAC: "0.50"} {
		if got := rangeOf(rows, c).String(); got != want {
			t.Errorf("tested is %s %s, want %s", c, got, want)
		}
	}
	untested := Verdict{Untested: true}
	for _, c := range []struct {
		component Component
		version   string
		want      Verdict
	}{
		{Kubernetes, "v1.36.3", Verdict{}},
		{Kubernetes, "v1.36.99+rke2r1", Verdict{}},
		{Kubernetes, "1.34.2-gke.100", Verdict{}}, // between two that passed
		{Kubernetes, "1.37.0", untested},
		{Kubernetes, "1.37.0-alpha.1", untested},
		{Kubernetes, "1.32.0", untested},
		{Kubernetes, "1.9.0", Verdict{Failure: "order: broken"}},
		{Kubernetes, "1.33.0", Verdict{}}, // with another PAC it passed
		{PAC, "v0.45.2", Verdict{Failure: "uninstall: stuck; order: broken"}},
		{PAC, "0.44.0", untested},
		{PAC, "0.51.0", untested},
		{PAC, "devel", Verdict{}},
		{PAC, "", Verdict{}},
	} {
		if got := judge(rows, c.component, c.version); got != c.want {
			t.Errorf("%s %s is %+v, want %+v", c.component, c.version, got, c.want)
		}
	}
	if got := judge(nil, PAC, "0.50.0"); got != untested {
		t.Errorf("without rows it is %+v", got)
	}
}
