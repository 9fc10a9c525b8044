package main

import (
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The garbage collector knows the limit of the container.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	limitMemory(memlimit.WithProvider(memlimit.Limit(1000 << 20)))
	if got := debug.SetMemoryLimit(-1); got != 900<<20 {
		t.Errorf("the limit is %d MiB, want 900 of the container's 1000", got>>20)
	}
}

// TestGarbage: the heap has less garbage than Go's own default allows, unless the environment says
// otherwise.
func TestGarbage(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for env, want := range map[string]int{"": garbage, "100": 100} {
		t.Setenv("GOGC", env)
		debug.SetGCPercent(100)
		limitMemory(memlimit.WithProvider(memlimit.Limit(1000 << 20)))
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("with GOGC=%q, %d percent of garbage, want %d", env, got, want)
		}
	}
}
