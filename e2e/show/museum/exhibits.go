package main

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// exhibits are the rows of the table in docs/design/pac-contract.md, in its order. The comments at
// their provoke functions say where in PAC v0.50.0 the failures come from.
var exhibits = []exhibit{
	{
		name: "two-watchers", what: "two watchers share the work, one push with 8 runs",
		watchers: 2, provoke: twoWatchers, fails: brokenAndStuck,
	},
	{
		name: "stale-state", what: "the watcher restarts while a finished run still says `started`", issue: "#2949",
		provoke: staleState, fails: shows(standstill),
	},
	{
		name: "provider-lost", what: "provider detection fails when a run finishes", issue: "#2946",
		provoke: providerLost, fails: shows(standstill),
	},
	{
		name: "lost-reply", what: "a start is carried out and its reply is lost", issue: "#2948",
		provoke: lostReply, fails: shows(overLimit),
	},
	{
		name: "failed-get", what: "a Get fails when the next run is about to start", issue: "#2948",
		provoke: failedGet, fails: shows(standstill),
	},
	{
		name: "malformed-order", what: "one run has a malformed execution-order", issue: "#2945",
		provoke: malformedOrder, fails: crashLoop, holds: crashFree,
	},
	{
		name: "watcher-down", what: "the watcher is down while runs are created, and while one finishes", issue: "#1790",
		provoke: watcherDown, fails: shows(overLimit, standstill),
		fixed: "since #1791 a starting watcher puts waiting runs back into its queue (queue_manager.go:InitQueues) " +
			"and reports finished ones",
	},
	{
		name: "controller-dies", what: "the controller dies between creating runs and writing their execution-order",
		provoke: controllerDies, fails: shows(standstill),
	},
	{
		name: "cancel-in-progress", what: "a newer push asks to cancel the runs of an older one",
		provoke: newerPush, fails: cancelRefused, holds: olderCancelled,
	},
	{
		name: "global-limit", what: "the watcher restarts; the limit is set in the global Repository",
		provoke: globalLimit, fails: shows(overLimit),
	},
	{
		name: "shared-namespace", what: "the watcher restarts; two Repositories share a namespace",
		provoke: sharedNamespace, fails: shows(standstill),
	},
}

// short is how long most runs take.
const short = time.Second

// threeRuns returns three runs, the first of which, in queue order, leaves time to interfere.
func threeRuns() map[string]string {
	files := stack.RunFiles(3, short)
	files[".tekton/run-01.yaml"] = stack.RunFile("run-01", 8*time.Second)
	return files
}
