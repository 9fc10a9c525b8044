package queue_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func TestActions(t *testing.T) {
	run := queue.Run{Name: "build", UID: "uid-1", Version: "7"}
	written := run
	written.Version = "8"
	slot := queue.Slot{Index: 2, Version: "3"}
	token := queue.Token{Slot: 2, Transition: 4}
	var kinds []queue.Kind
	for _, c := range []struct {
		action, later queue.Action // later: others have written to the run
		kind          queue.Kind
		writes        queue.Object
		step, text    string
	}{
		{
			queue.Stamp{Run: run, Arrival: queue.Arrival{Version: 5}},
			queue.Stamp{Run: written, Arrival: queue.Arrival{Version: 5}},
			queue.KindStamp, queue.ObjectRun, "stamp uid-1", "stamp build, whose event arrived at 5",
		},
		{
			queue.Claim{Run: run, Slot: slot},
			queue.Claim{Run: written, Slot: slot},
			queue.KindClaim, queue.ObjectSlot, `claim slot 2 at "3" for uid-1`, "claim slot 2 for build",
		},
		{
			queue.Start{Run: run, Token: token},
			queue.Start{Run: written, Token: token},
			queue.KindStart, queue.ObjectRun, "start uid-1 by 2/4/0", "start build",
		},
		{
			queue.Expire{Run: run, Slot: slot, Attempt: 1},
			queue.Expire{Run: written, Slot: slot, Attempt: 1},
			queue.KindExpire, queue.ObjectRun, "expire uid-1 in slot 2", "expire the claim of build on slot 2",
		},
		{
			queue.Release{Slot: slot},
			queue.Release{Slot: slot},
			queue.KindRelease, queue.ObjectSlot, `release slot 2 at "3"`, "release slot 2",
		},
		{
			queue.Remove{Slot: slot},
			queue.Remove{Slot: slot},
			queue.KindRemove, queue.ObjectSlot, `remove slot 2 at "3"`, "remove slot 2",
		},
		{
			queue.Cancel{Run: run, By: queue.Run{Name: "newer"}},
			queue.Cancel{Run: written, By: queue.Run{Name: "newest"}},
			queue.KindCancel, queue.ObjectRun, "cancel uid-1", "cancel build, superseded by newer",
		},
		{
			queue.Cancel{Run: run, Cause: queue.TooOld, Spec: queue.Spec{MaxAge: time.Hour}},
			queue.Cancel{Run: written, Cause: queue.TooMany},
			queue.KindCancel, queue.ObjectRun, "cancel uid-1", "cancel build, no run may wait for longer than 1h0m0s",
		},
		{
			queue.HandBack{Run: run},
			queue.HandBack{Run: written},
			queue.KindHandBack, queue.ObjectRun, "hand back uid-1", "hand back build",
		},
		{
			queue.Forget{Run: run},
			queue.Forget{Run: written},
			queue.KindForget, queue.ObjectRun, "forget uid-1", "forget build",
		},
	} {
		kinds = append(kinds, c.action.Kind())
		if got := c.action.Kind(); got != c.kind {
			t.Errorf("%T is of kind %q, want %q", c.action, got, c.kind)
		}
		if got := c.action.Writes(); got != c.writes {
			t.Errorf("%T writes a %s, want a %s", c.action, got, c.writes)
		}
		if got := c.action.String(); got != c.text {
			t.Errorf("%T reads %q, want %q", c.action, got, c.text)
		}
		if got := c.action.Step(); got != c.step {
			t.Errorf("%T is step %q, want %q", c.action, got, c.step)
		}
		if got := c.later.Step(); got != c.step {
			t.Errorf("%T is another step once the run was written to: %q, was %q", c.action, got, c.step)
		}
	}
	if want := queue.Kinds(); !slices.Equal(slices.Compact(kinds), want) {
		t.Errorf("actions are of the kinds %v, want %v", kinds, want)
	}
}
