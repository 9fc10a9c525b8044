package main

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
)

// TestShortChaos is a short make chaos. The plan of this seed has faults of every sort.
func TestShortChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded stack")
	}
	settings := map[string]string{"SEED": "4", "DURATION": "30s", "RUNS": "40"}
	s := newShow(newConfig())
	if err := s.Configure(nil, func(name string) string { return settings[name] }); err != nil {
		t.Fatal(err)
	}
	result, err := s.Perform(t.Context(), screen.Lines(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK {
		t.Error(result.Report)
	}
}
