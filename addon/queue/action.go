package queue

import (
	"fmt"
	"time"
)

// Action is one step of the protocol. Every action is idempotent and carries the observation that
// justifies it. Its executor makes the observed version a precondition of the write, and takes an
// error for "unknown".
//
//sumtype:decl
type Action interface {
	// Kind says what the action does.
	Kind() Kind
	// Writes is the kind of object that the action writes.
	Writes() Object
	// Step names the step such that the name stays the same for as long as no replica takes it. It
	// leaves out the version of a run, which others write without helping the queue along, and has
	// that of a slot, which only replicas write.
	Step() string
	// String says in words what the action does.
	String() string
	// needsFresh says that the action rests on what no version in a request can prove: that a slot
	// or a limit does not exist, or which run a damaged slot named.
	needsFresh() bool
}

// Kind tells actions apart in logs and metrics.
type Kind string

const (
	KindStamp    Kind = "stamp"
	KindClaim    Kind = "claim"
	KindStart    Kind = "start"
	KindExpire   Kind = "expire"
	KindRelease  Kind = "release"
	KindRemove   Kind = "remove"
	KindCancel   Kind = "cancel"
	KindHandBack Kind = "hand-back"
	KindForget   Kind = "forget"
)

// Kinds lists all kinds of actions.
func Kinds() []Kind {
	return []Kind{KindStamp, KindClaim, KindStart, KindExpire, KindRelease, KindRemove, KindCancel, KindHandBack, KindForget}
}

// Object is a kind of object that actions write.
type Object string

const (
	ObjectRun  Object = "run"
	ObjectSlot Object = "slot"
)

// Objects lists all kinds of objects that actions write.
func Objects() []Object { return []Object{ObjectRun, ObjectSlot} }

// Stamp writes down when an event came: one patch of one of its runs, conditional like Start. Only
// a later decision, which sees the stamp, claims for the events of that second.
type Stamp struct {
	Run Run
	// Arrival is that of the run's event.
	Arrival Arrival
}

func (Stamp) Kind() Kind     { return KindStamp }
func (Stamp) Writes() Object { return ObjectRun }
func (a Stamp) Step() string { return "stamp " + a.Run.UID }
func (a Stamp) String() string {
	return fmt.Sprintf("stamp %s, whose event arrived at %s", a.Run.Name, a.Arrival)
}
func (Stamp) needsFresh() bool { return false }

// Claim makes the slot name the run: one write of the slot with its Version as precondition (its
// absence, if it does not exist). The slot is free, or its holder is done, gone or fenced, or it
// has been damaged for a claim TTL. A pending run is then started with the token of the slot as
// written; a started one is adopted.
type Claim struct {
	Run   Run
	Event Event
	Slot  Slot
	Late  Lateness
}

func (Claim) Kind() Kind     { return KindClaim }
func (Claim) Writes() Object { return ObjectSlot }
func (a Claim) Step() string { return fmt.Sprintf("%s for %s", a.Slot.step(KindClaim), a.Run.UID) }

func (a Claim) String() string   { return fmt.Sprintf("claim slot %d for %s", a.Slot.Index, a.Run.Name) }
func (a Claim) needsFresh() bool { return a.Slot.Version == "" || a.Slot.Damaged != "" }

// Start clears Pending: one patch of the run with its UID and Version as preconditions, which also
// writes the token. A run that is Kueue's to start stays Pending: the token lets Kueue clear that.
type Start struct {
	Run   Run
	Token Token
	// Claimed is when its slot was first seen to name it; zero for one that needed none.
	Claimed time.Time
	// Late names what the run was not waited for any longer, if anything.
	Late Lateness
}

func (Start) Kind() Kind         { return KindStart }
func (Start) Writes() Object     { return ObjectRun }
func (a Start) Step() string     { return fmt.Sprintf("start %s by %s", a.Run.UID, a.Token) }
func (a Start) needsFresh() bool { return a.Token.Slot == NoSlot }

func (a Start) String() string {
	if a.Run.Kueue.Admits {
		return "pass " + a.Run.Name + " to Kueue"
	}
	return "start " + a.Run.Name
}

// Expire fences a claim whose start kept failing: one patch of the run, conditional like Start,
// that sets the attempt and the back-off. Only a later decision, which sees the fence, frees the
// slot.
type Expire struct {
	Run     Run
	Slot    Slot
	Attempt int
	// Backoff is how long, from now, the run is passed over.
	Backoff time.Duration
}

func (Expire) Kind() Kind     { return KindExpire }
func (Expire) Writes() Object { return ObjectRun }
func (a Expire) Step() string { return fmt.Sprintf("expire %s in slot %d", a.Run.UID, a.Slot.Index) }

func (a Expire) String() string {
	return fmt.Sprintf("expire the claim of %s on slot %d", a.Run.Name, a.Slot.Index)
}
func (Expire) needsFresh() bool { return false }

// Release empties a slot whose holder is done, gone or fenced and that no run waits for.
type Release struct{ Slot Slot }

func (Release) Kind() Kind         { return KindRelease }
func (Release) Writes() Object     { return ObjectSlot }
func (a Release) Step() string     { return a.Slot.step(KindRelease) }
func (a Release) String() string   { return fmt.Sprintf("release slot %d", a.Slot.Index) }
func (a Release) needsFresh() bool { return a.Slot.Damaged != "" }

// Remove deletes a slot that the limit no longer has room for.
type Remove struct{ Slot Slot }

func (Remove) Kind() Kind       { return KindRemove }
func (Remove) Writes() Object   { return ObjectSlot }
func (a Remove) Step() string   { return a.Slot.step(KindRemove) }
func (a Remove) String() string { return fmt.Sprintf("remove slot %d", a.Slot.Index) }
func (Remove) needsFresh() bool { return false }

// Cancel ends a run that a newer one supersedes, or that must not wait any longer: one patch,
// conditional like Start. A started run gets to run its finally tasks, a pending one ends without
// ever having begun. Only a later decision, which sees it done, gives its slot away.
type Cancel struct {
	Run Run
	// By is the newer run, if there is one.
	By Run
	// Cause is Replaced if it is empty.
	Cause Cause
	// Spec is that of the queue.
	Spec Spec
}

// Why says in words why the run is cancelled.
func (a Cancel) Why() string {
	switch a.Cause {
	case NotNewest:
		return fmt.Sprintf("a newer run %s waits, %s", a.By.Origin, a.By.Name)
	case TooMany:
		return fmt.Sprintf("no more than %d runs may wait", a.Spec.MostWaiting)
	case TooOld:
		return fmt.Sprintf("no run may wait for longer than %s", a.Spec.MaxAge)
	case Replaced:
	}
	return "superseded by " + a.By.Name
}

func (Cancel) Kind() Kind     { return KindCancel }
func (Cancel) Writes() Object { return ObjectRun }
func (a Cancel) Step() string { return "cancel " + a.Run.UID }
func (a Cancel) String() string {
	return fmt.Sprintf("cancel %s, %s", a.Run.Name, a.Why())
}
func (Cancel) needsFresh() bool { return false }

// HandBack gives a pending run back to PAC: one patch, conditional like Start, that puts its order
// where PAC looks for it.
type HandBack struct{ Run Run }

func (HandBack) Kind() Kind       { return KindHandBack }
func (HandBack) Writes() Object   { return ObjectRun }
func (a HandBack) Step() string   { return "hand back " + a.Run.UID }
func (a HandBack) String() string { return "hand back " + a.Run.Name }
func (HandBack) needsFresh() bool { return false }

// Forget marks a run as finished that is queued by its label and done: one patch, conditional like
// Start, after which no watch shows the run any more. PAC does that for its own.
type Forget struct{ Run Run }

func (Forget) Kind() Kind       { return KindForget }
func (Forget) Writes() Object   { return ObjectRun }
func (a Forget) Step() string   { return "forget " + a.Run.UID }
func (a Forget) String() string { return "forget " + a.Run.Name }
func (Forget) needsFresh() bool { return false }

// step names a step that is taken by writing this slot as it is now.
func (s Slot) step(k Kind) string { return fmt.Sprintf("%s slot %d at %q", k, s.Index, s.Version) }
