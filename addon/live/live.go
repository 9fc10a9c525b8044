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
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/status"
	"k8s.io/utils/clock"
)

// Queues are all queues that a replica has seen. It observes an engine, is served as
// JSON, and is safe for concurrent use.
type Queues struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	policy func() queue.Policy
	seen   map[queue.Key]look
}

// look is one look at a queue. Snapshots are not changed once they were observed.
type look struct {
	snapshot  queue.Snapshot
	confirmed bool
	at        time.Time
}

var (
	_ engine.Observer = (*Queues)(nil)
	_ http.Handler    = (*Queues)(nil)
)

// New returns Queues without any.
func New(c clock.PassiveClock) *Queues {
	return &Queues{clock: c, policy: func() queue.Policy { return queue.Policy{} }, seen: map[queue.Key]look{}}
}

// DecideBy has the durations that decisions depend on known, once they are.
func (q *Queues) DecideBy(policy func() queue.Policy) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.policy = policy
}

// Decided implements engine.Observer.
func (q *Queues) Decided(s queue.Snapshot, confirmed bool, _ time.Duration) {
	seen := look{s, confirmed, q.clock.Now()}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen[s.Key] = seen
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
	// SeenAt is when the replica last looked; Confirmed says that it works on the
	// queue and has looked past its caches where they prove nothing.
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

// All returns the queues, by name.
func (q *Queues) All() []Queue {
	q.mu.Lock()
	seen := make([]look, 0, len(q.seen))
	for _, l := range q.seen {
		seen = append(seen, l)
	}
	policy := q.policy
	q.mu.Unlock()
	slices.SortFunc(seen, func(a, b look) int {
		return cmp.Or(cmp.Compare(a.snapshot.Key.Namespace, b.snapshot.Key.Namespace), cmp.Compare(a.snapshot.Key.Repository, b.snapshot.Key.Repository))
	})
	now := q.clock.Now()
	all := make([]Queue, 0, len(seen))
	for _, l := range seen {
		stands := queue.Stand(l.snapshot, now, policy())
		is := Queue{
			Namespace: l.snapshot.Key.Namespace, Repository: l.snapshot.Key.Repository, Limit: int(stands.Limit), Waiting: stands.Waiting,
			SeenAt: l.at.UTC(), Confirmed: l.confirmed, Runs: []Run{},
		}
		for _, r := range stands.Runs {
			run := Run{Name: r.Run.Name, Why: string(r.Why), Reason: status.Why(r, stands, "", status.At(now)), Position: r.Position, Attempt: r.Run.Attempt}
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
