package debug_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/debug"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func ask(t *testing.T, h debug.Handler, method string) (*httptest.ResponseRecorder, []debug.Queue) {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(method, "/debug/queues", nil))
	var body view.List[debug.Queue]
	if answer.Code == http.StatusOK {
		if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
	}
	return answer, body.Items
}

func TestQueues(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon)
	shop, bank := queue.Key{Namespace: "ci", Repository: "shop"}, queue.Key{Namespace: "ci", Repository: "bank"}
	looks := latest.New(func(key queue.Key) bool { return key == shop })
	h := debug.Handler{
		Looks: looks, Clock: clock, Policy: func() queue.Policy { return queue.Policy{ClaimTTL: time.Minute, OrderGrace: time.Minute} },
	}
	if _, all := ask(t, h, http.MethodGet); all == nil || len(all) != 0 {
		t.Errorf("queues before any was seen: %v, want an empty list", all)
	}
	run := func(name string, phase queue.Phase) *queue.Run {
		return &queue.Run{
			Name:    name,
			UID:     name,
			Phase:   phase,
			Created: noon.Add(-time.Minute),
			Order:   &queue.Order{Held: true, Sequence: queue.NewSequence([]string{"a", "b"})},
		}
	}
	looks.Looked(engine.Look{At: noon, Snapshot: queue.Snapshot{
		Freshness: queue.Confirmed,
		Key:       shop, Limit: 1, Runs: []*queue.Run{run("a", queue.Started), run("b", queue.Pending)},
		Slots: []queue.Slot{{Version: "1", Holder: &queue.Holder{Name: "a", UID: "a"}, HeldSince: noon}},
	}})
	looks.Looked(engine.Look{At: noon, Snapshot: queue.Snapshot{Key: bank, Limit: 2}})
	clock.SetTime(noon.Add(time.Second))
	want := []debug.Queue{
		{Queue: view.Queue{Namespace: "ci", Repository: "bank", Limit: new(2), Slots: []view.Slot{}, Runs: []view.Run{}}, SeenAt: noon},
		{SeenAt: noon, Confirmed: true, Queue: view.Queue{
			Namespace: "ci", Repository: "shop", Limit: new(1), Queued: 1, Started: 1,
			Slots: []view.Slot{{Holder: "a"}},
			Runs: []view.Run{
				{Name: "a", UID: "a", State: "started", Reason: "started in slot 0", Slot: new(0), Created: noon.Add(-time.Minute)},
				{
					Name: "b", UID: "b", State: "queued", Why: "slots taken", Reason: "waiting for a slot: 1 of 1 in use by a",
					Position: 1, Created: noon.Add(-time.Minute),
				},
			},
		}},
	}
	if _, got := ask(t, h, http.MethodGet); !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	if answer, _ := ask(t, h, http.MethodPost); answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", answer.Code)
	}
}
