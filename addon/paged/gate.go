package paged

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Gate bounds what is in memory of all lists that share it: so many large pages. It lets in one
// reader of a namespace at a time, so that a tenant with many long lists keeps its own waiting and
// not those of the others. A nil Gate lets in everybody.
type Gate struct {
	objects *semaphore.Weighted

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
	return &Gate{objects: semaphore.NewWeighted(int64(pages * large)), turns: map[string]*turn{}}
}

// enter waits until a page of so many objects may be read, and returns what to call afterwards.
func (g *Gate) enter(ctx context.Context, namespace string, objects int) (leave func(), err error) {
	if g == nil {
		return func() {}, ctx.Err()
	}
	t := g.turn(namespace)
	select {
	case t.taken <- struct{}{}:
	case <-ctx.Done():
		g.leave(namespace, t)
		return nil, ctx.Err()
	}
	if err := g.objects.Acquire(ctx, int64(objects)); err != nil {
		<-t.taken
		g.leave(namespace, t)
		return nil, err
	}
	return func() {
		g.objects.Release(int64(objects))
		<-t.taken
		g.leave(namespace, t)
	}, nil
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
