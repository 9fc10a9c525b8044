package event

import (
	"container/list"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report/turns"
)

// Cause is why an event is not written.
type Cause string

// The causes there are.
const (
	// CauseSequel is that a later event of the same run says more.
	CauseSequel Cause = "sequel"
	// CauseFull is that too many events waited to be written, most of them its namespace's.
	CauseFull Cause = "full"
	// CauseFrequent is that its object had too many events.
	CauseFrequent Cause = "frequent"
	// CauseFailed is that the API server refused it, or could not be reached for long.
	CauseFailed Cause = "failed"
)

// Causes lists all there are.
func Causes() []Cause { return []Cause{CauseSequel, CauseFull, CauseFrequent, CauseFailed} }

// mostWaiting bounds how many events wait to be written.
const mostWaiting = 8192

// steps are how far the events of the usual course say that a run has come.
var steps = map[Reason]int{ReasonQueued: 1, ReasonSlotAcquired: 2, ReasonStarted: 3, ReasonPassed: 3}

// step is zero for an event that makes none before it superfluous, and is not made so.
func (e Event) step() int { return steps[e.Reason] }

// waiting is an event that waits to be written.
type waiting struct {
	Event
	at time.Time // when it happened
}

// outbox has the events that wait to be written. Namespaces take turns; within one, Warnings go
// first, and their reasons take turns; then comes what happened first. If there are
// too many, the namespace with the most loses its oldest event that is no Warning, or the oldest
// Warning of its most frequent reason if it has nothing else: whoever makes more events than can be
// written pays for that alone, and still hears of everything that is wrong. It is safe for
// concurrent use, and nothing waits for it.
type outbox struct {
	most int
	// leftOut is told of every event that will not be written.
	leftOut func(Event, Cause)
	// news has an element after anything was put in.
	news chan struct{}

	mu     sync.Mutex
	number int
	boxes  map[string]*box // by namespace
	turns  turns.Ring[string]
	// usual is where the last event of the usual course of a run waits.
	usual map[object]*list.Element
}

// box has the events of one namespace, the oldest first: the Warnings of each reason, and all
// others.
type box struct {
	warnings map[Reason]*list.List
	reasons  turns.Ring[Reason] // of the Warnings
	others   list.List
	number   int
}

func (b *box) of(e Event) *list.List {
	if !e.Warning {
		return &b.others
	}
	if b.warnings[e.Reason] == nil {
		b.warnings[e.Reason] = &list.List{}
		b.reasons.Join(e.Reason)
	}
	return b.warnings[e.Reason]
}

// put puts an event last.
func (b *box) put(w waiting) *list.Element {
	b.number++
	return b.of(w.Event).PushBack(w)
}

func (b *box) remove(at *list.Element) {
	b.number--
	e := at.Value.(waiting).Event
	in := b.of(e)
	in.Remove(at)
	if e.Warning && in.Len() == 0 {
		delete(b.warnings, e.Reason)
		b.reasons.Leave(e.Reason)
	}
}

// next is the event whose turn it is. There is one.
func (b *box) next() *list.Element {
	if reason, warns := b.reasons.Next(); warns {
		return b.warnings[reason].Front()
	}
	return b.others.Front()
}

// least is the event that is missed least. There is one.
func (b *box) least() *list.Element {
	if oldest := b.others.Front(); oldest != nil {
		return oldest
	}
	var most *list.List
	for _, of := range b.warnings {
		if most == nil || of.Len() > most.Len() {
			most = of
		}
	}
	return most.Front()
}

// object is what an event is about.
type object struct{ namespace, uid string }

func (e Event) about() object { return object{e.Key.Namespace, e.UID} }

func newOutbox(most int, leftOut func(Event, Cause)) *outbox {
	return &outbox{
		most: most, leftOut: leftOut, news: make(chan struct{}, 1),
		boxes: map[string]*box{}, usual: map[object]*list.Element{},
	}
}

// put has an event wait. What it makes superfluous, and what there is no room for, is left out.
func (o *outbox) put(w waiting) {
	superfluous, excess := o.add(w)
	if superfluous != nil {
		o.leftOut(*superfluous, CauseSequel)
	}
	if excess != nil {
		o.leftOut(*excess, CauseFull)
	}
	select {
	case o.news <- struct{}{}:
	default: // it is known already
	}
}

func (o *outbox) add(w waiting) (superfluous, excess *Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before := o.usual[w.about()]; before != nil && before.Value.(waiting).step() < w.step() {
		superfluous = o.remove(before)
	}
	namespace := w.Key.Namespace
	in := o.boxes[namespace]
	if in == nil {
		in = &box{warnings: map[Reason]*list.List{}}
		o.boxes[namespace] = in
		o.turns.Join(namespace)
	}
	at := in.put(w)
	if w.step() > 0 {
		o.usual[w.about()] = at
	}
	if o.number++; o.number > o.most {
		excess = o.makeRoom()
	}
	return superfluous, excess
}

// makeRoom takes out an event of the namespace with the most.
func (o *outbox) makeRoom() *Event {
	var most *box
	for _, b := range o.boxes {
		if most == nil || b.number > most.number {
			most = b
		}
	}
	return o.remove(most.least())
}

// next takes out the event whose turn it is; false if there is none.
func (o *outbox) next() (waiting, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	namespace, ok := o.turns.Next()
	if !ok {
		return waiting{}, false
	}
	at := o.boxes[namespace].next()
	w := at.Value.(waiting)
	o.remove(at)
	return w, true
}

func (o *outbox) remove(at *list.Element) *Event {
	e := at.Value.(waiting).Event
	in := o.boxes[e.Key.Namespace]
	in.remove(at)
	o.number--
	if in.number == 0 {
		delete(o.boxes, e.Key.Namespace)
		o.turns.Leave(e.Key.Namespace)
	}
	if o.usual[e.about()] == at {
		delete(o.usual, e.about())
	}
	return &e
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.number
}
