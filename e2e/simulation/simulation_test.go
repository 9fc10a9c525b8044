package simulation

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

var (
	seeds   = flag.Uint64("simulate.seeds", 500, "how many seeds to simulate")
	first   = flag.Uint64("simulate.first", 1, "the first of them")
	seed    = flag.Uint64("simulate.seed", 0, "simulate this seed only, and show its trace")
	without = flag.String("simulate.without", "", "events that do not happen, separated by commas")
	table   = flag.Bool("simulate.table", false, "print which seed is the first to catch each deliberate bug")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A seed makes much garbage and little that lasts.
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

// TestSeeds: whatever happens, the invariants hold after every commit, and
// everything ends.
func TestSeeds(t *testing.T) {
	o := Options{Without: strings.FieldsFunc(*without, func(r rune) bool { return r == ',' })}
	if *seed != 0 {
		explain(t, *seed, o)
		return
	}
	bad, found := Search(*first, *first+*seeds-1, o)
	if found {
		o.Without = Shrink(bad, o)
		explain(t, bad, o)
	}
}

// explain runs a seed again, for a reader.
func explain(t *testing.T, seed uint64, o Options) {
	t.Helper()
	lines, err := trace(seed, o)
	again := fmt.Sprintf("-simulate.seed %d", seed)
	if len(o.Without) > 0 {
		again += " -simulate.without " + strings.Join(o.Without, ",")
	}
	t.Logf("seed %d: %v\n%s\n(again with: go test ./e2e/simulation -v -run '%s' %s)", seed, err, strings.Join(lines, "\n"), t.Name(), again)
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
}

func trace(seed uint64, o Options) ([]string, error) {
	var lines []string
	o.Trace = func(line string) { lines = append(lines, line) }
	err := Run(seed, o)
	return lines, err
}

// TestCoroutines: passes use the coroutines of those before them.
func TestCoroutines(t *testing.T) {
	const many = 500 // of thousands of passes
	Search(1, 50, Options{})
	if made := len(idle.coroutines); made == 0 || made > many {
		t.Errorf("%d coroutines have been made and are idle, want some, and %d at most", made, many)
	}
}

// TestDeterminism: a seed is one history.
func TestDeterminism(t *testing.T) {
	for seed := range uint64(30) {
		one, err := trace(seed, Options{})
		other, again := trace(seed, Options{})
		if !slices.Equal(one, other) || fmt.Sprint(err) != fmt.Sprint(again) {
			i := 0
			for i < min(len(one), len(other))-1 && one[i] == other[i] {
				i++
			}
			t.Errorf("seed %d, line %d: %q, the next time %q", seed, i, one[i], other[i])
		}
	}
}

// TestMutants: the test above is not blind. Each deliberate bug is caught; the seed that is known
// for it is tried first. A bug that no seed is known to meet is caught by a script.
func TestMutants(t *testing.T) {
	var rows []string
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			if m.caught == 0 {
				by := scriptOf(m)
				if by == "" {
					t.Fatal("neither a seed nor a script is known to catch it")
				}
				rows = append(rows, fmt.Sprintf("| %s | script | %s |", m.name, by))
				return
			}
			o := Options{mutant: m}
			if err := Run(m.caught, o); err != nil && !*table {
				wantFaithful(t, m, m.caught)
				return
			}
			caught, found := Search(1, 20_000, o)
			if !found {
				t.Error("no seed catches it")
				return
			}
			if caught != m.caught {
				t.Logf("seed %d is known to catch it, the first one is %d", m.caught, caught)
			}
			wantFaithful(t, m, caught)
			rows = append(rows, fmt.Sprintf("| %s | %d | %v |", m.name, caught, Run(caught, o)))
		})
	}
	if *table {
		fmt.Printf("\n| bug | first seed that catches it | by |\n| --- | --- | --- |\n%s\n\n", strings.Join(rows, "\n"))
	}
}

// scriptOf says which script catches a bug; empty if none does.
func scriptOf(m *mutant) string {
	for _, r := range races {
		if r.mutant == m.name {
			return "I1: " + r.name
		}
	}
	for _, d := range deaths {
		if d.mutant == m.name {
			return "I2: " + d.name
		}
	}
	return ""
}

// wantFaithful: without the bug the same seed passes.
func wantFaithful(t *testing.T, m *mutant, seed uint64) {
	t.Helper()
	if err := Run(seed, Options{mutant: m.faithful()}); err != nil {
		t.Errorf("seed %d fails without the bug as well: %v", seed, err)
	}
}
