package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// garbage is how much garbage the heap may have, in percent of what is in use: half of Go's own. A
// replica's heap is mostly its caches, which are large and quiet, so collecting twice as often
// costs little, and saves half a megabyte for each that is cached.
const garbage = 50

// limitMemory has Go's runtime collect garbage harder as the process nears the memory limit of its
// container: nine tenths of it, the rest being what the runtime does not count. Without it, the
// heap may grow by half between two collections, and the kernel kills the process. GOMEMLIMIT and
// GOGC in the environment count instead; outside a container there is no limit.
func limitMemory(options ...memlimit.Option) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	if _, err := memlimit.Set(options...); err != nil {
		slog.Warn("Cannot read the memory limit of the container", "error", err)
	}
}
