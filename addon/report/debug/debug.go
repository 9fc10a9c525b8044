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
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

// Queue is one queue as a replica sees it.
type Queue struct {
	view.Queue
	// SeenAt is when the replica last looked and decided; Confirmed says that it
	// works on the queue and has looked past its caches where they prove nothing.
	SeenAt    time.Time `json:"seenAt"`
	Confirmed bool      `json:"confirmed"`
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
	reason := func(is queue.Standing) string { return report.Why(is, stands, k.Refusals[is.Run.UID], report.At(now)) }
	return Queue{Queue: view.OfQueue(k.Snapshot, stands, reason), SeenAt: k.At.UTC(), Confirmed: k.Confirmed()}
}

// ServeHTTP answers with all queues. It authenticates no client, and the answer has every
// namespace, so it belongs on a port that the network does not reach.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(view.NewList(h.queues())) // the client may have gone
}
