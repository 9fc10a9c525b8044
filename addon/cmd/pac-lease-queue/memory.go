package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

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

const (
	// restLook is how often memory is looked at. A process rests that has allocated less than
	// restful since the last look.
	restLook = 5 * time.Second
	restful  = 2 << 20 // bytes
	// Giving memory back costs a collection of the heap. At least worthwhile has to be unused for
	// that, and at least the live heap divided by heapPerUnused.
	worthwhile    = 8 << 20 // bytes
	heapPerUnused = 4
)

// giveBack returns memory to the system once the process rests, until the context ends: a replica
// that comes up, or has many queues to work off, needs far more of it than afterwards. Go's runtime
// alone keeps what it needed last, and a tenth more, for as long as nothing happens. Whoever sets
// GOGC decides that, so giveBack then does nothing.
func giveBack(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	ticker := time.NewTicker(restLook)
	defer ticker.Stop()
	var before memory
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := readMemory()
		if now.allocated-before.allocated < restful && now.unused >= max(worthwhile, now.live/heapPerUnused) {
			debug.FreeOSMemory()
		}
		before = now
	}
}

// memory is what the runtime says of the heap, in bytes.
type memory struct {
	allocated uint64 // since the process began
	live      uint64 // after the last collection
	unused    uint64 // free, or probably garbage, and not given back
}

func readMemory() memory {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	at := func(i int) uint64 { return samples[i].Value.Uint64() }
	return memory{allocated: at(0), live: at(3), unused: at(1) + at(2) - min(at(2), at(3))}
}
