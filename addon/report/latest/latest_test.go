package latest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/latest"
)

var (
	noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	shop = queue.Key{Namespace: "ci", Repository: "shop"}
	bank = queue.Key{Namespace: "ci", Repository: "bank"}
)

func look(key queue.Key, freshness queue.Freshness, limit queue.Limit) engine.Look {
	return engine.Look{At: noon, Snapshot: queue.Snapshot{
		Key: key, Freshness: freshness, Limit: limit, Runs: []*queue.Run{{UID: "a"}, {UID: "b", Phase: queue.Started}},
	}}
}

// TestLooks: the latest look counts, but where the replica acts, only that of its engine.
func TestLooks(t *testing.T) {
	acts := true
	l := latest.New(func(key queue.Key) bool { return acts && key == shop })
	want := func(key queue.Key, limit queue.Limit) {
		t.Helper()
		if got, known := l.Get(key); !known || got.Snapshot.Limit != limit {
			t.Errorf("%s: known %t, limit %d, want %d", key, known, got.Snapshot.Limit, limit)
		}
	}
	l.Looked(look(shop, queue.Cached, 1))
	want(shop, 1)
	l.Looked(look(shop, queue.Confirmed, 2))
	want(shop, 2)
	l.Looked(look(shop, queue.Cached, 3)) // recovery's, of a queue that the replica works on
	want(shop, 2)
	l.Looked(look(bank, queue.Confirmed, 4))
	l.Looked(look(bank, queue.Cached, 5))
	want(bank, 5)
	acts = false
	l.Looked(look(shop, queue.Cached, 6))
	want(shop, 6)
	if all := l.All(); len(all) != 2 || all[0].Snapshot.Key != bank {
		t.Errorf("all are %v, want bank before shop", all)
	}
}

// TestForgets: a queue that is gone is forgotten, and the oldest when there are too many.
func TestForgets(t *testing.T) {
	l := latest.New(func(queue.Key) bool { return false })
	l.Looked(look(shop, queue.Confirmed, 1))
	l.Looked(look(bank, queue.Confirmed, 1))
	l.Listed([]queue.Key{bank})
	if _, known := l.Get(shop); known {
		t.Error("a queue that is not listed any more is remembered")
	}
	l.Missing(bank, nil)
	if _, known := l.Get(bank); known {
		t.Error("a queue without a Repository is remembered")
	}
	const most = 20_000
	for i := range most + 5 {
		is := look(queue.Key{Namespace: "ci", Repository: fmt.Sprint(i)}, queue.Confirmed, 1)
		is.At = noon.Add(time.Duration(i) * time.Second)
		l.Looked(is)
	}
	if n := len(l.All()); n != most {
		t.Errorf("%d queues are remembered, want %d", n, most)
	}
	if _, known := l.Get(queue.Key{Namespace: "ci", Repository: "4"}); known {
		t.Error("the oldest look has not made room")
	}
}

// TestRefusals: why a start failed is known as long as the run is pending.
func TestRefusals(t *testing.T) {
	l := latest.New(func(queue.Key) bool { return true })
	refuse := func(uid string, err error) {
		l.Wrote(engine.Write{Repository: engine.Repository{Key: shop}, Action: queue.Start{Run: queue.Run{UID: uid}}, Err: err})
	}
	want := func(refusal string) {
		t.Helper()
		if is, _ := l.Get(shop); is.Refusals["a"] != refusal {
			t.Errorf("refusal %q, want %q", is.Refusals["a"], refusal)
		}
	}
	refuse("a", errors.New("of a queue that is not known"))
	l.Looked(look(shop, queue.Confirmed, 1))
	want("")
	refuse("a", fmt.Errorf("start: %w", engine.ErrStale))
	want("")
	before, _ := l.Get(shop)
	refuse("a", errors.New("it is Friday"))
	want("it is Friday")
	if len(before.Refusals) > 0 {
		t.Error("what was returned before has changed")
	}
	refuse("a", nil)
	l.Looked(look(shop, queue.Confirmed, 1))
	want("it is Friday")
	started := look(shop, queue.Confirmed, 1)
	started.Snapshot.Runs[0].Phase = queue.Started
	l.Looked(started)
	want("")

	// A refused claim is known until there is one that succeeds; one that lost a race is no news.
	claim := func(err error) {
		l.Wrote(engine.Write{Repository: engine.Repository{Key: shop}, Action: queue.Claim{Run: queue.Run{UID: "a"}}, Err: err})
	}
	l.Looked(look(shop, queue.Confirmed, 1))
	claim(errors.New("no answer"))
	claim(fmt.Errorf("claim: %w", engine.ErrStale))
	want("")
	claim(fmt.Errorf("claim slot 0 for a: %w", apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "s", errors.New("quota"))))
	want(`leases "s" is forbidden: quota`)
	claim(errors.New("no answer"))
	want(`leases "s" is forbidden: quota`)
	claim(nil)
	want("")

	refuse("a", errors.New(strings.Repeat("Ä", 10_000)))
	if is, _ := l.Get(shop); len(is.Refusals["a"]) > 1100 || !strings.HasSuffix(is.Refusals["a"], "Ä…") {
		t.Errorf("a refusal of %d bytes is kept", len(is.Refusals["a"]))
	}
}
