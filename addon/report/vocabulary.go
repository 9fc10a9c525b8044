package report

import "github.com/pac-lease-queue/pac-lease-queue/addon/queue"

// ExplainedState says what a state of a run means.
type ExplainedState struct {
	State queue.State
	Means string
}

// States explains all states, in the order in which a run goes through them.
// docs/observability.md has them.
func States() []ExplainedState {
	return []ExplainedState{
		{queue.StateQueued, "Held (`PipelineRunPending`), and no slot names it: it waits."},
		{queue.StateClaimed, "Still held, but a slot names it. Usually it starts within milliseconds; a run that is labelled for Kueue " +
			"starts when Kueue admits it."},
		{queue.StateStarted, "Tekton may run it. It counts towards the limit until it is done."},
		{queue.StateDone, "Ended, or cancelled while it was held."},
	}
}

// ExplainedWhy says what keeps a run in its state.
type ExplainedWhy struct {
	Why   queue.Why
	Means string
}

// Whys explains all reasons why a run is queued or claimed. docs/observability.md has them.
func Whys() []ExplainedWhy {
	return []ExplainedWhy{
		{queue.SlotsTaken, "All slots are taken, or free slots go to runs before it."},
		{queue.Due, "It is its turn; a replica is about to start it."},
		{queue.WithoutOrder, "Pipelines-as-Code has yet to write its execution order."},
		{queue.Preparing, "Pipelines-as-Code has yet to make its secret or its check run."},
		{queue.Unprepared, "Pipelines-as-Code should have made its git secret long ago, and it cannot work without. Others go first."},
		{queue.BehindPreparing, "The same holds for a run before it in its event."},
		{queue.BackOff, "Its start failed; the next attempt follows after a pause."},
		{queue.Refused, "Its start kept failing; it is about to give up its slot and pause."},
		{queue.LimitLowered, "It has a slot, but more runs are started than the new limit allows."},
		{queue.Superseded, "A newer run replaces it (cancel-in-progress); it is about to be cancelled."},
		{queue.Paused, "Its queue is paused: nothing starts."},
		{queue.BehindPriority, "All slots are taken, or free slots go to runs of a higher priority first."},
		{queue.Outdated, "Its queue keeps only the newest run that waits, and a newer one does; it is about to be cancelled."},
		{queue.Dropped, "More runs wait than may, or it has waited for longer than one may; it is about to be cancelled."},
		{queue.HandedBack, "Its queue belongs to Pipelines-as-Code again, or will once the started runs are done."},
		{queue.AtKueue, "It has its slot, or needs none, and Kueue has yet to admit it. It counts towards the limit, and keeps its slot " +
			"for as long as that takes."},
		{queue.NotBegun, "It is started, but the controller in its `spec.managedBy` has not begun with it. It takes no slot until then."},
		{queue.NoRepository, "Its Repository does not exist."},
	}
}
