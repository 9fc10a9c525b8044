package event

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// allowance allows a write for each value that is sent.
type allowance chan struct{}

func (a allowance) Wait(ctx context.Context) error {
	select {
	case <-a:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// written are the events that were written, in words.
type written chan string

func (w written) Record(e Event) { w <- words(e) }

func words(e Event) string { return fmt.Sprintf("%s/%s %s", e.Key.Namespace, e.UID, e.Reason) }

func on(namespace, uid string, reason Reason) Event {
	return Event{Kind: PipelineRun, Key: queue.Key{Namespace: namespace, Repository: "app"}, UID: uid, Reason: reason}
}

func warn(namespace, uid string) Event {
	e := on(namespace, uid, ReasonBadAnnotation)
	e.Warning = true
	return e
}

// outbox is one that holds events, and what it has dropped.
func outboxOf(events ...Event) (o *Outbox, dropped *[]string) {
	dropped = &[]string{}
	o = NewOutbox(nil, nil, func(e Event) { *dropped = append(*dropped, words(e)) })
	for _, e := range events {
		o.Record(e)
	}
	return o, dropped
}

func (o *Outbox) all() (all []string) {
	for e, ok := o.take(); ok; e, ok = o.take() {
		all = append(all, words(e))
	}
	return all
}

// TestSequels: an event that waits is left out for one that says the same and more, and for no
// other.
func TestSequels(t *testing.T) {
	for name, tc := range map[string]struct {
		events []Event
		want   []string
	}{
		"queued, claimed and started": {
			[]Event{
				on("shop", "a", ReasonQueued), on("shop", "b", ReasonQueued), on("shop", "a", ReasonSlotAcquired),
				on("shop", "a", ReasonStarted),
			},
			[]string{"shop/a Started", "shop/b Queued"},
		},
		"passed to Kueue": {
			[]Event{on("shop", "a", ReasonSlotAcquired), on("shop", "a", ReasonPassed)}, []string{"shop/a PassedToKueue"},
		},
		"without its order": {
			[]Event{
				on("shop", "a", ReasonQueued), on("shop", "a", ReasonSlotAcquired), on("shop", "a", ReasonOrderTimedOut),
				on("shop", "a", ReasonStarted),
			},
			[]string{"shop/a Started", "shop/a OrderTimedOut"},
		},
		"a Warning": {
			[]Event{warn("shop", "a"), on("shop", "a", ReasonQueued), warn("shop", "a"), on("shop", "a", ReasonStarted)},
			[]string{"shop/a BadAnnotation", "shop/a Started", "shop/a BadAnnotation"},
		},
		"started again": {
			[]Event{on("shop", "a", ReasonStarted), on("shop", "a", ReasonStarted)}, []string{"shop/a Started", "shop/a Started"},
		},
		"another run": {
			[]Event{on("shop", "a", ReasonSlotAcquired), on("shop", "b", ReasonStarted)}, []string{"shop/a SlotAcquired", "shop/b Started"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := outboxOf(tc.events...)
			if diff := cmp.Diff(tc.want, o.all()); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			if len(o.spaces) > 0 || o.count != 0 || len(o.turns) > 0 {
				t.Errorf("%d spaces, %d events, %v are left", len(o.spaces), o.count, o.turns)
			}
		})
	}
}

// TestTurns: a namespace with many events does not keep the others waiting.
func TestTurns(t *testing.T) {
	o, _ := outboxOf(warn("noisy", "1"), warn("noisy", "2"), warn("noisy", "3"), warn("shop", "a"), warn("bank", "b"), warn("shop", "c"))
	want := []string{
		"noisy/1 BadAnnotation", "shop/a BadAnnotation", "bank/b BadAnnotation", "noisy/2 BadAnnotation", "shop/c BadAnnotation",
		"noisy/3 BadAnnotation",
	}
	if diff := cmp.Diff(want, o.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestFull: who has the most events loses some, first what is no Warning, and nobody else does.
func TestFull(t *testing.T) {
	o, dropped := outboxOf(on("shop", "a", ReasonQueued), warn("noisy", "first"), on("noisy", "normal", ReasonStarted))
	for i := range mostWaiting - 1 {
		o.Record(warn("noisy", fmt.Sprint(i)))
	}
	want := []string{"noisy/normal Started", "noisy/first BadAnnotation"}
	if diff := cmp.Diff(want, *dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if first, _ := o.take(); words(first) != "shop/a Queued" || o.count != mostWaiting-1 {
		t.Errorf("%s comes first of %d", words(first), o.count+1)
	}
}

// TestBudgetOfEvents: an event is written when the budget allows it, and none before.
func TestBudgetOfEvents(t *testing.T) {
	allowed, out := make(allowance), make(written)
	o := NewOutbox(out, allowed, nil)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); o.Run(ctx) }()
	o.Record(on("shop", "a", ReasonQueued))
	select {
	case e := <-out:
		t.Fatalf("%s is written before the budget allows it", e)
	case allowed <- struct{}{}:
	}
	if e := <-out; e != "shop/a Queued" {
		t.Errorf("%s is written", e)
	}
	o.Record(on("shop", "a", ReasonStarted))
	allowed <- struct{}{}
	if e := <-out; e != "shop/a Started" {
		t.Errorf("%s is written", e)
	}
	cancel()
	<-over
}
