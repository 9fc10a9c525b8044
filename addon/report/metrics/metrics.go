package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// scope is how the instruments of this package are told from others.
const scope = "github.com/pac-lease-queue/pac-lease-queue"

// Config holds what a replica's metrics are made of; all of it is required.
type Config struct {
	Meters metric.MeterProvider
	Clock  clock.PassiveClock
	// MaxQueues is how many queues have series of their own at most: if there are
	// more, none has. It is asked at every scrape, so that it can change at run time.
	MaxQueues func() int
}

// Metrics are those of one replica. It is safe for concurrent use.
type Metrics struct {
	Config
	starts, expiredClaims, conflicts, recoveries metric.Int64Counter
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
	return m, nil
}

// Report has every scrape told how things stand, of those queues that exist then,
// and how many buckets this replica leads. Call it once the caches are filled.
func (m *Metrics) Report(queues func() []queue.Key, buckets func() int) error {
	i := instruments{meter: m.meter}
	g := gauges{
		queues: i.gauge(queuesSeen), buckets: i.gauge(leaderBuckets),
		waiting: i.gauge(runsWaiting), used: i.gauge(slotsUsed), limit: i.gauge(slotsLimit), excess: i.gauge(runsExcess), stalled: i.gauge(stalledSeconds),
	}
	i.callback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(g.buckets, float64(buckets()))
		m.tell(o, g, queues())
		return nil
	}, g.queues, g.buckets, g.waiting, g.used, g.limit, g.excess, g.stalled)
	if err := errors.Join(i.wrong...); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// Decided implements engine.Observer.
func (m *Metrics) Decided(s queue.Snapshot, took time.Duration) {
	m.decision.Record(context.Background(), took.Seconds())
	if s.Limit == queue.Unlimited {
		m.Gone(s.Key)
		return
	}
	now := m.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.queues[s.Key]
	if was == nil {
		was = &state{}
	}
	is := was.look(s, now)
	m.queues[s.Key] = &is
}

// Gone implements engine.Observer.
func (m *Metrics) Gone(key queue.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.queues, key)
}

// Applied implements engine.Observer.
func (m *Metrics) Applied(key queue.Key, a queue.Action, err error) {
	if err != nil {
		if errors.Is(err, engine.ErrStale) {
			count(m.conflicts, 1, attribute.String(objectLabel, string(a.Writes())))
		}
		return
	}
	switch a := a.(type) {
	case queue.Start:
		m.started(key, a.Run)
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
	case queue.Remove, queue.Cancel, queue.HandBack:
		// Part of the usual course, and not counted.
	}
}

func (m *Metrics) started(key queue.Key, run queue.Run) {
	now, since := m.Clock.Now(), time.Time{}
	m.mu.Lock()
	if s := m.queues[key]; s != nil {
		since = s.start(run.UID, now)
	}
	m.mu.Unlock()
	count(m.starts, 1)
	// The time of creation is by the API server's clock, and in whole seconds.
	m.wait.Record(context.Background(), max(0, now.Sub(run.Created).Seconds()))
	if !since.IsZero() {
		m.freeSlot.Record(context.Background(), max(0, now.Sub(since).Seconds()))
	}
}

// Late counts a step that nobody took in time, so that recovery does.
func (m *Metrics) Late(a queue.Action) { m.recovered(string(a.Kind())) }

func (m *Metrics) recovered(kind string) {
	count(m.recoveries, 1, attribute.String(kindLabel, kind))
}

// gauges are the instruments that are read when somebody scrapes.
type gauges struct {
	queues, buckets, waiting, used, limit, excess, stalled metric.Float64ObservableGauge
}

// tell says how the queues that exist stand, and forgets the others.
func (m *Metrics) tell(o metric.Observer, g gauges, exist []queue.Key) {
	live := make(map[queue.Key]bool, len(exist))
	for _, key := range exist {
		live[key] = true
	}
	now, most := m.Clock.Now(), m.MaxQueues()
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.queues, func(key queue.Key, _ *state) bool { return !live[key] })
	o.ObserveFloat64(g.queues, float64(len(m.queues)))
	if len(m.queues) <= most {
		for key, s := range m.queues {
			g.tell(o, key, *s, s.stalledFor(now))
		}
		return
	}
	var all state
	var longest time.Duration
	for _, s := range m.queues {
		all.waiting += s.waiting
		all.used += s.used
		all.limit += s.limit
		all.excess += s.excess
		longest = max(longest, s.stalledFor(now))
	}
	g.tell(o, queue.Key{Namespace: Every, Repository: Every}, all, longest)
}

func (g gauges) tell(o metric.Observer, key queue.Key, s state, stalled time.Duration) {
	labels := metric.WithAttributes(attribute.String(namespaceLabel, key.Namespace), attribute.String(repositoryLabel, key.Repository))
	o.ObserveFloat64(g.waiting, float64(s.waiting), labels)
	o.ObserveFloat64(g.used, float64(s.used), labels)
	o.ObserveFloat64(g.limit, float64(s.limit), labels)
	o.ObserveFloat64(g.excess, float64(s.excess), labels)
	o.ObserveFloat64(g.stalled, stalled.Seconds(), labels)
}
