package live_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/live"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func ask(t *testing.T, q *live.Queues, method string) (*httptest.ResponseRecorder, []live.Queue) {
	t.Helper()
	answer := httptest.NewRecorder()
	q.ServeHTTP(answer, httptest.NewRequest(method, "/debug/queues", nil))
	var body struct{ Queues []live.Queue }
	if answer.Code == http.StatusOK {
		if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
	}
	return answer, body.Queues
}

func TestQueues(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon)
	q := live.New(clock)
	if _, all := ask(t, q, http.MethodGet); all == nil || len(all) != 0 {
		t.Errorf("queues before any was seen: %v, want an empty list", all)
	}
	shop, bank := queue.Key{Namespace: "ci", Repository: "shop"}, queue.Key{Namespace: "ci", Repository: "bank"}
	keys, acts := []queue.Key{shop, bank}, true
	q.Of(live.Replica{
		Policy: func() queue.Policy { return queue.Policy{ClaimTTL: time.Minute, OrderGrace: time.Minute} },
		Acts:   func(key queue.Key) bool { return acts && key == shop },
		Keys:   func() []queue.Key { return keys },
	})
	run := func(name string, phase queue.Phase) queue.Run {
		return queue.Run{Name: name, UID: name, Phase: phase, Held: true, Created: noon.Add(-time.Minute), Order: queue.NewOrder([]string{"a", "b"})}
	}
	q.Decided(queue.Snapshot{
		Key: shop, Limit: 1, Freshness: queue.Confirmed, Runs: []queue.Run{run("a", queue.Started), run("b", queue.Pending)},
		Slots: []queue.Slot{{Version: "1", Holder: &queue.Holder{Name: "a", UID: "a"}, HeldSince: noon}},
	}, 0)
	q.Decided(queue.Snapshot{Key: bank, Limit: 2}, 0)
	clock.SetTime(noon.Add(time.Second))
	slot := 0
	want := []live.Queue{
		{Namespace: "ci", Repository: "bank", Limit: 2, SeenAt: noon, Runs: []live.Run{}},
		{Namespace: "ci", Repository: "shop", Limit: 1, Waiting: 1, SeenAt: noon, Confirmed: true, Runs: []live.Run{
			{Name: "a", Why: "running", Reason: "running in slot 0", Slot: &slot},
			{Name: "b", Why: "slots taken", Reason: "waiting for a slot: 1 of 1 in use by a", Position: 1},
		}},
	}
	if _, got := ask(t, q, http.MethodGet); !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	recovery := queue.Snapshot{Key: shop, Limit: 1}
	q.Decided(recovery, 0)
	if _, got := ask(t, q, http.MethodGet); !cmp.Equal(want, got) {
		t.Errorf("recovery's look replaces that of the engine: %s", cmp.Diff(want, got))
	}
	acts = false
	q.Decided(recovery, 0)
	if _, got := ask(t, q, http.MethodGet); got[1].Confirmed || len(got[1].Runs) > 0 {
		t.Errorf("a replica that does not work on the queue any more says %+v", got[1])
	}
	keys = []queue.Key{bank, shop, {Namespace: "ci", Repository: "never seen"}}
	q.Gone(shop)
	if _, got := ask(t, q, http.MethodGet); len(got) != 1 {
		t.Errorf("after one is gone there are %v", got)
	}
	keys = nil
	if _, got := ask(t, q, http.MethodGet); len(got) != 0 {
		t.Errorf("of queues that are gone it says %v", got)
	}
	if answer, _ := ask(t, q, http.MethodPost); answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", answer.Code)
	}
}
