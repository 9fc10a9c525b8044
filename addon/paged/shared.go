package paged

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Shared lets many who each want a list of one namespace at about the same time have one together.
// It is safe for concurrent use.
//
// Guaranteed: nobody is given a list that had begun before they asked, so that it proves to each
// what a list of their own would; of each namespace, one list is under way at a time, however many
// ask and however slow the API server is. Not guaranteed: that nobody waits for a list of others.
type Shared[R any] struct {
	// Read lists for some names. Whoever asked for them shares the result.
	Read func(ctx context.Context, namespace string, names []string) (R, error)
	// Most is how many names one list is for.
	Most int
	// Timeout bounds one list. It outlives those who asked for it.
	Timeout time.Duration
	// Alone has everybody list for themselves.
	Alone bool

	mu    sync.Mutex
	lines map[string][]*round[R] // by namespace, as long as somebody works on it
}

// round is one list, and who waits for it.
type round[R any] struct {
	names  []string
	asked  map[string]int // by name: how many wait
	begun  bool
	done   chan struct{}
	result R
	err    error
}

// List returns a list that has begun after the call, for the name among others.
func (s *Shared[R]) List(ctx context.Context, namespace, name string) (R, error) {
	if s.Alone {
		return s.Read(ctx, namespace, []string{name})
	}
	r := s.join(namespace, name)
	defer s.leave(r, name)
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		var none R
		return none, ctx.Err()
	}
}

// join finds a list that has not begun yet and has room for the name, or makes one.
func (s *Shared[R]) join(namespace, name string) *round[R] {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.lines[namespace]
	var r *round[R]
	for _, waiting := range line {
		if !waiting.begun && (waiting.asked[name] > 0 || len(waiting.names) < s.Most) {
			r = waiting
			break
		}
	}
	if r == nil {
		r = &round[R]{asked: map[string]int{}, done: make(chan struct{})}
		if s.lines == nil {
			s.lines = map[string][]*round[R]{}
		}
		_, works := s.lines[namespace]
		s.lines[namespace] = append(line, r)
		if !works {
			go s.work(namespace)
		}
	}
	if r.asked[name] == 0 {
		r.names = append(r.names, name)
	}
	r.asked[name]++
	return r
}

// leave takes a name off a list that has not begun, if nobody else wants it.
func (s *Shared[R]) leave(r *round[R], name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.asked[name]--; r.asked[name] > 0 || r.begun {
		return
	}
	delete(r.asked, name)
	r.names = slices.DeleteFunc(r.names, func(is string) bool { return is == name })
}

// work makes the lists of a namespace, one after the other, until nobody waits for one.
func (s *Shared[R]) work(namespace string) {
	for r := s.begin(namespace); r != nil; r = s.begin(namespace) {
		if len(r.names) > 0 {
			ctx, stop := context.WithTimeout(context.Background(), s.Timeout)
			r.result, r.err = s.Read(ctx, namespace, r.names)
			stop()
		}
		close(r.done)
		s.end(namespace)
	}
}

// begin begins the first list of the line; nil if there is none.
func (s *Shared[R]) begin(namespace string) *round[R] {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.lines[namespace]
	if len(line) == 0 {
		delete(s.lines, namespace)
		return nil
	}
	line[0].begun = true
	return line[0]
}

func (s *Shared[R]) end(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[namespace] = s.lines[namespace][1:]
}
