package report_test

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// T5: nothing that an object says drives the terminal of its reader.
func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"build-x4k: Ä, 日本 ➜ done\n\tnext": "build-x4k: Ä, 日本 ➜ done\n\tnext",
		"\x1b[2J\x1b]0;title\a":           "�[2J�]0;title�",
		"a\rb\bc\x00d\x7f":                "a�b�c�d�",
		"\u009b31m":                       "�31m",
		"a\u202eb\u2066c":                 "a�b�c",
		"a\xffb":                          "a�b",
	} {
		if got := report.Plain(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
