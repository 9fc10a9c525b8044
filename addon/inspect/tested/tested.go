// Package tested knows the versions of other components that the add-on was tested on. `make
// versions` plays a list of scenarios on the real components in each combination of versions and
// writes down what happened; documentation, chart and doctor speak by that.
package tested

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

// File is where `make versions` writes the rows, below the root of the repository.
const File = "addon/inspect/tested/tested.yaml"

//go:embed tested.yaml
var table []byte

// Component is what has versions.
type Component string

// The components of a row, by their names in texts.
const (
	Kubernetes Component = "Kubernetes"
	Tekton     Component = "Tekton Pipelines"
	PAC        Component = "Pipelines-as-Code"
)

// Components returns all components, in the order of the table's columns.
func Components() []Component { return []Component{Kubernetes, Tekton, PAC} }

// Outcome is what became of a row.
type Outcome string

// The outcomes.
const (
	Passed   Outcome = "passed"
	Failed   Outcome = "failed"
	NotBuilt Outcome = "not built"
)

// Row is one combination of versions.
type Row struct {
	Kubernetes string `json:"kubernetes"`
	Tekton     string `json:"tekton"`
	PAC        string `json:"pac"`
	// Hold is what the chart picked for admission.hold=auto.
	Hold    string  `json:"hold,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Reason says why the row did not pass.
	Reason string `json:"reason,omitempty"`
}

// Version returns the version of a component.
func (r Row) Version(c Component) string {
	switch c {
	case Kubernetes:
		return r.Kubernetes
	case Tekton:
		return r.Tekton
	case PAC:
		return r.PAC
	}
	return ""
}

// Read reads rows, strictly.
func Read(text []byte) ([]Row, error) {
	var rows []Row
	if err := yaml.UnmarshalStrict(text, &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		for _, c := range Components() {
			if _, err := version.ParseGeneric(r.Version(c)); err != nil {
				return nil, fmt.Errorf("%s: %w", c, err)
			}
		}
		if known := []Outcome{Passed, Failed, NotBuilt}; !slices.Contains(known, r.Outcome) {
			return nil, fmt.Errorf("the outcome %q is none of %v", r.Outcome, known)
		}
		if (r.Outcome == Passed) != (r.Reason == "") {
			return nil, fmt.Errorf("a row whose outcome is %q has the reason %q", r.Outcome, r.Reason)
		}
	}
	return rows, nil
}

var rows = sync.OnceValue(func() []Row {
	all, err := Read(table)
	if err != nil {
		panic(File + ": " + err.Error()) // it is compiled in, and has a test
	}
	return all
})

// Rows returns what was played.
func Rows() []Row { return slices.Clone(rows()) }

// Range is the tested range of a component's versions, as in "1.30".
type Range struct {
	Oldest string `json:"oldest"`
	Newest string `json:"newest"`
}

func (r Range) String() string {
	if r.Oldest == r.Newest {
		return r.Oldest
	}
	return r.Oldest + " to " + r.Newest
}

// RangeOf returns the range from the oldest to the newest version with which a row passed.
func RangeOf(c Component) Range { return rangeOf(rows(), c) }

func rangeOf(rows []Row, c Component) Range {
	var versions []*version.Version
	for _, r := range rows {
		if r.Outcome == Passed {
			versions = append(versions, version.MustParseGeneric(r.Version(c)))
		}
	}
	if len(versions) == 0 {
		return Range{}
	}
	slices.SortFunc(versions, func(a, b *version.Version) int {
		switch {
		case a.LessThan(b):
			return -1
		case b.LessThan(a):
			return 1
		default:
			return 0
		}
	})
	return Range{Oldest: minor(versions[0]), Newest: minor(versions[len(versions)-1])}
}

func minor(v *version.Version) string { return fmt.Sprintf("%d.%d", v.Major(), v.Minor()) }

// Verdict is what the rows say of a version.
type Verdict struct {
	// Failure is why rows with this version failed, if none passed.
	Failure string
	// Untested says that the version is outside of the tested range.
	Untested bool
}

// Judge judges a version by its first two numbers. A version that cannot be read is not judged.
func Judge(c Component, text string) Verdict { return judge(rows(), c, text) }

func judge(rows []Row, c Component, text string) Verdict {
	is, err := version.ParseGeneric(text)
	if err != nil {
		return Verdict{}
	}
	var failures []string
	passed := false
	for _, r := range rows {
		if minor(version.MustParseGeneric(r.Version(c))) != minor(is) {
			continue
		}
		switch r.Outcome {
		case Passed:
			passed = true
		case Failed:
			if !slices.Contains(failures, r.Reason) {
				failures = append(failures, r.Reason)
			}
		case NotBuilt: // says nothing of the version
		}
	}
	if len(failures) > 0 && !passed {
		return Verdict{Failure: strings.Join(failures, "; ")}
	}
	is = version.MustParseGeneric(minor(is)) // 1.37.9 and 1.38.0-rc.0 are judged as 1.37 and 1.38
	tested := rangeOf(rows, c)
	outside := tested == Range{} ||
		is.LessThan(version.MustParseGeneric(tested.Oldest)) || version.MustParseGeneric(tested.Newest).LessThan(is)
	return Verdict{Untested: outside}
}
