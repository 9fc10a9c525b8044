// Package debug shows what a replica sees: every queue as it looked at it last, as JSON, for people
// who debug that replica. kubectl pac-queue shows what is in the cluster.
package debug

import (
	"encoding/json"
	"net/http"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
)

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

// Handler serves the queues of a replica. No engine waits for it: it works out from the latest
// looks what it shows.
type Handler struct {
	Looks *latest.Looks
	// Policy is what the replica decides by.
	Policy func() queue.Policy
	Clock  clock.PassiveClock
}

// queues lists the queues, sorted by namespace and Repository.
func (h Handler) queues() []Queue {
	known, now := h.Looks.All(), h.Clock.Now()
	all := make([]Queue, 0, len(known))
	for _, k := range known {
		all = append(all, show(k, queue.Stand(k.Snapshot, now, h.Policy()), now))
	}
	return all
}

func show(k latest.Known, stands queue.Standings, now time.Time) Queue {
	q := Queue{
		Namespace: k.Snapshot.Key.Namespace, Repository: k.Snapshot.Key.Repository, Limit: int(stands.Limit), Waiting: stands.Waiting,
		SeenAt: k.At.UTC(), Confirmed: k.Confirmed(), Runs: []Run{},
	}
	for _, r := range stands.Runs {
		run := Run{
			Name: r.Run.Name, Why: string(r.Why), Reason: report.Why(r, stands, k.Refusals[r.Run.UID], report.At(now)),
			Position: r.Position, Attempt: r.Run.Attempt,
		}
		if r.Slot != queue.NoSlot {
			run.Slot = &r.Slot
		}
		q.Runs = append(q.Runs, run)
	}
	return q
}

// ServeHTTP answers with all queues.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(map[string]any{"queues": h.queues()}) // the client may have gone
}
