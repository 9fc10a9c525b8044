package main

import (
	"slices"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show/showtest"
)

// TestShortSiege is a short make siege: the attacks that break the fastest if a bound is missing,
// and a small container.
func TestShortSiege(t *testing.T) {
	c := newConfig()
	c.phases = []phase{{one("starts"), true}, {one("texts"), false}}
	showtest.Play(t, newShow(c), map[string]string{"SEED": "4", "DURATION": "10s", "MEMORY": "112Mi"})
}

// one returns the named attack.
func one(name string) attack {
	all := attacks()
	return all[slices.Index(names(all), name)]
}
