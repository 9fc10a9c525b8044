package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wide is text of n columns that can be broken.
func wide(n int) string { return strings.Repeat("ab ", n/3) + strings.Repeat("c", n%3) }

func TestTooWide(t *testing.T) {
	for name, c := range map[string]struct {
		file    string
		content []string
		want    []int
	}{
		"code": {"a.go", []string{
			"package a", "", "var a = `" + wide(131) + "`", "var b = `" + wide(130) + "`", "\tvar c = `" + wide(127) + "`",
		}, []int{3, 5}},
		"comments": {"a.go", []string{
			"package a", "", "// " + wide(98), "// " + wide(97), "func a() {", "\t// " + wide(94), "\t// " + wide(93), "}",
		}, []int{3, 6}},
		"a comment over several lines": {"a.go", []string{"package a", "/* " + wide(98), wide(101), wide(100), "*/"}, []int{2, 3}},
		"a comment behind code": {"a.go", []string{
			"package a",
			"var a = `" + wide(90) + "` // and so on",
			"var b = 1 // " + wide(128),
		}, []int{3}},
		"what looks like a comment": {"a.go", []string{"package a", "var a = `", "// " + wide(120), "`"}, nil},
		"directives and code blocks": {"a.go", []string{
			"package a",
			"//go:generate " + wide(120),
			"//\t" + wide(120),
			"//   - " + wide(120),
		}, []int{4}},
		"a URL": {"a.go", []string{
			"package a",
			"// See https://example.com/" + strings.Repeat("a", 120),
			"// " + wide(101) + "https://example.com",
		}, []int{3}},
		"generated code":                  {"a.go", []string{"// Code generated. DO NOT EDIT.", "package a", "// " + wide(101)}, nil},
		"Go that does not parse":          {"a.go", []string{"pack age a", wide(141)}, []int{2}},
		"runes and not bytes are counted": {"a.go", []string{"package a", "// " + strings.Repeat("é", 97)}, nil},

		"YAML": {"a.yaml", []string{
			"# " + wide(99),
			"  # " + wide(96),
			"a: " + wide(200),
			"b: 1 # " + wide(200),
		}, []int{1}},
		"a directive in YAML": {"a.yaml", []string{"# @schema allOf: " + wide(120), "# " + wide(99)}, []int{2}},
		"a Helm comment":      {"a.tpl", []string{"{{/* " + wide(91) + " */}}", "{{- /* a", wide(101), "*/}}", wide(101)}, []int{1, 3}},
		"shell":               {"a.sh", []string{"#!/" + wide(100), "# " + wide(99), "echo " + wide(200)}, []int{2}},
		"a Makefile":          {"Makefile", []string{"# " + wide(99), "a: ## " + wide(100)}, []int{1}},
		"Terraform":           {"a.tf", []string{"# " + wide(99), "a = \"" + wide(100) + "\""}, []int{1}},

		"prose": {"a.md", []string{wide(101), wide(100), "- " + wide(99)}, []int{1, 3}},
		"no prose": {"a.md", []string{
			"| " + wide(120) + " |",
			"```yaml",
			wide(120),
			"```",
			wide(101),
			"    " + wide(120),
			"~~~",
			"```",
			wide(120),
			"~~~",
		}, []int{5}},
		"links": {"a.md", []string{
			"[" + wide(90) + "](" + strings.Repeat("a", 50) + ".md)",
			"[" + wide(99) + "](a.md)",
		}, []int{2}},
		"test data":   {"testdata/a.md", []string{wide(200)}, nil},
		"other files": {"a.json", []string{wide(200)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			if lines := reader(c.file); lines != nil {
				for _, l := range tooWide(lines(strings.Join(c.content, "\n") + "\n")) {
					got = append(got, l.number)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}
