package event_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
)

// sink keeps the events that it is given.
type sink []event.Event

func (s *sink) Record(e event.Event) { *s = append(*s, e) }

// T14: a refused Lease is told with the API server's words, and not at every attempt.
func TestRefusedSlotIsTold(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	var told sink
	o := event.NewObserver(&told, latest.New(func(queue.Key) bool { return true }))
	claim := func(at time.Duration, run queue.Run, err error) {
		o.Wrote(engine.Write{
			Repository: engine.Repository{Key: app, UID: "uid-app"}, Action: queue.Claim{Run: run}, At: noon.Add(at), Err: err,
		})
	}
	refusal := func(words string) error {
		return fmt.Errorf("claim slot 0: %w", apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "app.slot-0",
			errors.New(words)))
	}
	want := func(what string, messages ...string) {
		t.Helper()
		for i := range max(len(told), len(messages)) {
			if i >= len(told) || i >= len(messages) || !told[i].Warning || !strings.HasSuffix(told[i].Message, messages[i]) ||
				told[i].Reason != event.ReasonSlotRefused || told[i].Kind != event.PipelineRun {
				t.Errorf("%s: told %+v, want Warnings on runs with %q", what, told, messages)
				break
			}
		}
		told = nil
	}
	claim(0, run, engine.ErrStale)
	claim(0, run, errors.New("no answer"))
	want("what passes by itself")
	for second := range 600 {
		claim(time.Duration(second)*time.Second, run, refusal("quota"))
	}
	want("the same words for ten minutes", `leases "app.slot-0" is forbidden: quota`)
	for second := range 180 {
		claim(10*time.Minute+time.Duration(second)*time.Second, run, refusal(fmt.Sprint("request ", second)))
	}
	want("other words each time", "request 0", "request 60", "request 120")
	claim(20*time.Minute, run, nil)
	told = nil
	next := run
	next.Name, next.UID = "test", "uid-2"
	claim(20*time.Minute+time.Second, next, refusal("quota again"))
	want("a refusal after a success", "quota again")
}

// P9: a run that does not go on is said so in a Warning, once the grace is over.
func TestRunsThatDoNotGoOnAreTold(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	policy := queue.Policy{ReadyGrace: time.Minute, OrderGrace: time.Second}
	waits := queue.Run{Name: "waits", UID: "w", Created: noon, Owed: "its git secret", Needs: true, Order: &queue.Order{}}
	left := queue.Run{Name: "left", UID: "l", Created: noon, Phase: queue.Started, Manager: "example.com/other"}
	fine := queue.Run{Name: "fine", UID: "f", Created: noon, Phase: queue.Started}
	look := engine.Look{Repository: engine.Repository{Key: app}, Policy: policy, Snapshot: queue.Snapshot{
		Key: app, Limit: 2, Freshness: queue.Confirmed, Runs: []*queue.Run{&waits, &left, &fine},
	}}
	for second, want := range map[time.Duration][]event.Reason{
		59 * time.Second: nil, time.Minute: {event.ReasonUnprepared, event.ReasonNotBegun},
	} {
		var told sink
		look.At = noon.Add(second)
		event.NewObserver(&told, latest.New(func(queue.Key) bool { return true })).Looked(look)
		var got []event.Reason
		for _, e := range told {
			if got = append(got, e.Reason); !e.Warning || e.Name != map[event.Reason]string{
				event.ReasonUnprepared: "waits", event.ReasonNotBegun: "left",
			}[e.Reason] {
				t.Errorf("after %s: %+v", second, e)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("after %s told %q, want %q", second, got, want)
		}
	}
}

// P11: a run whose end PAC cannot report is said so in a Warning, and of many of them a few.
func TestUnreportedRunsAreTold(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	over := queue.Run{Name: "over", UID: "o", Phase: queue.Done, Ended: noon.Add(-30 * time.Second)}
	reported := queue.Run{Name: "reported", UID: "r", Phase: queue.Done, Ended: over.Ended, Unlisted: true}
	look := engine.Look{Repository: engine.Repository{Key: app}, Snapshot: queue.Snapshot{
		Key: app, Limit: 1, Freshness: queue.Confirmed, Runs: []*queue.Run{&run, &over, &reported},
	}}
	at := func(after time.Duration) (told sink) {
		look.At = noon.Add(after)
		event.NewObserver(&told, latest.New(func(queue.Key) bool { return true })).Looked(look)
		return told
	}
	if told := at(5*time.Minute - time.Second); len(told) > 0 {
		t.Errorf("told in time: %+v", told)
	}
	told := at(5 * time.Minute)
	if len(told) != 1 || told[0].Name != "over" || told[0].Reason != event.ReasonUnreported || !told[0].Warning {
		t.Errorf("told %+v, want a Warning on the run that is over", told)
	}
	for i := range 9000 {
		over := over
		over.Name, over.UID = fmt.Sprint("over-", i), fmt.Sprint("o-", i)
		look.Snapshot.Runs = append(look.Snapshot.Runs, &over)
	}
	if told := at(5 * time.Minute); len(told) != 100 {
		t.Errorf("of thousands of runs %d are told, want 100", len(told))
	}
}

// A tenant may have more runs with something wrong than the recorder remembers: their events would
// be written again at every look.
func TestProblemsAreBounded(t *testing.T) {
	const runs, most = 9000, 100
	var told sink
	o := event.NewObserver(&told, latest.New(func(queue.Key) bool { return true }))
	look := engine.Look{Snapshot: queue.Snapshot{Key: app, Limit: 1, Freshness: queue.Confirmed}}
	for i := range runs {
		r := queue.Run{Name: fmt.Sprint("run-", i), UID: fmt.Sprint("uid-", i), Phase: queue.Pending, Problems: []string{"it is odd"}}
		if i%2 > 0 {
			r.Phase = queue.Done // nothing can be done about it any more
		}
		look.Snapshot.Runs = append(look.Snapshot.Runs, &r)
	}
	o.Looked(look)
	if len(told) != most || told[0].Name != "run-0" || told[most-1].Name != "run-198" {
		t.Errorf("%d runs are told what is wrong with them, want the first %d that are not done", len(told), most)
	}
}
