package queue_test

import "testing"

// TestForget: what is queued by its label is marked as finished once it is done and has given its
// slot back. PAC does that for its own.
func TestForget(t *testing.T) {
	done, goesOn, waits := run("done").labelled().done(), run("goes-on").labelled().started(), run("waits").labelled()
	checkDecisions(t, map[string]decideCase{
		"it is done":                {limit: 1, runs: runs(done), want: []string{"forget done"}},
		"without a limit":           {runs: runs(done), want: []string{"forget done"}},
		"a slot names it":           {limit: 1, runs: runs(done), slots: slots(slot(0).of("done")), want: []string{"release 0"}},
		"a slot names it, no limit": {runs: runs(done), slots: slots(slot(0).of("done")), want: []string{"remove 0"}},
		"one of PAC's":              {limit: 1, runs: runs(run("done").done())},
		"it goes on":                {limit: 1, runs: runs(goesOn), slots: slots(slot(0).of("goes-on"))},
		"after all that starts runs": {
			limit: 1, runs: runs(done, waits), slots: slots(slot(0)), want: []string{"claim 0 for waits", "forget done"},
		},
		"handed back, it stays": {limit: 1, runs: runs(done, waits), handBack: true},
	})
}
