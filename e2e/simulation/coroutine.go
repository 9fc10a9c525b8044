package simulation

import (
	"iter"
	"sync"
)

// coroutine runs code of the product that stops at every request, one code after the other.
//
// It is used again because the race detector of Go 1.26 keeps 5 KB of every coroutine that has
// ended: a few thousand seeds, each with hundreds of passes, would need more memory than a machine
// has.
type coroutine struct {
	next  func() (*request, bool)
	yield func(*request) bool

	code    func()
	through bool // with the code
	unwinds bool // the code is to end where it stands
}

// idle are the coroutines, of all seeds, that run nothing.
var idle struct {
	sync.Mutex
	coroutines []*coroutine
}

// coroutineOf returns one that is about to run the code.
func coroutineOf(code func()) *coroutine {
	idle.Lock()
	defer idle.Unlock()
	var c *coroutine
	if last := len(idle.coroutines) - 1; last >= 0 {
		c, idle.coroutines = idle.coroutines[last], idle.coroutines[:last]
	} else {
		c = &coroutine{}
		c.next, _ = iter.Pull(func(yield func(*request) bool) {
			c.yield = yield
			for {
				c.run()
				c.through, c.unwinds = true, false
				yield(nil)
			}
		})
	}
	c.code, c.through = code, false
	return c
}

// run runs the code. That of a crashed replica ends with unwound.
func (c *coroutine) run() {
	defer func() {
		if thrown := recover(); thrown != nil && thrown != (unwound{}) {
			panic(thrown)
		}
	}()
	c.code()
}

// unwound is how code ends that nobody waits for any more.
type unwound struct{}

// resume runs the code up to its next request. More is false once it is through; then the coroutine
// is another one's.
func (c *coroutine) resume() (q *request, more bool) {
	q, _ = c.next()
	if !c.through {
		return q, true
	}
	c.code = nil
	idle.Lock()
	defer idle.Unlock()
	idle.coroutines = append(idle.coroutines, c)
	return nil, false
}

// stop is how the code waits, with a request or without.
func (c *coroutine) stop(q *request) {
	if !c.unwinds {
		c.yield(q)
	}
	if c.unwinds {
		panic(unwound{})
	}
}

// unwind ends the code where it stands.
func (c *coroutine) unwind() {
	c.unwinds = true
	c.resume()
}
