package lease_test

import (
	"strings"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

func TestIndexOfIsTheReverseOfName(t *testing.T) {
	for _, repository := range []string{"shop", "a-b-7", strings.Repeat("long-", 60)} {
		for _, want := range []int{0, 7, 12, 1 << 40} {
			name := lease.Name(repository, want)
			if got, ok := lease.IndexOf(name, repository); !ok || got != want {
				t.Errorf("%s is slot %d of %s: %t, want slot %d", name, got, repository, ok, want)
			}
			if _, ok := lease.IndexOf(name, "other"); ok {
				t.Errorf("%s is in the place of a slot of another Repository", name)
			}
		}
	}
	for _, name := range []string{"", "shop", "shop.slot-", "shop.slot-x", "shop.slot--1", "shop.slot-01", "shop.slot-0x"} {
		if index, ok := lease.IndexOf(name, "shop"); ok {
			t.Errorf("%q is in the place of slot %d", name, index)
		}
	}
}
