package memory_test

import (
	"fmt"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/memory"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Fixture {
		return storetest.Fixture{Stores: []engine.Store{memory.New()}, Namespaces: [2]string{"one", "two"}}
	})
}

// Two processes have two memories: what one has claimed, the other claims again.
// Leases refuse that, and are the default for this reason.
func TestProcessesDoNotSeeEachOther(t *testing.T) {
	q := engine.Repository{Key: queue.Key{Namespace: "shop", Repository: "app"}, UID: "uid", Limit: 1}
	for i, process := range []*memory.Store{memory.New(), memory.New()} {
		holder := queue.Holder{Name: fmt.Sprintf("run-%d", i), UID: fmt.Sprintf("uid-%d", i)}
		if _, err := process.Claim(t.Context(), q, queue.Slot{}, holder); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
}
