package pac_test

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// TestMoved: only the version that brings it along tells of a replica's write, and only what no
// user may write.
func TestMoved(t *testing.T) {
	claim, by := annotated(pac.Claim, "0/1/0"), annotated(pac.Replica, "replica-1")
	run := func(changes ...change) *pac.Cached { return cachedRun(pipelineRun("build", changes...)) }
	waits, claimed := run(), run(specStatus(""), claim, by)
	for name, tc := range map[string]struct {
		was, is any
		moved   bool
		by      string
	}{
		"it is started":         {waits, claimed, true, "replica-1"},
		"Tekton begins":         {claimed, run(specStatus(""), startedAt(noon), claim, by), false, ""},
		"it waits still":        {waits, waits, false, ""},
		"it is started by PAC":  {waits, run(specStatus("")), false, ""},
		"it was started before": {nil, claimed, false, ""},
		"it is stamped":         {waits, run(annotated(pac.Arrived, "5")), true, ""},
		"it is fenced":          {waits, run(annotated(pac.Attempt, "1")), true, ""},
		"it is cancelled":       {waits, run(specStatus("Cancelled")), false, ""},
	} {
		if by, moved := pac.Moved(tc.was, tc.is); moved != tc.moved || by != tc.by {
			t.Errorf("%s: moved %t by %q, want %t by %q", name, moved, by, tc.moved, tc.by)
		}
	}
}
