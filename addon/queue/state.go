package queue

// State is how far a run is. Annotations, events, the plugin, the debug view, metrics and
// documentation use these words and no others; [Why] says what keeps a run in its state.
type State string

// The states of a run, in the order in which it goes through them.
const (
	// StateQueued is that of a pending run that no slot names.
	StateQueued State = "queued"
	// StateClaimed is that of a pending run that a slot names, or that waits for Kueue.
	StateClaimed State = "claimed"
	// StateStarted is that of a run that Tekton may work on.
	StateStarted State = "started"
	// StateDone is final.
	StateDone State = "done"
)

// StateOf is the state of a run in a phase, which the slot with that index names; NoSlot if
// none does.
func StateOf(phase Phase, slot int) State {
	switch {
	case phase == Done:
		return StateDone
	case phase == Started:
		return StateStarted
	case slot != NoSlot:
		return StateClaimed
	default:
		return StateQueued
	}
}

// Why is what keeps a run from being started, or from beginning; empty if nothing does, because it
// is started or done.
type Why string

// Reasons why a run is queued or claimed.
const (
	// Due: it has a slot, or is the next to get one; its start is a matter of moments.
	Due Why = "due"
	// SlotsTaken: all slots are taken, or free ones go to the runs before it.
	SlotsTaken Why = "slots taken"
	// LimitLowered: it has a slot, and more runs are started than the limit now allows.
	LimitLowered Why = "limit lowered"
	// WithoutOrder: PAC has yet to write its execution order.
	WithoutOrder Why = "no order"
	// Preparing: PAC still owes it something.
	Preparing Why = "preparing"
	// Unprepared: PAC should have made long ago what it cannot work without. The others go first.
	Unprepared Why = "unprepared"
	// BehindPreparing: PAC still owes something to a run before it in the same event.
	BehindPreparing Why = "behind a run in preparation"
	// BackOff: a start failed; the next attempt comes later.
	BackOff Why = "back-off"
	// Refused: its start kept failing until its claim expired.
	Refused Why = "refused"
	// Superseded: a newer run replaces it; it is about to be cancelled.
	Superseded Why = "superseded"
	// Paused: the queue is, so nothing starts.
	Paused Why = "paused"
	// BehindPriority: runs of a higher priority go first.
	BehindPriority Why = "behind higher priority"
	// Outdated: a newer run waits in its place; it is about to be cancelled.
	Outdated Why = "outdated"
	// Dropped: it must not wait any longer; it is about to be cancelled.
	Dropped Why = "dropped"
	// HandedBack: the queue is PAC's again, or will be once no run is started.
	HandedBack Why = "handed back"
	// AtKueue: it has all that it needs from this product; Kueue has yet to admit it.
	AtKueue Why = "waits for Kueue"
	// NotBegun: it is started, and the controller that runs it has not begun for so long that the
	// run takes no unit of the limit any more.
	NotBegun Why = "not begun"
	// NoRepository: its Repository does not exist, so no replica starts it. [Stand] knows
	// only queues that exist and never says so.
	NoRepository Why = "no Repository"
)
