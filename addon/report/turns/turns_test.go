package turns_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report/turns"
)

func TestRing(t *testing.T) {
	var r turns.Ring[string]
	next := func(want ...string) {
		t.Helper()
		var got []string
		for range want {
			k, ok := r.Next()
			if !ok {
				k = "nobody"
			}
			got = append(got, k)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("turns (-want +got):\n%s", diff)
		}
	}
	r.Leave("a")
	next("nobody")
	r.Join("a")
	r.Join("b")
	next("a", "b", "a")
	r.Join("c")
	r.Join("a") // keeps its place
	next("b", "a", "c", "b")
	r.Leave("a")
	r.Leave("a")
	next("c", "b", "c")
	if r.Len() != 2 {
		t.Errorf("%d in the line", r.Len())
	}
	r.Leave("b")
	r.Leave("c")
	next("nobody")
}
