package report_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Every state of a run and every reason why it waits is explained once.
func TestVocabularyIsExplained(t *testing.T) {
	const source = "../queue/state.go"
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want, explained []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, value)
		}
		return true
	})
	for _, s := range report.States() {
		explained = append(explained, string(s.State))
	}
	for _, w := range report.Whys() {
		explained = append(explained, string(w.Why))
	}
	slices.Sort(want)
	slices.Sort(explained)
	if diff := cmp.Diff(want, explained); diff != "" || len(want) == 0 {
		t.Errorf("words of %s (-there +explained):\n%s", source, diff)
	}
}
