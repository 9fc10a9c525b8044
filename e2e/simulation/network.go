package simulation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// fate is what becomes of a request.
type fate int

const (
	arrives fate = iota
	// answersLate: others go on between the commit and its answer.
	answersLate
	// lost: the request never arrives.
	lost
	// unanswered: it is carried out, but the answer is lost.
	unanswered
	// stuck: it is carried out when the client has long given up.
	stuck
	// repeated: a proxy or the client's transport sent it twice, and the answer
	// is that to the second.
	repeated
)

// serve lets a request meet its fate.
func (c *Cluster) serve(s *strand) {
	q := s.request
	if q.answered {
		c.trace("  %s: the answer arrives", q)
		s.resume(q.answer)
		return
	}
	f := c.network[c.rnd.IntN(len(c.network))]
	if c.calm || s.pass.replica.perfect || !q.writes() && f == stuck {
		f = arrives
	}
	switch f {
	case arrives:
		s.resume(c.carryOut(q, ""))
	case answersLate:
		q.answer, q.answered = c.carryOut(q, ", answered later"), true
	case lost:
		err := c.failure(q)
		c.trace("  %s: lost (%v)", q, err)
		s.resume(err)
	case unanswered:
		c.carryOut(q, ", but the answer is lost")
		s.resume(c.unknown())
	case stuck:
		c.delay(q)
		s.resume(c.unknown())
	case repeated:
		c.carryOut(q, ", and comes again")
		s.resume(c.carryOut(q, ""))
	}
}

func (c *Cluster) carryOut(q *request, remark string) error {
	err := q.apply()
	c.trace("  %s: %s%s", q, outcome(err), remark)
	return err
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "done"
}

// delay has a request arrive later than anybody waits for it.
func (c *Cluster) delay(q *request) {
	q.due = c.now.Add(c.upTo(c.longest))
	c.inFlight = append(c.inFlight, q)
	c.trace("  %s: stuck until %.3fs", q, q.due.Sub(noon).Seconds())
}

// abandon decides what becomes of a request whose sender has died.
func (c *Cluster) abandon(q *request) {
	switch {
	case c.chance(50):
		c.trace("  %s: lost", q)
	case c.requestsDieWithTheirSender():
		c.carryOut(q, ", for a dead client")
	default:
		c.delay(q)
	}
}

// land carries out what arrives until then, each when it is due.
func (c *Cluster) land(then time.Time) {
	slices.SortStableFunc(c.inFlight, func(a, b *request) int { return a.due.Compare(b.due) })
	for len(c.inFlight) > 0 && !c.inFlight[0].due.After(then) {
		if due := c.inFlight[0].due; due.After(c.now) {
			c.now = due
		}
		c.landFirst()
	}
}

func (c *Cluster) landFirst() {
	q := c.inFlight[0]
	c.inFlight = c.inFlight[1:]
	c.carryOut(q, ", late")
}

// unknown is what a client sees that never got an answer.
func (c *Cluster) unknown() error {
	return [...]error{
		errors.New("read: connection reset by peer"),
		fmt.Errorf("put: %w", context.DeadlineExceeded),
		apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0),
		apierrors.NewInternalError(errors.New("etcdserver: request timed out")),
	}[c.rnd.IntN(4)]
}

// failure is what a client sees whose request did not come through: perhaps an
// answer that does not come from the API server.
func (c *Cluster) failure(q *request) error {
	if c.chance(20) {
		return apierrors.NewGenericServerResponse(http.StatusNotFound, q.verb, resources[q.kind], q.name, "404 page not found", 0, true)
	}
	if c.chance(20) {
		return apierrors.NewTooManyRequests("too many requests", 1)
	}
	return c.unknown()
}
