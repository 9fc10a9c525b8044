package metrics_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
)

var (
	noon  = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	app   = queue.Key{Namespace: "shop", Repository: "app"}
	web   = queue.Key{Namespace: "shop", Repository: "web"}
	order = &queue.Order{Held: true}
)

// replica is what one replica counts, as Prometheus would be told.
type replica struct {
	*metrics.Metrics
	t        *testing.T
	clock    *clocktesting.FakePassiveClock
	registry *prometheus.Registry
	most     int
}

func newReplica(t *testing.T) *replica {
	t.Helper()
	r := &replica{t: t, clock: clocktesting.NewFakePassiveClock(noon), registry: prometheus.NewRegistry(), most: 100}
	exporter, err := otelprom.New(otelprom.WithRegisterer(r.registry), // otherwise as knative makes it
		otelprom.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		t.Fatal(err)
	}
	r.Metrics, err = metrics.New(metrics.Config{
		Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)), Clock: r.clock, MaxQueues: func() int { return r.most },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Report(func() int { return 3 }); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replica) wait(d time.Duration) { r.clock.SetTime(r.clock.Now().Add(d)) }

// see has the replica look at a queue.
func (r *replica) see(s queue.Snapshot, took time.Duration) {
	r.Looked(engine.Look{Snapshot: s, At: r.clock.Now(), Took: took})
}

// cached is a look at the caches alone.
func cached(s queue.Snapshot) queue.Snapshot {
	s.Freshness = queue.Cached
	return s
}

// write has the replica carry out an action.
func (r *replica) write(key queue.Key, a queue.Action, err error) {
	r.Wrote(engine.Write{Repository: engine.Repository{Key: key}, Action: a, At: r.clock.Now(), Err: err})
}

// families are the product's metrics as they are scraped.
func (r *replica) families() []*dto.MetricFamily {
	r.t.Helper()
	all, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "pac_lease_queue_") })
}

// labels are those that are the product's own.
func labels(m *dto.Metric) (names, values []string) {
	for _, l := range m.GetLabel() {
		if !strings.HasPrefix(l.GetName(), "otel_") {
			names, values = append(names, l.GetName()), append(values, l.GetValue())
		}
	}
	return names, values
}

// want compares the series of one metric; histograms by count and sum.
func (r *replica) want(name string, want ...string) {
	r.t.Helper()
	var got []string
	for _, f := range r.families() {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			_, values := labels(m)
			value := fmt.Sprint(m.GetGauge().GetValue() + m.GetCounter().GetValue())
			if h := m.GetHistogram(); h != nil {
				value = fmt.Sprintf("%d in %gs", h.GetSampleCount(), h.GetSampleSum())
			}
			if value != "0" || f.GetType() == dto.MetricType_GAUGE {
				got = append(got, strings.TrimSpace(strings.Join(values, "/")+" "+value))
			}
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// look is what a snapshot of app shows: a limit and runs, of which "x" waits, "+x"
// runs, "-x" is done, "?x" is not ready; "x@" has a slot besides.
func look(limit queue.Limit, runs ...string) queue.Snapshot {
	s := queue.Snapshot{Key: app, Limit: limit, Freshness: queue.Confirmed}
	for _, what := range runs {
		name, held := strings.CutSuffix(strings.TrimLeft(what, "+-?"), "@")
		run := queue.Run{Name: name, UID: name, Created: noon.Add(-time.Minute), Order: order}
		switch what[0] {
		case '+':
			run.Phase = queue.Started
		case '-':
			run.Phase = queue.Done
		case '?':
			run.Order = nil
		}
		if held {
			index := len(s.Slots)
			s.Slots = append(s.Slots, queue.Slot{Index: index, Version: "1", Holder: &queue.Holder{Name: name, UID: name}})
			if run.Phase == queue.Started {
				run.Claim = &queue.Token{Slot: index}
			}
		}
		s.Runs = append(s.Runs, &run)
	}
	return s
}

// TestTable: what is exported is what the table says, no more and no less.
func TestTable(t *testing.T) {
	r := newReplica(t)
	r.see(look(1, "a"), time.Millisecond)
	r.write(app, queue.Start{Run: queue.Run{UID: "a"}}, nil)
	scraped := map[string]*dto.MetricFamily{}
	for _, f := range r.families() {
		scraped[f.GetName()] = f
	}
	for _, m := range metrics.All() {
		f := scraped[m.Name]
		delete(scraped, m.Name)
		if f == nil {
			t.Errorf("%s is not exported", m.Name)
			continue
		}
		names, _ := labels(f.GetMetric()[0])
		if diff := cmp.Diff(m.Labels, names); diff != "" || strings.ToLower(f.GetType().String()) != string(m.Type) ||
			f.GetHelp() != m.Help {
			t.Errorf(
				"%s is a %s with labels %v: %s\nwant a %s with %v: %s",
				m.Name,
				f.GetType(),
				names,
				f.GetHelp(),
				m.Type,
				m.Labels,
				m.Help,
			)
		}
		if (m.Type == metrics.Counter) != strings.HasSuffix(m.Name, "_total") || (m.Unit == "s") != strings.HasSuffix(m.Name, "_seconds") {
			t.Errorf("%s, a %s in %q, is not named as Prometheus names things", m.Name, m.Type, m.Unit)
		}
		if (m.Type == metrics.Histogram) != (len(m.Buckets) > 0) || !slices.IsSorted(m.Buckets) {
			t.Errorf("%s, a %s, has the buckets %v", m.Name, m.Type, m.Buckets)
		}
	}
	for name := range scraped {
		t.Errorf("%s is exported and not in the table", name)
	}
}

// TestGauges: what one look shows.
func TestGauges(t *testing.T) {
	damaged := look(2, "+a@", "b", "c")
	damaged.Slots = append(damaged.Slots, queue.Slot{Index: 1, Damaged: "odd"})
	gone := look(2, "+a@", "b")
	gone.Slots = append(gone.Slots, queue.Slot{Index: 1, Holder: &queue.Holder{Name: "x", UID: "x"}})
	fenced := look(2, "+a@", "b@")
	fenced.Runs[1].Attempt = 1
	lowered := look(3, "+a@", "+b@", "+c@", "d")
	lowered.Limit = 1
	loweredAndBroken := look(3, "+a@", "+b@", "+c@", "+d")
	loweredAndBroken.Limit = 1
	twice := look(1, "+a@", "+b")
	twice.Runs[1].Claim = &queue.Token{Slot: 0, Transition: 1} // the second in the same slot
	unclaimed := look(1, "+a@", "+b")
	unclaimed.Runs[1].Claim = &queue.Token{Slot: queue.NoSlot}
	for name, tc := range map[string]struct {
		s                            queue.Snapshot
		waiting, used, limit, excess int
	}{
		"nothing":                             {look(2), 0, 0, 2, 0},
		"full":                                {look(1, "+a@", "b", "?c"), 2, 1, 1, 0},
		"claimed and not started yet":         {look(2, "+a@", "b@", "c"), 1, 2, 2, 0},
		"started without a slot":              {look(2, "+a", "b"), 1, 1, 2, 0},
		"done, and the slot not handed over":  {look(1, "-a@", "b"), 1, 1, 1, 0},
		"a slot that cannot be read":          {damaged, 2, 2, 2, 0},
		"a holder that is gone":               {gone, 1, 2, 2, 0},
		"a claim that was given up":           {fenced, 1, 2, 2, 0},
		"one too many, started by hand":       {look(1, "+a@", "+b"), 0, 2, 1, 1},
		"one too many in the same slot":       {twice, 0, 2, 1, 1},
		"the limit was lowered":               {lowered, 1, 3, 1, 0},
		"the limit was lowered, and exceeded": {loweredAndBroken, 0, 4, 1, 1},
		"started while there was no limit":    {unclaimed, 0, 2, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t)
			r.see(tc.s, 0)
			r.want("pac_lease_queue_runs_waiting", fmt.Sprintf("shop/app %d", tc.waiting))
			r.want("pac_lease_queue_slots_used", fmt.Sprintf("shop/app %d", tc.used))
			r.want("pac_lease_queue_slots_limit", fmt.Sprintf("shop/app %d", tc.limit))
			r.want("pac_lease_queue_runs_excess", fmt.Sprintf("shop/app %d", tc.excess))
			r.want("pac_lease_queue_leader_buckets", "3")
		})
	}
}

// TestSeriesEnd: a queue has series as long as it is a queue.
func TestSeriesEnd(t *testing.T) {
	r := newReplica(t)
	other := look(1, "a")
	other.Key = web
	r.see(look(1, "a"), 0)
	r.see(cached(other), 0)
	r.want("pac_lease_queue_runs_waiting", "shop/app 1", "shop/web 1")
	r.want("pac_lease_queue_queues", "2")

	r.Listed([]queue.Key{app}) // the caches know no more of web
	r.want("pac_lease_queue_runs_waiting", "shop/app 1")
	r.Missing(app, nil) // its Repository is gone
	r.want("pac_lease_queue_runs_waiting")
	r.want("pac_lease_queue_queues", "0")

	r.see(look(1, "a"), 0)
	r.want("pac_lease_queue_slots_limit", "shop/app 1")
	r.see(look(queue.Unlimited, "a"), 0)
	r.want("pac_lease_queue_slots_limit")
	r.want("pac_lease_queue_stalled_seconds")
}

// TestMaxQueues: queues beyond the most have one series together, until they are fewer.
func TestMaxQueues(t *testing.T) {
	r := newReplica(t)
	r.most = 1
	other := look(3, "+a@", "+b", "+c", "+d", "e")
	other.Key = web
	r.see(look(2, "a", "b"), 0)
	r.see(other, 0)
	r.wait(5 * time.Second)
	r.want("pac_lease_queue_queues", "2")
	r.want("pac_lease_queue_slots_limit", "*/* 3", "shop/app 2")
	r.most = 0
	r.want("pac_lease_queue_runs_waiting", "*/* 3")
	r.want("pac_lease_queue_slots_used", "*/* 4")
	r.want("pac_lease_queue_slots_limit", "*/* 5")
	r.want("pac_lease_queue_runs_excess", "*/* 1")
	r.want("pac_lease_queue_stalled_seconds", "*/* 5")
	r.most = 2
	r.want("pac_lease_queue_slots_limit", "shop/app 2", "shop/web 3")
	r.most = 0
	r.Listed([]queue.Key{app})
	r.want("pac_lease_queue_slots_limit", "*/* 2")
}

// T13: the hundred-and-first queue costs no other its series, and a namespace with many queues
// costs none of another namespace its own.
func TestQueuesBeyondTheMostShareOneSeries(t *testing.T) {
	r := newReplica(t)
	r.most = 100
	see := func(namespace string, n int) {
		for i := range n {
			s := look(1)
			s.Key = queue.Key{Namespace: namespace, Repository: fmt.Sprintf("app-%03d", i)}
			r.see(s, 0)
		}
	}
	see("crowd", 500)
	see("shop", 2)
	want := []string{"*/* 402"}
	for i := range 98 {
		want = append(want, fmt.Sprintf("crowd/app-%03d 1", i))
	}
	r.want("pac_lease_queue_slots_limit", append(want, "shop/app-000 1", "shop/app-001 1")...)
}

// TestStalled: only while runs wait, there is room, and nothing is started.
func TestStalled(t *testing.T) {
	unknown := look(1, "b")
	unknown.Slots = []queue.Slot{{Holder: &queue.Holder{UID: "a"}}}
	handedBack := look(1, "a")
	handedBack.HandBack = true
	for name, tc := range map[string]struct {
		looks  []queue.Snapshot
		cached []int // which of them are at the caches alone
		want   string
	}{
		"nothing waits":                  {looks: []queue.Snapshot{look(1), look(1), look(1)}, want: "0"},
		"full":                           {looks: []queue.Snapshot{look(1, "+a@", "b"), look(1, "+a@", "b")}, want: "0"},
		"room, and no replica starts":    {looks: []queue.Snapshot{look(1, "a"), look(1, "a"), look(1, "a")}, want: "3"},
		"claimed, and not started":       {looks: []queue.Snapshot{look(1, "a"), look(1, "a@"), look(1, "a@")}, want: "3"},
		"not ready, for whatever reason": {looks: []queue.Snapshot{look(1, "?a"), look(1, "?a")}, want: "2"},
		"one was started": {
			looks: []queue.Snapshot{look(2, "a", "b"), look(2, "a", "b"), look(2, "+a@", "b")},
			want:  "1",
		},
		"one was started as another ended": {looks: []queue.Snapshot{
			look(2, "+a@", "b", "c"), look(2, "+a@", "b", "c"),
			look(2, "-a@", "+b@", "c"),
		}, want: "1"},
		"given back": {looks: []queue.Snapshot{handedBack, handedBack}, want: "0"},
		"the limit was lowered": {
			looks: []queue.Snapshot{look(2, "+a@", "b"), look(2, "+a@", "b"), look(1, "+a@", "b")},
			want:  "0",
		},
		"a holder that the caches lack":     {looks: []queue.Snapshot{unknown, unknown}, cached: []int{0, 1}, want: "0"},
		"a holder that is known to be gone": {looks: []queue.Snapshot{unknown, unknown, unknown}, cached: []int{1, 2}, want: "3"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t)
			for i, s := range tc.looks {
				if slices.Contains(tc.cached, i) {
					s = cached(s)
				}
				r.see(s, 0)
				r.wait(time.Second)
			}
			r.want("pac_lease_queue_stalled_seconds", "shop/app "+tc.want)
		})
	}
}

// TestStart: starts, and how long they took.
func TestStart(t *testing.T) {
	start := func(name string) queue.Start {
		return queue.Start{Run: queue.Run{UID: name, Created: noon.Add(-time.Minute)}}
	}
	r := newReplica(t)
	r.see(look(2, "+x@", "+y@", "a", "b", "c"), 0)
	r.wait(10 * time.Second)
	r.see(look(2, "-x@", "+y@", "a", "b", "c"), 0) // from here on a could start
	r.wait(time.Second)
	r.see(look(2, "-x@", "-y@", "a", "b", "c"), 0) // and from here on b
	r.wait(time.Second)
	r.write(app, start("a"), nil)
	r.want("pac_lease_queue_free_slot_to_start_seconds", "1 in 2s")
	r.want("pac_lease_queue_wait_duration_seconds", "1 in 72s")
	r.see(look(2, "-x@", "-y@", "a", "b", "c"), 0) // the cache has not seen the start yet
	r.wait(time.Second)
	r.write(app, start("b"), nil)
	r.want("pac_lease_queue_free_slot_to_start_seconds", "2 in 4s")
	r.want("pac_lease_queue_stalled_seconds", "shop/app 0")

	// Another replica starts c, this one the next: its chance is not c's.
	r.wait(time.Minute)
	r.see(look(2, "+a@", "c", "d"), 0)
	r.wait(time.Second)
	r.see(look(2, "+a@", "+c@", "d"), 0)
	r.wait(time.Minute)
	r.see(look(2, "-a@", "+c@", "d"), 0)
	r.wait(time.Second)
	r.write(app, start("d"), nil)
	r.want("pac_lease_queue_free_slot_to_start_seconds", "3 in 5s")

	r.write(web, start("z"), nil) // of a queue that has no limit any more
	r.want("pac_lease_queue_free_slot_to_start_seconds", "3 in 5s")
	r.want("pac_lease_queue_starts_total", "4")

	// The API server's clock is ahead.
	r = newReplica(t)
	r.write(app, queue.Start{Run: queue.Run{Created: noon.Add(time.Minute)}}, nil)
	r.want("pac_lease_queue_wait_duration_seconds", "1 in 0s")
}

// TestCounters: what is counted as what.
func TestCounters(t *testing.T) {
	stale := fmt.Errorf("start a: %w", engine.ErrStale)
	damaged := queue.Slot{Damaged: "odd"}
	adopted := queue.Run{Phase: queue.Started}
	for _, tc := range []struct {
		name   string
		action queue.Action
		err    error
		want   map[string]string
	}{
		{"a start", queue.Start{}, nil, map[string]string{"starts_total": "1"}},
		{"a claim", queue.Claim{}, nil, nil},
		{"an unknown outcome", queue.Start{}, errors.New("the connection was reset"), nil},
		{"a start refused", queue.Start{}, stale, map[string]string{"conflicts_total": "run 1"}},
		{"a cancellation refused", queue.Cancel{}, stale, map[string]string{"conflicts_total": "run 1"}},
		{"a claim refused", queue.Claim{Run: adopted, Slot: damaged}, stale, map[string]string{"conflicts_total": "slot 1"}},
		{"a release refused", queue.Release{}, stale, map[string]string{"conflicts_total": "slot 1"}},
		{"a removal refused", queue.Remove{}, stale, map[string]string{"conflicts_total": "slot 1"}},
		{"a claim given up", queue.Expire{}, nil, map[string]string{"expired_claims_total": "1"}},
		{"a fence refused", queue.Expire{}, stale, map[string]string{"conflicts_total": "run 1"}},
		{"an adoption", queue.Claim{Run: adopted}, nil, map[string]string{"recoveries_total": "adopt 1"}},
		{"a damaged slot handed over", queue.Claim{Slot: damaged}, nil, map[string]string{"recoveries_total": "rewrite 1"}},
		{"a damaged slot emptied", queue.Release{Slot: damaged}, nil, map[string]string{"recoveries_total": "rewrite 1"}},
		{"a slot emptied", queue.Release{}, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReplica(t)
			r.write(app, tc.action, tc.err)
			for _, name := range []string{"starts_total", "conflicts_total", "expired_claims_total", "recoveries_total"} {
				var want []string
				if w := tc.want[name]; w != "" {
					want = append(want, w)
				}
				r.want("pac_lease_queue_"+name, want...)
			}
		})
	}
	r := newReplica(t)
	for _, a := range []queue.Action{
		queue.Stamp{},
		queue.Claim{},
		queue.Start{},
		queue.Expire{},
		queue.Release{},
		queue.Remove{},
		queue.Cancel{},
		queue.HandBack{},
		queue.HandBack{},
	} {
		r.Overdue(app, a)
	}
	r.want("pac_lease_queue_recoveries_total", "cancel 1", "claim 1", "expire 1", "hand-back 2", "release 1", "remove 1",
		"stamp 1", "start 1")
	r.see(look(1), 2*time.Millisecond)
	r.see(cached(look(1)), time.Millisecond)
	r.want("pac_lease_queue_decision_duration_seconds", "2 in 0.003s")
}

// TestLeftOut: events that are not written are counted by cause.
func TestLeftOut(t *testing.T) {
	r := newReplica(t)
	r.want("pac_lease_queue_events_left_out_total")
	r.LeftOut(event.CauseFull)
	r.LeftOut(event.CauseSequel)
	r.LeftOut(event.CauseFull)
	r.want("pac_lease_queue_events_left_out_total", "full 2", "sequel 1")
}

// TestConcurrently: scrapes and work at the same time, for the race detector.
func TestConcurrently(t *testing.T) {
	r := newReplica(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				r.see(look(2, "+a@", "b"), 0)
				r.write(app, queue.Start{Run: queue.Run{UID: "b"}}, nil)
				if _, err := r.registry.Gather(); err != nil {
					t.Error(err)
				}
				r.Missing(app, nil)
			}
		})
	}
	wg.Wait()
	r.want("pac_lease_queue_starts_total", "200")
}
