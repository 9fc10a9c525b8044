package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
)

// scope is how the instruments of this package are told from others.
const scope = "github.com/pac-lease-queue/pac-lease-queue"

// Config holds what a replica's metrics are made of; all of it is required.
type Config struct {
	Meters metric.MeterProvider
	// Clock says how long a queue has been stalled at a scrape.
	Clock clock.PassiveClock
	// MaxQueues is how many queues have series of their own at most; the others have one
	// together. It is asked at every scrape, so that it can change at run time.
	MaxQueues func() int
}

// Metrics are those of one replica. It is safe for concurrent use.
type Metrics struct {
	engine.Unobserved
	Config
	starts, expiredClaims, conflicts, recoveries metric.Int64Counter
	eventsLeftOut                                metric.Int64Counter
	wait, freeSlot, decision                     metric.Float64Histogram
	meter                                        metric.Meter

	mu     sync.Mutex
	queues map[queue.Key]*state
}

var _ engine.Observer = (*Metrics)(nil)

// New registers what is counted. How things stand is told once Report is called.
func New(c Config) (*Metrics, error) {
	m := &Metrics{Config: c, meter: c.Meters.Meter(scope), queues: map[queue.Key]*state{}}
	i := instruments{meter: m.meter}
	m.starts = i.counter(starts)
	m.expiredClaims = i.counter(expiredClaims)
	m.conflicts = i.counter(conflicts)
	m.recoveries = i.counter(recoveries)
	m.eventsLeftOut = i.counter(eventsLeftOut)
	m.wait = i.histogram(waitSeconds)
	m.freeSlot = i.histogram(freeSlotSeconds)
	m.decision = i.histogram(decisionSeconds)
	if err := errors.Join(i.wrong...); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}

	// From nothing to one is no increase to Prometheus, from zero to one is.
	count(m.starts, 0)
	count(m.expiredClaims, 0)
	for _, object := range queue.Objects() {
		count(m.conflicts, 0, attribute.String(objectLabel, string(object)))
	}
	for _, kind := range recoveryKinds() {
		count(m.recoveries, 0, attribute.String(kindLabel, kind))
	}
	for _, cause := range event.Causes() {
		count(m.eventsLeftOut, 0, attribute.String(causeLabel, string(cause)))
	}
	return m, nil
}

// LeftOut counts an event that is not written.
func (m *Metrics) LeftOut(cause event.Cause) {
	count(m.eventsLeftOut, 1, attribute.String(causeLabel, string(cause)))
}

// Report has every scrape told how things stand, and how many buckets this replica leads. Call it
// once the caches are filled.
func (m *Metrics) Report(buckets func() int) error {
	i := instruments{meter: m.meter}
	g := gauges{
		queues: i.gauge(queuesSeen), buckets: i.gauge(leaderBuckets),
		waiting: i.gauge(
			runsWaiting,
		), used: i.gauge(slotsUsed), limit: i.gauge(slotsLimit), excess: i.gauge(runsExcess), stalled: i.gauge(stalledSeconds),
	}
	i.callback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(g.buckets, float64(buckets()))
		m.tell(o, g)
		return nil
	}, g.queues, g.buckets, g.waiting, g.used, g.limit, g.excess, g.stalled)
	if err := errors.Join(i.wrong...); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// Looked implements engine.Observer.
func (m *Metrics) Looked(l engine.Look) {
	m.decision.Record(context.Background(), l.Took.Seconds())
	key := l.Snapshot.Key
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Snapshot.Limit == queue.Unlimited {
		delete(m.queues, key)
		return
	}
	was := m.queues[key]
	if was == nil {
		was = &state{}
	}
	is := was.look(l)
	m.queues[key] = &is
}

// Missing implements engine.Observer.
func (m *Metrics) Missing(key queue.Key, _ []queue.Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.queues, key)
}

// Listed implements engine.Observer.
func (m *Metrics) Listed(keys []queue.Key) {
	exists := queue.KeySet(keys)
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.queues, func(key queue.Key, _ *state) bool { return !exists[key] })
}

// Wrote implements engine.Observer.
func (m *Metrics) Wrote(w engine.Write) {
	if w.Err != nil {
		if errors.Is(w.Err, engine.ErrStale) {
			count(m.conflicts, 1, attribute.String(objectLabel, string(w.Action.Writes())))
		}
		return
	}
	switch a := w.Action.(type) {
	case queue.Start:
		m.started(w.Repository.Key, a.Run, w.At)
	case queue.Expire:
		count(m.expiredClaims, 1)
	case queue.Claim:
		if a.Slot.Damaged != "" {
			m.recovered(kindRewrite)
		}
		if a.Run.Phase == queue.Started {
			m.recovered(kindAdopt)
		}
	case queue.Release:
		if a.Slot.Damaged != "" {
			m.recovered(kindRewrite)
		}
	case queue.Stamp, queue.Remove, queue.Cancel, queue.HandBack, queue.Forget: // the usual course
	}
}

func (m *Metrics) started(key queue.Key, run queue.Run, at time.Time) {
	since := time.Time{}
	m.mu.Lock()
	if s := m.queues[key]; s != nil {
		since = s.start(run.UID, at)
	}
	m.mu.Unlock()
	count(m.starts, 1)
	// The time of creation is by the API server's clock, and in whole seconds.
	m.wait.Record(context.Background(), max(0, at.Sub(run.Created).Seconds()))
	if !since.IsZero() {
		m.freeSlot.Record(context.Background(), max(0, at.Sub(since).Seconds()))
	}
}

// Overdue implements engine.Observer: it counts a step that no replica took in time, so that
// recovery does.
func (m *Metrics) Overdue(_ queue.Key, a queue.Action) { m.recovered(string(a.Kind())) }

func (m *Metrics) recovered(kind string) {
	count(m.recoveries, 1, attribute.String(kindLabel, kind))
}

// gauges are the instruments that a scrape reads.
type gauges struct {
	queues, buckets, waiting, used, limit, excess, stalled metric.Float64ObservableGauge
}

// tell says how the queues stand.
func (m *Metrics) tell(o metric.Observer, g gauges) {
	now, most := m.Clock.Now(), m.MaxQueues()
	m.mu.Lock()
	defer m.mu.Unlock()
	o.ObserveFloat64(g.queues, float64(len(m.queues)))
	own, rest := split(slices.Collect(maps.Keys(m.queues)), most)
	for _, key := range own {
		s := m.queues[key]
		g.tell(o, key, *s, s.stalledFor(now))
	}
	if len(rest) == 0 {
		return
	}
	var all state
	var longest time.Duration
	for _, key := range rest {
		s := m.queues[key]
		all.waiting += s.waiting
		all.used += s.used
		all.limit += s.limit
		all.excess += s.excess
		longest = max(longest, s.stalledFor(now))
	}
	g.tell(o, queue.Key{Namespace: Every, Repository: Every}, all, longest)
}

// split says which queues have series of their own. Every replica makes the same choice, and again
// after a restart: the first queue of each namespace by name, then the second, and so on, so that a
// namespace with many queues takes nothing from one with few.
func split(keys []queue.Key, most int) (own, rest []queue.Key) {
	if len(keys) <= most {
		return keys, nil
	}
	slices.SortFunc(keys, func(a, b queue.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Repository, b.Repository))
	})
	rank, in := make(map[queue.Key]int, len(keys)), map[string]int{}
	for _, key := range keys {
		rank[key] = in[key.Namespace]
		in[key.Namespace]++
	}
	slices.SortStableFunc(keys, func(a, b queue.Key) int { return cmp.Compare(rank[a], rank[b]) })
	return keys[:most], keys[most:]
}

func (g gauges) tell(o metric.Observer, key queue.Key, s state, stalled time.Duration) {
	labels := metric.WithAttributes(attribute.String(namespaceLabel, key.Namespace), attribute.String(repositoryLabel, key.Repository))
	o.ObserveFloat64(g.waiting, float64(s.waiting), labels)
	o.ObserveFloat64(g.used, float64(s.used), labels)
	o.ObserveFloat64(g.limit, float64(s.limit), labels)
	o.ObserveFloat64(g.excess, float64(s.excess), labels)
	o.ObserveFloat64(g.stalled, stalled.Seconds(), labels)
}
