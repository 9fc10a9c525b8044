package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
)

// Every reason there is is explained, once.
func TestReasonsAreExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	there := map[event.Reason]bool{}
	for _, declaration := range file.Decls {
		if constants, ok := declaration.(*ast.GenDecl); ok && constants.Tok == token.CONST {
			for _, spec := range constants.Specs {
				value, err := strconv.Unquote(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				there[event.Reason(value)] = true
			}
		}
	}
	if len(there) == 0 {
		t.Fatal("no reasons were found")
	}
	for _, r := range event.Reasons() {
		if !there[r.Reason] {
			t.Errorf("%s is explained twice, or is none", r.Reason)
		}
		delete(there, r.Reason)
		if r.Means == "" || r.On == "" {
			t.Errorf("%s is not explained", r.Reason)
		}
	}
	for reason := range there {
		t.Errorf("%s is not explained", reason)
	}
}
