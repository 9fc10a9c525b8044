package simulation

import (
	"iter"
	"sync"
)

// coroutine runs functions of the product, one after the other. Each stops at every request.
//
// Coroutines are reused because the race detector of Go 1.26 keeps 5 KB of each one that has ended:
// a few thousand seeds, each with hundreds of passes, would need more memory than a machine has.
type coroutine struct {
	next  func() (*request, bool)
	yield func(*request) bool

	code    func()
	through bool // the code has returned
	unwinds bool // the code must end where it stands
}

// idle are the coroutines, of all seeds, that run nothing.
var idle struct {
	sync.Mutex
	coroutines []*coroutine
}

// coroutineOf returns a coroutine that is about to run the code.
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

// run runs the code, which may unwind.
func (c *coroutine) run() {
	defer func() {
		if thrown := recover(); thrown != nil && thrown != (unwound{}) {
			panic(thrown)
		}
	}()
	c.code()
}

// unwound is the panic that ends the code of a crashed replica.
type unwound struct{}

// resume runs the code up to its next request. More is false once the code has returned; the
// coroutine is then free for other code.
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

// wait hands the request to the scheduler and returns when the code is resumed. The code calls it.
func (c *coroutine) wait(q *request) {
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
