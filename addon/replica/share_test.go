package replica_test

import (
	"fmt"
	"slices"
	"testing"

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
