package simulation

import (
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	shipped "github.com/pac-lease-queue/pac-lease-queue/addon/replica"
)

// pass is one reconcile of one queue by one replica. It runs as a coroutine that
// stops at every request until the scheduler has decided what becomes of it.
type pass struct {
	replica *replica
	process int // of the replica's processes, which
	key     queue.Key
	began   time.Time

	// What the pass has seen, for the judge.
	limit        queue.Limit // of the Repository
	sawRuns      int         // how much of the history of runs
	listedAfresh bool        // it may be about to create a slot

	request *request // what it waits for
	answer  error
	code    *coroutine // nil once it has returned

	outcome shipped.Outcome
	err     error
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
	p.code = coroutineOf(func() { p.outcome, p.err = r.product.Work(r.cluster.context, key) })
	p.resume(nil)
}

// resume gives the pass its answer and runs it up to its next request.
func (p *pass) resume(answer error) {
	p.answer, p.request = answer, nil
	c := p.replica.cluster
	c.running = p
	q, more := p.code.resume()
	c.running = nil
	if !more {
		p.code = nil
		p.replica.finished(p)
		return
	}
	p.request = q
}

// end ends the pass where it stands.
func (p *pass) end() {
	if p.code != nil {
		p.code.unwind()
		p.code = nil
	}
}

// call sends a request from within a pass and waits for what becomes of it.
func call[T any](r *replica, verb string, k kind, namespace, name string, apply func(*server, *request) (T, error)) (T, error) {
	p := r.cluster.running
	q := &request{pass: p, verb: verb, kind: k, name: namespace + "/" + name, limit: p.limit, sawRuns: p.sawRuns}
	var answer, none T
	q.apply = func() (err error) {
		answer, err = apply(r.cluster.server, q)
		return err
	}
	p.code.wait(q)
	if p.answer != nil {
		return none, p.answer
	}
	return answer, nil
}
