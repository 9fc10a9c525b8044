package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// BenchmarkDecide decides on long queues, a few events of many runs, with every
// slot in use, and with one just free.
func BenchmarkDecide(b *testing.B) {
	const events, limit = 4, 10
	for _, pending := range []int{100, 1000, 5000} {
		var rs []*queue.Run
		var ss []queue.Slot
		for i := range limit {
			r := run(fmt.Sprintf("started-%d", i)).started()
			rs, ss = append(rs, &r.Run), append(ss, slot(i).of(r.Name).Slot)
		}
		for e := range events {
			var names []string
			for i := range pending / events {
				names = append(names, fmt.Sprintf("event-%d-run-%04d", e, i))
			}
			order := held(names...)
			for i, n := range names {
				r := run(n).created(time.Duration(i) * time.Millisecond)
				r.Order = order
				rs = append(rs, &r.Run)
			}
		}
		for name, slots := range map[string][]queue.Slot{"full": ss, "free": append(ss[1:len(ss):len(ss)], slot(0).Slot)} {
			runs := rs
			if name == "free" {
				runs = rs[1:]
			}
			s := queue.Snapshot{Limit: limit, Runs: runs, Slots: slots}
			b.Run(fmt.Sprintf("%d-pending/%s", pending, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					queue.Decide(s, noon, policy)
				}
			})
		}
	}
}
