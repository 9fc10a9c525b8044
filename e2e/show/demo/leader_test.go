package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// The lines are the add-on's own, shortened.
func TestLogLines(t *testing.T) {
	before := `# 2026-11-22T16:20:24Z /tmp/bin/pac-lease-queue controller
{"message":"pac-lease-queue.queues.00-of-01 will run in leader-elected mode with id \"vm_3d51c51d\""}
{"message":"\"vm_3d51c51d\" has started leading \"pac-lease-queue.queues.00-of-01\""}
`
	after := `{"message":"recovery takes over a queue","queue":"shop/shop","overdue":"start a by 0/1/0"}
{"message":"recovery takes over a queue","queue":"shop/other","overdue":"start a by 0/1/0"}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "replica.log"), []byte(before+after), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &stack.Replica{Process: process.New(process.Spec{Name: "replica", Logs: dir})}
	for name, tc := range map[string]struct {
		offset int
		words  []string
		want   string
	}{
		"identity":         {0, []string{logIdentity, "vm_3d51c51d"}, strings.SplitAfter(before, "\n")[1]},
		"other identity":   {0, []string{logIdentity, "vm_4e62d62e"}, ""},
		"no identity":      {0, []string{logIdentity, ""}, ""},
		"takeover":         {len(before), []string{logTakeover, key.String()}, strings.SplitAfter(after, "\n")[0]},
		"leading":          {0, []string{logLeading}, strings.SplitAfter(before, "\n")[2]},
		"led already":      {len(before), []string{logLeading}, ""},
		"log got shorter?": {len(before + after + "x"), []string{logLeading}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := logLines(r, int64(tc.offset), tc.words...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, strings.Join(lines, "")); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}
