package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	shipped "github.com/pac-lease-queue/pac-lease-queue/addon/replica"
)

// pass is one reconcile of one queue by one replica.
type pass struct {
	replica *replica
	process int // of the replica's processes, which
	key     queue.Key
	began   time.Time

	// What the pass has seen, for the judge.
	limit        queue.Limit // of the Repository
	sawRuns      int         // how much of the history of runs
	listedAfresh bool        // it may be about to create a slot

	// strands are what it does at a time, of which the first one is the pass itself.
	strands []*strand
	outcome shipped.Outcome
	err     error
	// early are the claims that a mutant takes for made before they are answered.
	early []*earlyClaim
}

// strand is one of the things that a pass does at a time. It runs as a coroutine that stops at
// every request until the scheduler has decided what becomes of it.
type strand struct {
	pass    *pass
	code    *coroutine // nil once it has returned
	request *request   // what it waits for
	answer  error
	until   func() bool // when it goes on, if it waits for other strands
}

// request is one call of the API server.
type request struct {
	pass     *pass
	verb     string
	kind     kind
	name     string
	limit    queue.Limit // that the pass had seen
	sawRuns  int
	apply    func() error
	answered bool // the answer is on its way
	answer   error
	due      time.Time // if it is under way though no pass waits for it
}

func (q *request) writes() bool { return q.verb != "get" && q.verb != "list" }

func (q *request) String() string {
	return fmt.Sprintf("%s: %s %s %s", q.pass.replica.name, q.verb, q.kind, q.name)
}

// begin starts a pass and runs it up to its first request.
func (r *replica) begin(key queue.Key) {
	p := &pass{replica: r, process: r.process, key: key, began: r.cluster.now}
	r.passes = append(r.passes, p)
	r.cluster.trace("%s looks at %s", r.name, key.Repository)
	p.begin(func() { p.outcome, p.err = r.product.Work(r.cluster.context, key) })
}

// begin starts a strand and runs it up to its first request.
func (p *pass) begin(code func()) {
	s := &strand{pass: p, code: coroutineOf(code)}
	p.strands = append(p.strands, s)
	s.resume(nil)
}

// waiting lists the strands that wait for an answer. There is always one.
func (p *pass) waiting() []*strand {
	var waiting []*strand
	for _, s := range p.strands {
		if s.request != nil {
			waiting = append(waiting, s)
		}
	}
	return waiting
}

// resume gives the strand its answer and runs it up to its next request. The strands that have
// waited for its end go on after it.
func (s *strand) resume(answer error) {
	p, c := s.pass, s.pass.replica.cluster
	s.answer, s.request, s.until = answer, nil, nil
	was := c.running
	c.running = s
	q, more := s.code.resume()
	c.running = was
	if s.request = q; more {
		return
	}
	s.code = nil
	p.strands = slices.DeleteFunc(p.strands, func(o *strand) bool { return o == s })
	if len(p.strands) == 0 {
		p.replica.finished(p)
	}
	for _, o := range slices.Clone(p.strands) {
		if o.until != nil && o.until() {
			o.resume(nil)
		}
	}
}

// await has the running strand wait for others of its pass.
func (s *strand) await(condition func() bool) {
	for !condition() {
		s.until = condition
		s.code.wait(nil)
	}
}

// end ends the pass where it stands.
func (p *pass) end() {
	for _, s := range p.strands {
		s.code.unwind()
	}
	p.strands = nil
}

// group is an engine.Group: what it runs are further strands of the pass.
type group struct {
	cluster       *Cluster
	running, most int
}

func (g *group) Go(f func()) {
	s := g.cluster.running
	s.await(func() bool { return g.running < g.most })
	g.running++
	s.pass.begin(func() {
		f()
		g.running--
	})
}

func (g *group) Wait() { g.cluster.running.await(func() bool { return g.running == 0 }) }

// call sends a request from within a pass and waits for what becomes of it.
func call[T any](r *replica, verb string, k kind, namespace, name string, apply func(*server, *request) (T, error)) (T, error) {
	s := r.cluster.running
	p := s.pass
	q := &request{pass: p, verb: verb, kind: k, name: namespace + "/" + name, limit: p.limit, sawRuns: p.sawRuns}
	var answer, none T
	q.apply = func() (err error) {
		answer, err = apply(r.cluster.server, q)
		return err
	}
	s.code.wait(q)
	if s.answer != nil {
		return none, s.answer
	}
	return answer, nil
}
