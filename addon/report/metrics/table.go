package metrics

// Type is the Prometheus type of a metric.
type Type string

// The types there are.
const (
	Gauge     Type = "gauge"
	Counter   Type = "counter"
	Histogram Type = "histogram"
)

// Metric is what there is to know of one metric.
type Metric struct {
	// Name as Prometheus shows it, with the unit in it.
	Name string
	Type Type
	// Unit is empty for what is counted in pieces.
	Unit   string
	Labels []string
	Help   string
	// Buckets are the upper bounds of a histogram.
	Buckets []float64
}

const (
	namespaceLabel  = "namespace"
	repositoryLabel = "repository"
	kindLabel       = "kind"
	objectLabel     = "object"
	causeLabel      = "cause"

	seconds = "s"
)

// ofQueue are the labels of what is said of one queue.
var ofQueue = []string{namespaceLabel, repositoryLabel}

// Every is the value of the labels of a queue in the series of all queues that have none of their
// own.
const Every = "*"

var (
	queuesSeen = Metric{
		Name: "pac_lease_queue_queues", Type: Gauge,
		Help: "Queues that this replica sees: Repositories that have a limit, and runs or slots.",
	}
	runsWaiting = Metric{
		Name: "pac_lease_queue_runs_waiting", Type: Gauge, Labels: ofQueue,
		Help: "Runs that wait for a slot.",
	}
	slotsUsed = Metric{
		Name: "pac_lease_queue_slots_used", Type: Gauge, Labels: ofQueue,
		Help: "Slots that have a holder, and started runs that have no slot yet.",
	}
	slotsLimit = Metric{
		Name: "pac_lease_queue_slots_limit", Type: Gauge, Labels: ofQueue,
		Help: "The limit.",
	}
	runsExcess = Metric{
		Name: "pac_lease_queue_runs_excess", Type: Gauge, Labels: ofQueue,
		Help: "Started runs above the limit, without those that were started when it was higher.",
	}
	stalledSeconds = Metric{
		Name: "pac_lease_queue_stalled_seconds", Type: Gauge, Unit: seconds, Labels: ofQueue,
		Help: "How long there have been runs to start and room for them, without a start.",
	}
	leaderBuckets = Metric{
		Name: "pac_lease_queue_leader_buckets", Type: Gauge,
		Help: "Parts of the queues that this replica leads.",
	}
	starts = Metric{
		Name: "pac_lease_queue_starts_total", Type: Counter,
		Help: "Runs that this replica started.",
	}
	expiredClaims = Metric{
		Name: "pac_lease_queue_expired_claims_total", Type: Counter,
		Help: "Claims that this replica gave up because their runs could not be started.",
	}
	conflicts = Metric{
		Name: "pac_lease_queue_conflicts_total", Type: Counter, Labels: []string{objectLabel},
		Help: "Writes that were refused because another writer had changed the object (run, slot) first.",
	}
	recoveries = Metric{
		Name: "pac_lease_queue_recoveries_total", Type: Counter, Labels: []string{kindLabel},
		Help: "Steps of recovery. stamp, claim, start, expire, release, remove, cancel, hand-back: a step that was not taken in time. " +
			"adopt: a started run without a slot got one. rewrite: a slot that could not be read was written anew.",
	}
	eventsLeftOut = Metric{
		Name: "pac_lease_queue_events_left_out_total", Type: Counter, Labels: []string{causeLabel},
		Help: "Events that this replica did not write. sequel: a later event of the same run said more. full: too many waited to be " +
			"written, most of them its namespace's. frequent: its object had too many. failed: the API server refused it, or did " +
			"not answer.",
	}
	waitSeconds = Metric{
		Name: "pac_lease_queue_wait_duration_seconds", Type: Histogram, Unit: seconds,
		Help:    "From the creation of a run to its start, no matter who started it.",
		Buckets: []float64{0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400},
	}
	freeSlotSeconds = Metric{
		Name: "pac_lease_queue_free_slot_to_start_seconds", Type: Histogram, Unit: seconds,
		Help: "From the moment when there was both a free slot and a run ready for it to the start, as seen by the replica " +
			"that started the run.",
		Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
	}
	decisionSeconds = Metric{
		Name: "pac_lease_queue_decision_duration_seconds", Type: Histogram, Unit: seconds,
		Help:    "How long a decision about a queue took.",
		Buckets: []float64{0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1},
	}
)

// All lists every metric.
func All() []Metric {
	return []Metric{
		queuesSeen, runsWaiting, slotsUsed, slotsLimit, runsExcess, stalledSeconds, leaderBuckets,
		starts, expiredClaims, conflicts, recoveries, eventsLeftOut,
		waitSeconds, freeSlotSeconds, decisionSeconds,
	}
}
