package main

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
)

// TestShortSiege is a short make siege.
func TestShortSiege(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded stack")
	}
	settings := map[string]string{"SEED": "4", "DURATION": "24s", "ONLY": "together"}
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
