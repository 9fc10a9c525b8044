package main

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show/showtest"
)

// TestShortChaos is a short make chaos. The plan of this seed has faults of every sort.
func TestShortChaos(t *testing.T) {
	showtest.Play(t, newShow(newConfig()), map[string]string{"SEED": "4", "DURATION": "30s", "RUNS": "40"})
}
