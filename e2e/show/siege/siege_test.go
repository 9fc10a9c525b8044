package main

import (
	"slices"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
)

// TestShortSiege is a short make siege: the attacks that break the fastest if a bound is missing,
// and a small container.
func TestShortSiege(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded stack")
	}
	settings := map[string]string{"SEED": "4", "DURATION": "10s", "MEMORY": "112Mi"}
	c := newConfig()
	c.phases = []phase{{one("starts"), true}, {one("orders"), false}}
	s := newShow(c)
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

// one returns the named attack.
func one(name string) attack {
	all := attacks()
	return all[slices.Index(names(all), name)]
}
