package main

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory has Go's runtime collect garbage harder as the process nears the memory limit of its
// container: nine tenths of it, the rest being what the runtime does not count. Without it, the
// heap may double between two collections, and the kernel kills the process. GOMEMLIMIT in the
// environment counts instead; outside a container there is no limit.
func limitMemory(options ...memlimit.Option) {
	if _, err := memlimit.Set(options...); err != nil {
		slog.Warn("Cannot read the memory limit of the container", "error", err)
	}
}
