package main

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
)

// TestShortChaos is a short make chaos. The plan of this seed has faults of every sort.
func TestShortChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded stack")
	}
	s := newShow(&config{Seed: 4, Duration: 30 * time.Second, Replicas: 3, Queues: 4, Runs: 40})
	result, err := s.Perform(t.Context(), screen.Lines(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK {
		t.Error(result.Report)
	}
}
