package replica_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestShare: with four workers, a namespace has two of them, and one when a third or a fourth
// namespace has work; what has to wait is woken when a pass ends, in order.
func TestShare(t *testing.T) {
	of := func(namespace string, n int) queue.Key {
		return queue.Key{Namespace: namespace, Repository: fmt.Sprintf("app-%d", n)}
	}
	keys := []queue.Key{
		of("greedy", 1), of("greedy", 2), of("greedy", 3), of("greedy", 4), of("greedy", 3),
		of("modest", 1), of("other", 1), of("other", 2),
	}
	r := newRig(t, lease, keys...)
	// Each pass lasts until those of the queues behind it are over.
	var begin func()
	begin = func() {
		if len(keys) == 0 {
			return
		}
		key := keys[0]
		keys = keys[1:]
		began := len(r.passes)
		outcome, err := r.Work(t.Context(), key)
		if err != nil || !outcome.Acted || outcome.Again != 0 {
			t.Errorf("%s: outcome %+v, error %v", key, outcome, err)
		}
		if len(r.passes) == began {
			begin()
		}
	}
	r.meanwhile = begin
	begin()
	if diff := cmp.Diff([]queue.Key{of("greedy", 1), of("greedy", 2), of("modest", 1), of("other", 1)}, r.passes); diff != "" {
		t.Errorf("passes (-want +got):\n%s", diff)
	}
	// other/1 ends first.
	if diff := cmp.Diff([]queue.Key{of("other", 2), of("greedy", 3), of("greedy", 4)}, r.woken); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
}

// TestLongQueues: with four workers, two are kept from queues that have much to do, of however many
// namespaces. Those that have to wait are woken in order.
func TestLongQueues(t *testing.T) {
	var keys []queue.Key
	for _, namespace := range []string{"a", "b", "c", "d"} {
		keys = append(keys, queue.Key{Namespace: namespace, Repository: "hoard"})
	}
	r := newRig(t, lease, append(keys, app)...)
	work := func(key queue.Key) {
		if outcome, err := r.Work(t.Context(), key); err != nil || !outcome.Acted {
			t.Errorf("%s: outcome %+v, error %v", key, outcome, err)
		}
	}
	r.next = noon // something is left over
	for _, key := range keys {
		work(key)
	}
	r.passes = nil
	// Each pass lasts until those of the queues behind it are over.
	line := []queue.Key{keys[2], keys[1], keys[0], app, keys[3]}
	r.meanwhile = func() {
		for len(line) > 0 {
			key := line[0]
			line = line[1:]
			work(key)
		}
	}
	r.meanwhile()
	if diff := cmp.Diff([]queue.Key{keys[2], keys[1], app}, r.passes); diff != "" {
		t.Errorf("passes (-want +got):\n%s", diff)
	}
	// The pass of app, which no long queue can have, ends first.
	if diff := cmp.Diff([]queue.Key{keys[0], keys[3]}, r.woken); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	// A queue that has less to do is like any other again.
	r.next, r.meanwhile, r.passes = time.Time{}, nil, nil
	for range 2 {
		work(keys[0])
	}
	r.next, line = noon, []queue.Key{keys[1], keys[2], keys[0]}
	r.meanwhile = func() {
		for len(line) > 0 {
			key := line[0]
			line = line[1:]
			work(key)
		}
	}
	r.passes = nil
	r.meanwhile()
	if diff := cmp.Diff([]queue.Key{keys[1], keys[2], keys[0]}, r.passes); diff != "" {
		t.Errorf("passes of a queue that was long (-want +got):\n%s", diff)
	}
}

// TestShareIsGivenBack: whatever comes and goes, each queue that waits is woken, and no namespace
// that is alone is kept to less than half.
func TestShareIsGivenBack(t *testing.T) {
	r := newRig(t, lease, app, web)
	for range 100 {
		for _, key := range []queue.Key{app, web} {
			if _, err := r.Work(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(r.passes); n != 200 || slices.Contains(r.woken, app) {
		t.Errorf("%d passes, want 200; woken: %v", n, r.woken)
	}
}
