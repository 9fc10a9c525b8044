package audit_test

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// tape feeds an auditor; every method happens one second after the last.
type tape struct {
	*audit.Auditor
	now time.Time
}

func (t *tape) tick() time.Time {
	t.now = t.now.Add(time.Second)
	return t.now
}

func (t *tape) limit(n queue.Limit)  { t.SetLimit(n, t.tick()) }
func (t *tape) run(b runBuilder)     { t.Run(b.Run, t.tick()) }
func (t *tape) gone(b runBuilder)    { t.Gone(b.UID, t.tick()) }
func (t *tape) slot(s queue.Slot)    { t.Slot(s, t.tick()) }
func (t *tape) wait(d time.Duration) { t.now = t.now.Add(d) }

// starts has a run come, get a slot, and start.
func (t *tape) starts(index int, b runBuilder) {
	t.run(b)
	t.slot(held(index, b.Name))
	t.run(b.started())
}

// play returns the report before and after the end of a history.
func play(history func(*tape)) (during, end audit.Report) {
	t := &tape{audit.New(5 * time.Second), noon}
	history(t)
	return t.Report(), t.Finish(t.tick())
}

// runBuilder describes a run; every method returns a changed copy.
type runBuilder struct{ queue.Run }

// run is pending, held, ten seconds old and an event of its own.
func run(name string) runBuilder {
	return runBuilder{queue.Run{
		Name: name, UID: "uid-" + name,
		Created: noon.Add(-10 * time.Second), Order: ordered(name),
	}}
}

func (b runBuilder) of(branch string) runBuilder          { b.Origin.Branch = branch; return b }
func (b runBuilder) uid(u string) runBuilder              { b.UID = u; return b }
func (b runBuilder) created(d time.Duration) runBuilder   { b.Created = noon.Add(d); return b }
func (b runBuilder) order(names ...string) runBuilder     { b.Order = ordered(names...); return b }
func (b runBuilder) noOrder() runBuilder                  { b.Order = nil; return b }
func (b runBuilder) malformed() runBuilder                { b.Order = &queue.Order{}; return b }
func (b runBuilder) owed(what string) runBuilder          { b.Owed = what; return b }
func (b runBuilder) stamped(v uint64) runBuilder          { b.Arrived = queue.Arrival{Version: v}; return b }
func (b runBuilder) attempt(n int) runBuilder             { b.Attempt = n; return b }
func (b runBuilder) notBefore(d time.Duration) runBuilder { b.NotBefore = noon.Add(d); return b }
func (b runBuilder) started() runBuilder                  { b.Phase = queue.Started; return b }
func (b runBuilder) done() runBuilder                     { b.Phase = queue.Done; return b }

// free is a slot that names no run, held one that names a run.
func free(index int) queue.Slot { return queue.Slot{Index: index} }

func held(index int, name string) queue.Slot {
	return queue.Slot{Index: index, Holder: &queue.Holder{Name: name, UID: "uid-" + name}}
}

func ordered(names ...string) *queue.Order {
	return &queue.Order{Sequence: queue.NewSequence(names)}
}
