package paged

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Gate bounds what is in memory of all lists that share it: so many large pages, and so many light
// reads. Beside light reads, it lets in one reader of a namespace at a time, so that a tenant with
// many long lists keeps its own waiting and not those of the others. A nil Gate lets in everybody.
type Gate struct {
	room         *semaphore.Weighted // in objects
	heavy, light chan struct{}

	mu    sync.Mutex
	turns map[string]*turn
}

// turn is whose turn it is in a namespace.
type turn struct {
	taken, light chan struct{}
	users        int // that have a place or wait for one
}

// NewGate returns a gate for so many large pages.
func NewGate(pages int) *Gate {
	return &Gate{
		room: semaphore.NewWeighted(int64(pages * large)), heavy: make(chan struct{}, pages*heavyLists),
		light: make(chan struct{}, lightReaders), turns: map[string]*turn{},
	}
}

// enter waits until a page of so many objects may be read, and returns what to call afterwards.
func (g *Gate) enter(ctx context.Context, namespace string, isHeavy bool, objects int) (leave func(), err error) {
	if g == nil {
		return func() {}, ctx.Err()
	}
	t := g.turn(namespace)
	places := []chan struct{}{t.taken}
	if isHeavy {
		places = append(places, g.heavy)
	}
	goAway, err := g.take(ctx, namespace, t, places)
	if err != nil {
		return nil, err
	}
	if err := g.room.Acquire(ctx, int64(objects)); err != nil {
		goAway()
		return nil, err
	}
	return func() { g.room.Release(int64(objects)); goAway() }, nil
}

// enterLightly waits until a light read may begin, and returns what to call afterwards.
func (g *Gate) enterLightly(ctx context.Context, namespace string) (leave func(), err error) {
	t := g.turn(namespace)
	return g.take(ctx, namespace, t, []chan struct{}{t.light, g.light})
}

// take takes a place of each kind, in their order.
func (g *Gate) take(ctx context.Context, namespace string, t *turn, places []chan struct{}) (leave func(), err error) {
	taken := 0
	leave = func() {
		for _, place := range slices.Backward(places[:taken]) {
			<-place
		}
		g.leave(namespace, t)
	}
	for _, place := range places {
		select {
		case place <- struct{}{}:
			taken++
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			leave()
			return nil, ctx.Err()
		}
	}
	return leave, nil
}

func (g *Gate) turn(namespace string) *turn {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.turns[namespace]
	if t == nil {
		t = &turn{taken: make(chan struct{}, 1), light: make(chan struct{}, lightReaders/2)}
		g.turns[namespace] = t
	}
	t.users++
	return t
}

func (g *Gate) leave(namespace string, t *turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(g.turns, namespace)
	}
}
