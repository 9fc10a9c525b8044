// Lint runs every static check of Go code in one program: go vet's analyzers, staticcheck's, that
// switches over our enumerations and sum types are exhaustive, and that packages import what
// arrows.yaml lets them. One program loads, type-checks and analyzes each dependency once; a tool
// for each check would do it once each, which takes most of the time from empty caches.
//
//	lint [-tags list] PACKAGE...
//
// It prints each problem with its place and exits 1 if there is one.
package main

import (
	_ "embed"
	"fmt"
	"os"

	"github.com/OpenPeeDeeP/depguard/v2"
	sumtype "github.com/alecthomas/go-check-sumtype"
	"github.com/nishanths/exhaustive"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/suite/vet"
	"golang.org/x/tools/go/packages"
	"honnef.co/go/tools/lintcmd"
	"honnef.co/go/tools/simple"
	"honnef.co/go/tools/staticcheck"
	"honnef.co/go/tools/stylecheck"
	"honnef.co/go/tools/unused"
)

// Embedded, so that the cache of results, which is keyed by the program, knows when it changes.
//
//go:embed arrows.yaml
var arrowsYAML []byte

func main() {
	arrows, err := arrowsAnalyzer()
	if err != nil {
		fail("arrows.yaml: %v", err)
	}
	if err := exhaustive.Analyzer.Flags.Set("typeonly", "^github.com/pac-lease-queue/pac-lease-queue/"); err != nil {
		fail("exhaustive: %v", err)
	}

	cmd := lintcmd.NewCommand("lint")
	cmd.ParseFlags(os.Args[1:])
	cmd.AddBareAnalyzers(vet.Suite...)
	cmd.AddAnalyzers(simple.Analyzers...)
	cmd.AddAnalyzers(staticcheck.Analyzers...)
	cmd.AddAnalyzers(stylecheck.Analyzers...)
	cmd.AddAnalyzers(unused.Analyzer)
	cmd.AddBareAnalyzers(arrows, exhaustive.Analyzer)
	status := cmd.Execute()

	tags := cmd.FlagSet().Lookup("tags").Value.String()
	if problems := sumTypes(tags, cmd.FlagSet().Args()); len(problems) > 0 {
		for _, problem := range problems {
			fmt.Fprintln(os.Stderr, problem)
		}
		status = 1
	}
	os.Exit(status)
}

func arrowsAnalyzer() (*analysis.Analyzer, error) {
	var settings depguard.LinterSettings
	if err := yaml.Unmarshal(arrowsYAML, &settings); err != nil {
		return nil, err
	}
	return depguard.NewAnalyzer(&settings)
}

// sumTypes is no analyzer: it has to see all variants of a type at once. A package with its tests
// has types of its own, so tests are left out.
func sumTypes(tags string, patterns []string) []error {
	loaded, err := packages.Load(&packages.Config{
		BuildFlags: []string{"-tags", tags},
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo,
	}, patterns...)
	if err != nil {
		return []error{err}
	}
	return sumtype.Run(loaded, sumtype.Config{})
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "lint: "+format+"\n", args...)
	os.Exit(2)
}
