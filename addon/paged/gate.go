package paged

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Gate bounds what is in memory of all lists that share it: so many large pages. It lets in one
// reader of a namespace at a time, so that a tenant with many long lists keeps its own waiting and
// not those of the others. A nil Gate lets in everybody.
type Gate struct {
	room  *semaphore.Weighted // in objects
	heavy chan struct{}

	mu    sync.Mutex
	turns map[string]*turn
}

// turn is whose turn it is in a namespace.
type turn struct {
	taken chan struct{}
	users int // that have it or wait for it
}

// NewGate returns a gate for so many large pages.
func NewGate(pages int) *Gate {
	return &Gate{
		room: semaphore.NewWeighted(int64(pages * large)), heavy: make(chan struct{}, pages*heavyLists), turns: map[string]*turn{},
	}
}

// enter waits until a page of so many objects may be read, and returns what to call afterwards.
func (g *Gate) enter(ctx context.Context, namespace string, isHeavy bool, objects int) (leave func(), err error) {
	if g == nil {
		return func() {}, ctx.Err()
	}
	var left []func()
	leave = func() {
		for _, do := range slices.Backward(left) {
			do()
		}
	}
	t := g.turn(namespace)
	left = append(left, func() { g.leave(namespace, t) })
	places := []chan struct{}{t.taken}
	if isHeavy {
		places = append(places, g.heavy)
	}
	for _, place := range places {
		select {
		case place <- struct{}{}:
			left = append(left, func() { <-place })
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		}
	}
	if err := g.room.Acquire(ctx, int64(objects)); err != nil {
		leave()
		return nil, err
	}
	left = append(left, func() { g.room.Release(int64(objects)) })
	return leave, nil
}

func (g *Gate) turn(namespace string) *turn {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.turns[namespace]
	if t == nil {
		t = &turn{taken: make(chan struct{}, 1)}
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
