package main

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

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

// TestGiveBack: a process that rests gives back what it has needed, and one that is at work keeps
// it.
func TestGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go giveBack(ctx)
		time.Sleep(restLook) // the first look
		synctest.Wait()
		unused := allocate(8 * worthwhile)
		time.Sleep(restLook)
		synctest.Wait()
		if now := readMemory().unused; now < unused/2 {
			t.Errorf("at work, %d MiB are unused after %d: they are given back too early", now>>20, unused>>20)
		}
		time.Sleep(restLook)
		synctest.Wait()
		if now := readMemory().unused; now > worthwhile {
			t.Errorf("at rest, %d MiB are not given back", now>>20)
		}
	})
}

var kept []byte

// allocate needs memory for a moment, and returns how much is unused then.
func allocate(bytes int) uint64 {
	kept = make([]byte, bytes)
	kept = nil
	return readMemory().unused
}
