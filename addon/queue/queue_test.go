package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func TestToken(t *testing.T) {
	for s, want := range map[string]queue.Token{
		"0/0/0":    {},
		"3/12/1":   {Slot: 3, Transition: 12, Attempt: 1},
		"-1/0/2":   {Slot: queue.NoSlot, Attempt: 2},
		"10/99/-0": {Slot: -2}, // refused
		"":         {Slot: -2}, "1/2": {Slot: -2}, "1/2/3/4": {Slot: -2}, "1/2/3 ": {Slot: -2}, " 1/2/3": {Slot: -2},
		"+1/2/3": {Slot: -2}, "01/2/3": {Slot: -2}, "-2/0/0": {Slot: -2}, "0/-1/0": {Slot: -2}, "0/0/-1": {Slot: -2},
		"1/2/99999999999999999999": {Slot: -2}, "a/b/c": {Slot: -2},
	} {
		got, err := queue.ParseToken(s)
		if refused := want.Slot == -2; refused != (err != nil) || !refused && got != want {
			t.Errorf("%q: got %v, error %v, want %v", s, got, err, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	for attempts, want := range map[int]time.Duration{
		0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 4: 40 * time.Second, 5: time.Minute, 1 << 30: time.Minute,
	} {
		if got := policy.Backoff(attempts); got != want {
			t.Errorf("after %d attempts: %v, want %v", attempts, got, want)
		}
	}
	if got := (queue.Policy{BackoffBase: time.Hour, BackoffMax: time.Minute}).Backoff(1); got != time.Minute {
		t.Errorf("got %v, want no more than the maximum", got)
	}
}

func TestNames(t *testing.T) {
	if got, want := (queue.Key{Namespace: "ns", Repository: "repo"}).String(), "ns/repo"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for p, want := range map[queue.Phase]string{queue.Pending: "pending", queue.Started: "started", queue.Done: "done"} {
		if got := p.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestAbsurd: numbers that a person can type cost nothing and break nothing.
func TestAbsurd(t *testing.T) {
	const many = 5000
	var rs []*queue.Run
	for i := range many {
		rs = append(rs, runs(run(fmt.Sprintf("r%04d", i)))...)
	}
	cases := map[string]func() int{
		"limit": func() int {
			return len(queue.Decide(queue.Snapshot{Limit: 1 << 40, Runs: rs}, noon, policy).Actions) - many
		},
		"limit, no run waits": func() int {
			return len(queue.Decide(queue.Snapshot{Limit: 1 << 40, Slots: slots(slot(1 << 39))}, noon, policy).Actions)
		},
		"attempt": func() int {
			return int(policy.Backoff(1<<62) - policy.BackoffMax)
		},
		"attempt without a back-off": func() int {
			return int(queue.Policy{BackoffMax: time.Minute}.Backoff(1 << 62))
		},
	}
	for name, zero := range cases {
		t.Run(name, func(t *testing.T) {
			done := make(chan int, 1)
			go func() { done <- zero() }()
			select {
			case got := <-done:
				if got != 0 {
					t.Errorf("got %d, want 0", got)
				}
			case <-time.After(2 * time.Second):
				t.Fatal("still busy after 2 s")
			}
		})
	}
}

func TestKeyRoundTrip(t *testing.T) {
	for _, key := range []queue.Key{{Namespace: "shop", Repository: "app"}, {Namespace: "a", Repository: "b.c-d.slot-0"}} {
		if got := queue.ParseKey(key.String()); got != key {
			t.Errorf("%s reads as %+v", key, got)
		}
	}
}
