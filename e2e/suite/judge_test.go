package suite

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

func TestCouldStart(t *testing.T) {
	now := time.Now()
	ordered := &queue.Order{Sequence: queue.NewSequence([]string{"a"})}
	waiting := queue.Run{Phase: queue.Pending, Order: ordered}
	running := queue.Run{Phase: queue.Started, Order: ordered}
	for name, c := range map[string]struct {
		limit queue.Limit
		runs  []queue.Run
		want  bool
	}{
		"room and work":             {1, []queue.Run{waiting}, true},
		"room beside one that runs": {2, []queue.Run{running, waiting}, true},
		"no limit":                  {queue.Unlimited, []queue.Run{running, waiting}, true},
		"a malformed order":         {1, []queue.Run{{Phase: queue.Pending, Order: &queue.Order{}}}, true},
		"after a back-off":          {1, []queue.Run{{Phase: queue.Pending, Order: ordered, NotBefore: now.Add(-time.Second)}}, true},
		"the limit is used up":      {1, []queue.Run{running, waiting}, false},
		"every run is done":         {1, []queue.Run{{Phase: queue.Done, Order: ordered}}, false},
		"no order from PAC yet":     {1, []queue.Run{{Phase: queue.Pending}}, false},
		"in back-off":               {1, []queue.Run{{Phase: queue.Pending, Order: ordered, NotBefore: now.Add(time.Second)}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := couldStart(history.View{Limit: c.limit, Runs: c.runs}, now); got != c.want {
				t.Errorf("couldStart: %t, want %t", got, c.want)
			}
		})
	}
}
