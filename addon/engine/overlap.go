package engine

import "sync"

// Group runs the starts of one pass while the pass goes on. Its methods are called by the pass
// alone.
type Group interface {
	// Go has the function run at the same time as its caller. It first waits for another function
	// of the group to return if as many run as may.
	Go(func())
	// Wait returns when every function has returned. More may follow.
	Wait()
}

// goroutines is the Group of a replica that ships.
type goroutines struct {
	all  sync.WaitGroup
	room chan struct{} // as many as may run
}

func newGoroutines(most int) Group { return &goroutines{room: make(chan struct{}, max(1, most))} }

func (g *goroutines) Go(f func()) {
	g.room <- struct{}{}
	g.all.Go(func() {
		defer func() { <-g.room }()
		f()
	})
}

func (g *goroutines) Wait() { g.all.Wait() }
