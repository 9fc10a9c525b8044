// Package live tells what a replica sees: every queue as it was last looked at, as
// JSON, for people who debug that replica. kubectl pac-queue tells what is in the
// cluster.
//
// An engine is never kept waiting: it leaves a reference to what it saw, and who
// asks works the rest out.
package live

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Queues are all queues that a replica has seen. It observes an engine, is served as
// JSON, and is safe for concurrent use.
type Queues struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	replica Replica
	seen    map[queue.Key]look
}

// Replica is what a replica that works knows. All of it is required, and has to be
// safe for concurrent use.
type Replica struct {
	// Policy is what decisions are made by.
	Policy func() queue.Policy
	// Acts says whether the replica works on a queue.
	Acts func(queue.Key) bool
	// Keys are the queues that exist.
	Keys func() []queue.Key
}

// look is one look at a queue. Snapshots are not changed once they were observed.
type look struct {
	snapshot queue.Snapshot
	at       time.Time
}

var (
	_ engine.Observer = (*Queues)(nil)
	_ http.Handler    = (*Queues)(nil)
)

// New returns Queues without any.
func New(c clock.PassiveClock) *Queues {
	return &Queues{clock: c, seen: map[queue.Key]look{}}
}

// Of says whose queues these are, before any is observed.
func (q *Queues) Of(r Replica) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.replica = r
}

// Decided implements engine.Observer. Recovery looks at the caches alone, also at the
// queues that this replica works on: there that is no news.
func (q *Queues) Decided(s queue.Snapshot, _ time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.Freshness == queue.Cached && q.seen[s.Key].snapshot.Freshness >= queue.Confirmed && q.replica.Acts(s.Key) {
		return
	}
	q.seen[s.Key] = look{s, q.clock.Now()}
}

// Applied implements engine.Observer.
func (q *Queues) Applied(queue.Key, queue.Action, error) {}

// Gone implements engine.Observer.
func (q *Queues) Gone(key queue.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.seen, key)
}

// Queue is one queue in the answer.
type Queue struct {
	Namespace  string `json:"namespace"`
	Repository string `json:"repository"`
	Limit      int    `json:"limit"` // 0 is none
	Waiting    int    `json:"waiting"`
	// SeenAt is when the replica last looked and decided; Confirmed says that it
	// works on the queue and has looked past its caches where they prove nothing.
	SeenAt    time.Time `json:"seenAt"`
	Confirmed bool      `json:"confirmed"`
	Runs      []Run     `json:"runs"`
}

// Run is one run that is not over, in queue order.
type Run struct {
	Name     string `json:"name"`
	Why      string `json:"why"`
	Reason   string `json:"reason"`
	Position int    `json:"position,omitempty"`
	Slot     *int   `json:"slot,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`
}

// existing are the looks at the queues that there are yet. What is gone is forgotten:
// nothing tells a replica that does not lead.
func (q *Queues) existing() ([]look, Replica) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.replica.Keys == nil {
		return nil, q.replica // nothing was observed yet
	}
	there := map[queue.Key]look{}
	for _, key := range q.replica.Keys() {
		if l, seen := q.seen[key]; seen {
			there[key] = l
		}
	}
	q.seen = there
	return slices.Collect(maps.Values(there)), q.replica
}

// All returns the queues, by name.
func (q *Queues) All() []Queue {
	seen, replica := q.existing()
	slices.SortFunc(seen, func(a, b look) int {
		return cmp.Or(cmp.Compare(a.snapshot.Key.Namespace, b.snapshot.Key.Namespace), cmp.Compare(a.snapshot.Key.Repository, b.snapshot.Key.Repository))
	})
	now := q.clock.Now()
	all := make([]Queue, 0, len(seen))
	for _, l := range seen {
		stands := queue.Stand(l.snapshot, now, replica.Policy())
		is := Queue{
			Namespace: l.snapshot.Key.Namespace, Repository: l.snapshot.Key.Repository, Limit: int(stands.Limit), Waiting: stands.Waiting,
			SeenAt: l.at.UTC(), Confirmed: l.snapshot.Freshness >= queue.Confirmed, Runs: []Run{},
		}
		for _, r := range stands.Runs {
			run := Run{Name: r.Run.Name, Why: string(r.Why), Reason: report.Why(r, stands, "", report.At(now)), Position: r.Position, Attempt: r.Run.Attempt}
			if r.Slot != queue.NoSlot {
				run.Slot = &r.Slot
			}
			is.Runs = append(is.Runs, run)
		}
		all = append(all, is)
	}
	return all
}

// ServeHTTP answers with all queues.
func (q *Queues) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(map[string]any{"queues": q.All()}) // whoever asked may have gone
}
