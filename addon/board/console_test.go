package board_test

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board"
)

func TestConsole(t *testing.T) {
	for template, want := range map[string]string{
		"": "",
		"https://tekton.example/#/namespaces/{{ namespace }}/pipelineruns/{{ pr }}": "https://tekton.example/#/namespaces/ci/pipelineruns/build-1",
		"http://x/{{pr}}?in={{  namespace  }}":                                      "http://x/build-1?in=ci",
	} {
		c, err := board.ParseConsole(template)
		if err != nil {
			t.Errorf("%q: %v", template, err)
			continue
		}
		if got := c.Of("ci", "build-1"); got != want {
			t.Errorf("%q leads to %q, want %q", template, got, want)
		}
		for _, of := range [][2]string{{"ci", "a/b"}, {"..", "a"}, {"ci", ".."}, {"ci", "a&b=c"}, {"ci", "A"}, {"", "a"}, {"ci", ""}} {
			if got := c.Of(of[0], of[1]); got != "" {
				t.Errorf("%q leads to %q for %q", template, got, of)
			}
		}
	}
	for _, wrong := range []string{
		"javascript:alert(1)//{{ pr }}", "//host/{{ pr }}", "tekton.example", "https://{{ namespace }}/x", "https://{{ namespace }}.example/",
		"https://x/{{ pod }}", "https://x/\n{{ pr }}", "https://",
	} {
		if c, err := board.ParseConsole(wrong); err == nil {
			t.Errorf("%q is no address, and leads to %q", wrong, c.Of("ci", "a"))
		}
	}
}
