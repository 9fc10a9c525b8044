package onstack_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// Without -hold, the policy's stack and the webhook's share the tests: those in which runs are
// held, guarded or freed in a way of their own, or in which something happens to the replicas,
// which serve the webhook, are played on both; once a run is held, the others cannot tell by what,
// and one stack plays them. `make test-holds` plays all of them with either hold.
var (
	withEither = []string{
		"TestAllReplicasDownForAWhile",
		"TestGuardKeepsRunsHeld",
		"TestHandBack",
		"TestLimitHolds/limit_2_replicas",
		"TestMalformedExecutionOrder",
		"TestOrderWithinAndAcrossEvents",
		"TestReplicaKilledWhileAPushComesIn",
		"TestRunCancelledWhileQueued",
		"TestSuite/node_drained",
		"TestSuite/rolling_restart",
		"TestUninstallHandsBack",
		"TestUpgradeAndRollbackUnderLoad",
	}
	// Chosen so that both stacks take about as long.
	onlyWebhook = []string{
		"TestBackendToggledWhileQueued", "TestSuite/backend_toggled",
		"TestExecutionOrderNeverArrives",
		"TestFairBetweenBranches",
		"TestLimitHolds/limit_3_replicas", "TestSuite/limit_3_replicas",
		"TestMaxAge",
		"TestMemoryBackendRestarted",
		"TestPluginShowsTheTruth",
		"TestPriorities",
		"TestRunsStartedBeforeTheAddonAreAdopted",
		"TestSuite/replica_killed",
		"TestWebhookSecretDeletedWhileRunning",
	}
)

// pattern is what -test.run takes for these tests and no others.
func pattern(tests []string) string {
	var each []string
	for _, test := range tests {
		each = append(each, "^"+strings.ReplaceAll(test, "/", "$/^")+"$")
	}
	return strings.Join(each, "|")
}

// A test that is renamed has to be renamed in the lists too.
func TestSharedTestsAreThere(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	for _, test := range slices.Concat(withEither, onlyWebhook) {
		function, scenario, _ := strings.Cut(test, "/")
		if !regexp.MustCompile(`(?m)^func ` + function + `\(t `).MatchString(source.String()) {
			t.Errorf("there is no %s", function)
		}
		if scenario != "" && !slices.ContainsFunc(suite.Scenarios(), func(s suite.Scenario) bool { return s.Name == scenario }) {
			t.Errorf("%s: the suite has no such scenario", test)
		}
	}
}
