package board

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

const (
	// least is the time between two rounds in which pages are brought up to date. A round that
	// takes long is followed by a longer pause, up to most, so that rendering takes a fifth of one
	// core.
	least, share, most = 400 * time.Millisecond, 4, 5 * time.Second
	// again is how long a page stays as it is if nothing changes: its estimates grow old.
	again = 10 * time.Second
	// variants is how many different pages may be open that show something of all queues, with
	// their filters, orders and rights: each is large, and changes with every queue.
	variants = 300
)

// content is what a page says at one moment.
type content struct {
	parts []page.Part
	// to is where readers are sent instead; empty if they stay.
	to string
	// gone says that there is nothing to show any more: readers load the page again and are told.
	gone bool
}

// edition is a content as readers are told of it, made once for all of them.
type edition struct {
	number int
	content
	// since is what has changed since the edition before, as a stream says it.
	since string
	whole func() string
}

func newEdition(is content, before *edition) *edition {
	e := &edition{content: is, whole: sync.OnceValue(func() string { return eventOf(content{}, is) })}
	e.number = 1
	if before != nil {
		e.number, e.since = before.number+1, eventOf(before.content, is)
	}
	return e
}

// after is the event for a reader who has seen the edition of that number last; 0 for none.
func (e *edition) after(number int) string {
	if number != 0 && number == e.number-1 {
		return e.since
	}
	return e.whole()
}

// source makes the content of a page. It is called by one goroutine at a time.
type source func() (content, error)

// topic is one page that readers have open. All but its source is the hub's.
type topic struct {
	name   string
	of     queue.Key // of which it shows something; the zero key stands for all
	opener string    // whose it is
	source source

	readers map[*subscription]bool
	stale   bool
	made    time.Time
	last    *edition // nil before the first
}

// subscription is one reader of a topic. Of what it has not taken yet, it has the latest.
type subscription struct {
	topic *topic
	news  chan *edition // of one
}

// hub brings open pages up to date. It is safe for concurrent use.
type hub struct {
	clock clock.Clock
	woken chan struct{}

	mu      sync.Mutex
	closed  bool
	topics  map[string]*topic
	byQueue map[queue.Key]map[*topic]bool
	lists   *shares // of the topics that show something of all queues
}

func newHub(c clock.Clock) *hub {
	return &hub{
		clock: c, woken: make(chan struct{}, 1), topics: map[string]*topic{}, byQueue: map[queue.Key]map[*topic]bool{},
		lists: newShares(variants),
	}
}

// subscribe has a reader told of a topic, beginning with what it says now. The first one's address
// pays for the topic.
func (h *hub) subscribe(name string, of queue.Key, address string, source source) (*subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errStopping
	}
	t := h.topics[name]
	if t == nil {
		if of == (queue.Key{}) && !h.lists.take(address) {
			return nil, errTooMany
		}
		t = &topic{name: name, of: of, opener: address, source: source, readers: map[*subscription]bool{}, stale: true}
		h.topics[name] = t
		if h.byQueue[of] == nil {
			h.byQueue[of] = map[*topic]bool{}
		}
		h.byQueue[of][t] = true
	}
	s := &subscription{topic: t, news: make(chan *edition, 1)}
	t.readers[s] = true
	if t.last == nil {
		h.wake()
	} else {
		s.news <- t.last
	}
	return s, nil
}

// unsubscribe ends a subscription.
func (h *hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := s.topic
	if delete(t.readers, s); len(t.readers) > 0 || h.topics[t.name] != t {
		return
	}
	delete(h.topics, t.name)
	if t.of == (queue.Key{}) {
		h.lists.give(t.opener)
	}
	if delete(h.byQueue[t.of], t); len(h.byQueue[t.of]) == 0 {
		delete(h.byQueue, t.of)
	}
}

func (h *hub) wake() {
	select {
	case h.woken <- struct{}{}:
	default: // it is known already
	}
}

// changed marks the pages that show something of a queue.
func (h *hub) changed(key queue.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	marked := false
	for _, of := range []queue.Key{key, {}} {
		for t := range h.byQueue[of] {
			t.stale, marked = true, true
		}
	}
	if marked {
		h.wake()
	}
}

func (h *hub) allChanged() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		t.stale = true
	}
	h.wake()
}

// run makes what has changed, round by round, until the context ends. Then it ends all
// subscriptions.
func (h *hub) run(ctx context.Context) {
	defer h.close()
	for {
		began := h.clock.Now()
		for _, t := range h.due(began) {
			if ctx.Err() != nil {
				return
			}
			h.bring(t)
		}
		pause := min(max(least, share*h.clock.Since(began)), most)
		select {
		case <-ctx.Done():
			return
		case <-h.clock.After(pause):
		}
		select {
		case <-ctx.Done():
			return
		case <-h.woken:
		case <-h.clock.After(again - pause):
		}
	}
}

// due are the topics that have changed, or were made too long ago.
func (h *hub) due(now time.Time) []*topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	var due []*topic
	for _, t := range h.topics {
		if t.stale || now.Sub(t.made) >= again {
			t.stale = false
			due = append(due, t)
		}
	}
	return due
}

// bring makes a topic anew, and tells its readers.
func (h *hub) bring(t *topic) {
	now := h.clock.Now()
	is, err := t.source()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		t.stale = true // the next round tries again
		return
	}
	t.made = now
	if t.last != nil && eventOf(t.last.content, is) == "" {
		return
	}
	t.last = newEdition(is, t.last)
	for s := range t.readers {
		select {
		case <-s.news: // what it has not taken is old
		default:
		}
		s.news <- t.last
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, t := range h.topics {
		for s := range t.readers {
			close(s.news)
			delete(t.readers, s)
		}
	}
}
