package event

import (
	"container/list"
	"context"
	"slices"
	"sync"
)

// mostWaiting bounds how many events wait to be written.
const mostWaiting = 8192

// sequels are the reasons of the events that say all that an earlier event of the same run said. An
// earlier one that still waits to be written is left out. No other event is.
var sequels = map[Reason][]Reason{
	ReasonSlotAcquired: {ReasonQueued},
	ReasonStarted:      {ReasonQueued, ReasonSlotAcquired},
	ReasonPassed:       {ReasonQueued, ReasonSlotAcquired},
}

// Budget is how many texts may be written.
type Budget interface {
	// Wait returns when one may be written, or with an error when the context ends.
	Wait(context.Context) error
}

// Outbox holds events back until the budget allows to write them. It is a Sink, and safe for
// concurrent use.
//
// Namespaces take turns. If there are too many events, one of the namespace with the most of them
// is dropped: its oldest Normal event or, if it has none, its oldest Warning.
type Outbox struct {
	to      Sink
	budget  Budget
	dropped func(Event)

	mu     sync.Mutex
	spaces map[string]*space
	turns  []string // the namespaces of spaces
	count  int
	filled chan struct{} // of length one: something was put into an empty outbox
}

// space has the events of one namespace.
type space struct {
	events list.List // of Event, oldest first
	// open are those that a sequel replaces, by the UID of their run.
	open map[string]*list.Element
}

// NewOutbox returns an Outbox that writes to a sink. It is told of what is dropped.
func NewOutbox(to Sink, budget Budget, dropped func(Event)) *Outbox {
	return &Outbox{to: to, budget: budget, dropped: dropped, spaces: map[string]*space{}, filled: make(chan struct{}, 1)}
}

// Record implements Sink.
func (o *Outbox) Record(e Event) {
	if dropped, full := o.put(e); full {
		o.dropped(dropped)
	}
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// Run writes until the context ends.
func (o *Outbox) Run(ctx context.Context) {
	for {
		for o.waits() {
			if o.budget.Wait(ctx) != nil {
				return
			}
			if e, ok := o.take(); ok {
				o.to.Record(e)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-o.filled:
		}
	}
}

func (o *Outbox) waits() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count > 0
}

func (o *Outbox) put(e Event) (dropped Event, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	namespace := e.Key.Namespace
	s := o.spaces[namespace]
	if s == nil {
		s = &space{open: map[string]*list.Element{}}
		o.spaces[namespace] = s
		o.turns = append(o.turns, namespace)
	}
	if was := s.open[e.UID]; was != nil && slices.Contains(sequels[e.Reason], was.Value.(Event).Reason) {
		was.Value = e
		s.keepOpen(was)
		return Event{}, false
	}
	s.keepOpen(s.events.PushBack(e))
	if o.count++; o.count <= mostWaiting {
		return Event{}, false
	}
	return o.drop(), true
}

// keepOpen remembers an event that a sequel may replace.
func (s *space) keepOpen(at *list.Element) {
	e := at.Value.(Event)
	if e.Reason == ReasonQueued || e.Reason == ReasonSlotAcquired {
		s.open[e.UID] = at
	} else if s.open[e.UID] == at {
		delete(s.open, e.UID)
	}
}

func (o *Outbox) drop() Event {
	largest := ""
	for namespace, s := range o.spaces {
		if most := o.spaces[largest]; most == nil || s.events.Len() > most.events.Len() {
			largest = namespace
		}
	}
	s := o.spaces[largest]
	oldest := s.events.Front()
	for at := oldest; at != nil; at = at.Next() {
		if !at.Value.(Event).Warning {
			oldest = at
			break
		}
	}
	return o.remove(largest, oldest)
}

// take takes the oldest event of the namespace whose turn it is.
func (o *Outbox) take() (Event, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.turns) == 0 {
		return Event{}, false
	}
	namespace := o.turns[0]
	o.turns = append(o.turns[1:], namespace)
	return o.remove(namespace, o.spaces[namespace].events.Front()), true
}

func (o *Outbox) remove(namespace string, at *list.Element) Event {
	s := o.spaces[namespace]
	e := s.events.Remove(at).(Event)
	if s.open[e.UID] == at {
		delete(s.open, e.UID)
	}
	if o.count--; s.events.Len() == 0 {
		delete(o.spaces, namespace)
		o.turns = slices.DeleteFunc(o.turns, func(n string) bool { return n == namespace })
	}
	return e
}
