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
