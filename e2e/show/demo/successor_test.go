package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// The lines are the add-on's own, shortened.
func TestSuccessor(t *testing.T) {
	const (
		elected  = `{"message":"\"vm_3d51c51d\" has started leading \"pac-lease-queue.queues.00-of-01\""}`
		takeover = `{"message":"recovery takes over a queue","queue":"shop/shop","overdue":"start a by 0/1/0"}`
		other    = `{"message":"recovery takes over a queue","queue":"shop/other","overdue":"start a by 0/1/0"}`
	)
	for name, tc := range map[string]struct {
		before, after []string
		dead          bool
		found         bool
		elected       bool
	}{
		"elected":                 {after: []string{elected}, found: true, elected: true},
		"takes over":              {after: []string{takeover}, found: true},
		"takes over, then leads":  {after: []string{takeover, elected}, found: true},
		"takes over another":      {after: []string{other}},
		"led before the kill":     {before: []string{elected}, after: []string{other}},
		"took over, and is dead":  {after: []string{takeover}, dead: true},
		"has logged nothing else": {before: []string{elected}},
	} {
		t.Run(name, func(t *testing.T) {
			replica := &stack.Replica{Process: process.New(process.Spec{
				Name: "replica", Dir: t.TempDir(), Logs: t.TempDir(),
				Path: "/bin/sh", Args: []string{"-c", `echo "$LINES"; exec sleep 600`},
			})}
			t.Cleanup(func() { _ = replica.Kill() })
			replicas := []*stack.Replica{replica}
			since := map[string]int64{}
			for i, lines := range [][]string{tc.before, tc.after} {
				if i > 0 {
					var err error
					if since, err = logSizes(replicas); err != nil {
						t.Fatal(err)
					}
					_ = replica.Kill()
				}
				replica.SetEnv("LINES=" + strings.Join(append(lines, "that is all"), "\n"))
				if err := replica.Launch(); err != nil {
					t.Fatal(err)
				}
				awaitLog(t, replica)
			}
			if tc.dead {
				_ = replica.Kill()
			}
			got, elected, err := successor(replicas, key, since)
			if err != nil || (got != nil) != tc.found || elected != tc.elected {
				t.Errorf("found %t, elected %t, error %v, want found %t, elected %t", got != nil, elected, err, tc.found, tc.elected)
			}
		})
	}
}

func awaitLog(t *testing.T, r *stack.Replica) {
	t.Helper()
	for range 500 {
		lines, err := r.LogLines(r.LogStart(), "that is all")
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s logs nothing", r.Name())
}
