package simulation

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// weather is how bad the cluster may get.
type weather struct {
	name string
	// Caches, pauses within a pass and requests under way are bounded by these,
	// together less than a claim TTL in fair weather.
	stale, patience, longest time.Duration
	// lag is how long an eligible run may be overtaken without blame.
	lag time.Duration
	// skew is how far clocks may be off.
	skew   time.Duration
	policy queue.Policy
	timing recovery.Timing
	// vandals break and delete Leases, which the protocol survives only if the
	// above is bounded.
	vandals bool
}

var (
	// storm has no bounds: safety does not rest on any clock.
	storm = weather{
		name: "storm", stale: time.Hour, patience: time.Hour, longest: time.Minute, lag: time.Hour, skew: 10 * time.Second,
		policy: queue.Policy{
			ClaimTTL: 3 * time.Second, OrderGrace: 20 * time.Second, ReadyGrace: 20 * time.Second,
			BackoffBase: time.Second, BackoffMax: 4 * time.Second,
		},
		timing: recovery.Timing{Interval: 500 * time.Millisecond, TakeoverAfter: time.Second},
	}
	fair = weather{
		name: "fair", stale: 4 * time.Second, patience: 4 * time.Second, longest: 8 * time.Second,
		lag: 20 * time.Second, skew: time.Second, vandals: true,
		policy: queue.Policy{
			ClaimTTL: 20 * time.Second, OrderGrace: 30 * time.Second, ReadyGrace: 60 * time.Second,
			BackoffBase: 5 * time.Second, BackoffMax: time.Minute,
		},
		timing: recovery.Timing{Interval: time.Second, TakeoverAfter: 3 * time.Second},
	}
)

// mixture is what one seed makes of the weather: things that are rare in the
// long run come in rows somewhere.
type mixture struct {
	weather
	queues   int
	replicas int
	// crowd has most replicas believe that they lead.
	crowd bool
	// work, deliver, wait and happen are how often the scheduler does which.
	work, deliver, wait, happen int
	longWaits                   bool
	network                     []fate
	// held says that the hold moves execution orders to the product's annotation.
	held bool
	// memory and switches say which backends a seed has.
	memory, switches bool
	// traceable runs say what they were made of, so that newer runs may supersede them.
	traceable  bool
	cancelling queue.CancelInProgress
	// release says when slots are free. Pods outlive runs where they may be kept for them.
	release config.Release
	// shaped has RunQueues.
	shaped bool
	// labelled has runs that are not PAC's, and queued by their label.
	labelled bool
	// kueue has runs that are labelled for Kueue.
	kueue bool
	// writes is how many a pass makes at most.
	writes int
	// together has one replica lead all queues, unless slots may be in memory.
	together bool
	// ties has most events come in pairs.
	ties    bool
	happens map[string]int // event → how often
}

func mix(rnd *rand.Rand) mixture {
	m := mixture{
		weather: [...]weather{storm, fair}[rnd.IntN(2)],
		queues:  []int{1, 1, 1, 2, 3}[rnd.IntN(5)], replicas: 1 + rnd.IntN(4), crowd: rnd.IntN(3) == 0,
		work: 2 + rnd.IntN(12), deliver: 1 + rnd.IntN(12), wait: 1 + rnd.IntN(3), happen: 1 + rnd.IntN(4),
		longWaits: rnd.IntN(2) == 0, held: rnd.IntN(8) > 0,
		happens: map[string]int{},
	}
	switch rnd.IntN(10) {
	case 0:
		m.memory = true
	case 1, 2:
		m.switches = true
	}
	m.network = slices.Concat(
		slices.Repeat([]fate{arrives}, 2+rnd.IntN(12)), slices.Repeat([]fate{stuck}, rnd.IntN(5)),
		slices.Repeat([]fate{answersLate}, rnd.IntN(4)),
		slices.Repeat([]fate{lost}, rnd.IntN(3)), slices.Repeat([]fate{unanswered}, rnd.IntN(3)),
		slices.Repeat([]fate{repeated}, rnd.IntN(2)))
	for _, e := range events {
		if e.often > 0 {
			m.happens[e.name] = []int{0, 1, 1, 2, 5}[rnd.IntN(5)] * e.often
		}
	}
	for _, always := range []string{"push", "promise", "tekton"} {
		m.happens[always] = max(m.happens[always], 8)
	}
	if !m.switches {
		m.happens["switch"] = 0
	}
	return m
}

// often has events happen more often than most.
func (m *mixture) often(names ...string) {
	for _, name := range names {
		m.happens[name] = max(m.happens[name], 15)
	}
}
