package simulation

import (
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	shipped "github.com/pac-lease-queue/pac-lease-queue/addon/replica"
)

// mutant is the product with one rule of the protocol left out. The product is
// not touched: a mutant sits between its parts, or between it and the cluster.
type mutant struct {
	name string
	// caught is the first seed that is known to catch it; 0 if only a script does.
	caught uint64
	// weather and shape have the seeds be of a kind in which the rule matters.
	weather *weather
	shape   func(*mixture)

	patchBody   func(*replica, []byte) []byte
	beforePut   func(*server, *coordinationv1.Lease) // when it arrives
	wrapRuns    func(*replica, engine.Runs, engine.Store) engine.Runs
	wrapStore   func(*replica, engine.Store) engine.Store
	spec        func(*replica, queue.Spec) queue.Spec
	wire        func(*replica, *shipped.Config)
	wrapReplica func(*replica, product) product
	beforeSync  bool // recovery acts before the caches are filled
	manyLeaders bool // even with slots in memory
	noRecovery  bool
	takesAll    bool // whoever takes a queue over says that it has seen a write of its own
	podless     bool // no replica looks for pods
	anyVersion  bool // a fresh look takes what the cache has for what it lists
	unchanging  bool // recovery does not hear that a queue has changed
}

func (m *mutant) patch(r *replica, body []byte) []byte {
	if m.patchBody == nil {
		return body
	}
	return m.patchBody(r, body)
}

func (m *mutant) arrives(s *server, l *coordinationv1.Lease) {
	if m.beforePut != nil {
		m.beforePut(s, l)
	}
}

func (m *mutant) runs(r *replica, x engine.Runs, s engine.Store) engine.Runs {
	if m.wrapRuns == nil {
		return x
	}
	return m.wrapRuns(r, x, s)
}

func (m *mutant) store(r *replica, x engine.Store) engine.Store {
	if m.wrapStore == nil {
		return x
	}
	return m.wrapStore(r, x)
}

func (m *mutant) shapes(r *replica, s queue.Spec) queue.Spec {
	if m.spec == nil {
		return s
	}
	return m.spec(r, s)
}

func (m *mutant) wired(r *replica) {
	if m.wire != nil {
		m.wire(r, &r.config)
	}
}

func (m *mutant) replica(r *replica, x product) product {
	if m.wrapReplica == nil {
		return x
	}
	return m.wrapReplica(r, x)
}

// faithful is the product without the bug, on the same seeds.
func (m *mutant) faithful() *mutant { return &mutant{weather: m.weather, shape: m.shape} }
