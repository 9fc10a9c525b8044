package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorded is what govulncheck -json printed of a program that calls two vulnerable symbols, of
// GO-2021-0054 and GO-2021-0265, imports a package of GO-2021-0113 and requires a module of
// GO-2020-0015.
func recorded(t *testing.T) map[string]finding {
	output, err := os.ReadFile("testdata/govulncheck.json")
	if err != nil {
		t.Fatal(err)
	}
	found, err := parseFindings(output)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestOnlyCalledSymbolsAreFound(t *testing.T) {
	got := map[string]string{}
	for id, f := range recorded(t) {
		got[id] = f.where + " " + f.fixed
		if f.summary == "" {
			t.Errorf("%s has no summary", id)
		}
	}
	want := map[string]string{
		"GO-2021-0054": "github.com/tidwall/gjson@v1.6.5 (Result.ForEach of github.com/tidwall/gjson) v1.6.6",
		"GO-2021-0265": "github.com/tidwall/gjson@v1.6.5 (Get of github.com/tidwall/gjson) v1.9.3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestAScanThatLooksAtNoSymbolsIsAnError(t *testing.T) {
	for _, output := range []string{"", `{"config":{"scan_level":"module"}}`, `{"config":`} {
		if _, err := parseFindings([]byte(output)); err == nil {
			t.Errorf("%s: no error", output)
		}
	}
}

func TestJudge(t *testing.T) {
	const list = `
- {id: GO-2021-0054, accepted: 2026-01-01, expires: 2026-03-01, reason: It is not called with input of others.}
- {id: GO-2021-0265, accepted: 2026-01-01, expires: 2026-02-01, reason: The same.}
`
	day := func(s string) time.Time {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, c := range map[string]struct {
		found    map[string]finding
		list     string
		now      time.Time
		failures []string // how each begins
		notes    []string
	}{
		"nothing is accepted":       {recorded(t), "[]", day("2026-01-15"), []string{"GO-2021-0054 in ", "GO-2021-0265 in "}, nil},
		"all is accepted":           {recorded(t), list, day("2026-01-31"), nil, nil},
		"one has expired":           {recorded(t), list, day("2026-02-01"), []string{"accepted until 2026-02-01 (The same.): GO-"}, nil},
		"one is not there any more": {map[string]finding{"GO-2021-0265": {}}, list, day("2026-01-15"), nil, []string{"GO-2021-0054 is"}},
	} {
		t.Run(name, func(t *testing.T) {
			accepted, err := parseAccepted([]byte(c.list))
			if err != nil {
				t.Fatal(err)
			}
			v := judge(c.found, accepted, c.now)
			beginWith(t, "failures", v.failures, c.failures)
			beginWith(t, "notes", v.notes, c.notes)
		})
	}
}

func beginWith(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %q, want %q", what, got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%s: %q, want %q", what, got[i], want[i])
		}
	}
}

func TestAcceptedHasToBeComplete(t *testing.T) {
	const valid = "- {id: GO-1, accepted: 2026-01-01, expires: 2026-02-01, reason: a}\n"
	for name, list := range map[string]string{
		"no id":                 strings.Replace(valid, "id: GO-1, ", "", 1),
		"no day":                strings.Replace(valid, "accepted: 2026-01-01, ", "", 1),
		"no end":                strings.Replace(valid, "expires: 2026-02-01, ", "", 1),
		"no reason":             strings.Replace(valid, ", reason: a", "", 1),
		"an end before the day": strings.Replace(valid, "2026-02-01", "2025-12-31", 1),
		"twice the same":        valid + valid,
		"an unknown field":      strings.Replace(valid, "reason", "because", 1),
	} {
		if _, err := parseAccepted([]byte(list)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := parseAccepted([]byte(valid)); err != nil {
		t.Error(err)
	}
	if _, err := parseAccepted(acceptedYAML); err != nil {
		t.Errorf("accepted.yaml: %v", err)
	}
}

func TestADatabaseOutOfReachFailsOnlyIfRequired(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	if err := run(t.Context(), gone.URL, false, nil, time.Now()); err != nil {
		t.Errorf("skipped: %v", err)
	}
	if err := run(t.Context(), gone.URL, true, nil, time.Now()); err == nil {
		t.Error("required: no error")
	}
}
