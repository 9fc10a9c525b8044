package main

import (
	"testing"
	"time"
)

// TestShortChaos is make chaos in little, with a seed whose plan has something of
// everything in it.
func TestShortChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("not run in short mode, it needs the embedded stack")
	}
	r, err := run(t.Context(), config{Seed: 4, Duration: 30 * time.Second, Replicas: 3, Queues: 4, Runs: 40}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", r.text())
	for _, line := range r.broken() {
		t.Error(line)
	}
}
