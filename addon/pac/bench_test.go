package pac_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"go.opentelemetry.io/otel/metric/noop"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/annotate"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
)

// crowd is a queue of limit 1 whose first run is started, in a real indexer.
type crowd struct {
	runs    *pac.Runs
	indexer cache.Indexer
	held    []*tektonv1.PipelineRun
	slots   []queue.Slot
	version int
}

var (
	crowdNow    = noon.Add(24 * time.Hour)
	crowdPolicy = queue.Policy{
		ClaimTTL: 20 * time.Second, OrderGrace: 30 * time.Second, ReadyGrace: time.Minute,
		BackoffBase: 5 * time.Second, BackoffMax: time.Minute,
	}
)

// newCrowd has so many runs as PAC makes them, in events of ten.
func newCrowd(b *testing.B, many int) *crowd {
	b.Helper()
	const perEvent = 10
	informer, arrivals := runInformer(), pac.NewArrivals()
	if err := arrivals.Follow(informer); err != nil {
		b.Fatal(err)
	}
	by := pac.By{Replica: "replica-1", Clock: clocktesting.NewFakePassiveClock(crowdNow), Arrivals: []*pac.Arrivals{arrivals}}
	runs, err := pac.NewRuns(by, nil, nil, pac.OfPAC(informer))
	if err != nil {
		b.Fatal(err)
	}
	arrivals.NoteRequest(metav1.ListOptions{AllowWatchBookmarks: true})
	c := &crowd{runs: runs, indexer: informer.GetIndexer(), version: 1000}
	for first := 0; first < many; first += perEvent {
		var names, order []string
		for i := range perEvent {
			name := fmt.Sprintf("build-%02d-%05x", i, (first+i)*7919)
			names, order = append(names, name), append(order, "shop/"+name)
		}
		for _, name := range names {
			c.version++
			pr := pipelineRun(name)
			pr.UID = types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", c.version*2654435761&0xffffffff, c.version))
			pr.ResourceVersion = strconv.Itoa(c.version)
			pr.CreationTimestamp = metav1.NewTime(noon.Add(time.Duration(first/perEvent) * time.Second))
			for key, value := range map[string]string{
				pac.HeldOrder: strings.Join(order, ","), keys.EventType: "push", keys.SourceBranch: "main",
				keys.OriginalPRName: name[:8], keys.SecretCreated: "true", keys.GitProvider: "gitea",
			} {
				pr.Annotations[key] = value
			}
			arrivals.Note(pr)
			if len(c.held) == 0 {
				pr.Spec.Status, pr.Annotations[pac.Claim] = "", "0/1/0"
				pr.Status.StartTime = &metav1.Time{Time: noon}
				holder := &queue.Holder{Name: name, UID: string(pr.UID)}
				c.slots = []queue.Slot{{Version: "1", Transition: 1, Holder: holder, HeldSince: noon}}
			}
			c.put(b, pr)
			c.held = append(c.held, pr)
		}
	}
	return c
}

func (c *crowd) put(b *testing.B, pr *tektonv1.PipelineRun) {
	cached, err := pac.CacheRun(pr)
	if err == nil {
		err = c.indexer.Update(cached)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// change writes one of the runs anew, as a write of annotations would.
func (c *crowd) change(b *testing.B, i int) {
	c.version++
	pr := *c.held[1+i%(len(c.held)-1)]
	pr.ResourceVersion = strconv.Itoa(c.version)
	c.put(b, &pr)
}

func (c *crowd) look(b *testing.B) queue.Snapshot {
	runs, err := c.runs.List(b.Context(), shopApp, queue.Cached)
	if err != nil {
		b.Fatal(err)
	}
	return queue.Snapshot{Key: shopApp, Limit: 1, Runs: runs, Slots: c.slots, Freshness: queue.Confirmed}
}

// silent shows what it was shown, and records nothing.
type silent map[string]map[string]string

func (silent) Record(event.Event) {}

func (s silent) Shown(_ queue.Key, run queue.Run) (map[string]string, bool) { return s[run.UID], true }

func (s silent) Show(_ context.Context, _ queue.Key, run queue.Run, texts map[string]string) error {
	s[run.UID] = texts
	return nil
}

// BenchmarkLook is what a look at a queue costs that many runs wait in: list and decide; the same
// after one run has changed; with all that observes a look; and one round of annotations.
func BenchmarkLook(b *testing.B) {
	for _, many := range []int{50, 5000} {
		b.Run(fmt.Sprintf("%d/same", many), func(b *testing.B) {
			c := newCrowd(b, many)
			b.ReportAllocs()
			for b.Loop() {
				queue.Decide(c.look(b), crowdNow, crowdPolicy)
			}
		})
		b.Run(fmt.Sprintf("%d/changed", many), func(b *testing.B) {
			c := newCrowd(b, many)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.change(b, i)
				queue.Decide(c.look(b), crowdNow, crowdPolicy)
			}
		})
		b.Run(fmt.Sprintf("%d/observed", many), func(b *testing.B) {
			c := newCrowd(b, many)
			observers, _ := observe(b)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.change(b, i)
				s := c.look(b)
				queue.Decide(s, crowdNow, crowdPolicy)
				observers.Looked(engine.Look{Repository: ofShop, Snapshot: s, Policy: crowdPolicy, At: crowdNow})
			}
		})
		b.Run(fmt.Sprintf("%d/annotated", many), func(b *testing.B) {
			c := newCrowd(b, many)
			observers, annotator := observe(b)
			look := engine.Look{Repository: ofShop, Snapshot: c.look(b), Policy: crowdPolicy, At: crowdNow}
			b.ReportAllocs()
			for b.Loop() {
				observers.Looked(look)
				annotator.Round(b.Context())
			}
		})
	}
}

// observe returns the observers of a replica.
func observe(b *testing.B) (engine.Observers, *annotate.Annotator) {
	b.Helper()
	acts := func(queue.Key) bool { return true }
	looks, shown, clock := latest.New(acts), silent{}, clocktesting.NewFakeClock(crowdNow)
	counted, err := metrics.New(metrics.Config{Meters: noop.NewMeterProvider(), Clock: clock, MaxQueues: func() int { return 100 }})
	if err != nil {
		b.Fatal(err)
	}
	annotator := annotate.New(annotate.Config{
		Board: shown, Looks: looks, Events: shown, Clock: clock, Policy: func() queue.Policy { return crowdPolicy }, Acts: acts,
		Refresh: func() annotate.Refresh { return annotate.Refresh{Positions: 20} },
	})
	return engine.Observers{event.NewObserver(shown, looks), looks, counted, annotator}, annotator
}

// ofShop is the Repository of the queue.
var ofShop = engine.Repository{Key: shopApp, Limit: 1}
