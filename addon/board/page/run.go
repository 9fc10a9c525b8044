package page

import (
	"fmt"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// mostAhead is how many of the runs that go first a page names.
const mostAhead = 25

// Run is the page of a run that is not done.
func Run(q inspect.Queue, is queue.Standing, console string, notes []string) (Page, error) {
	all, err := parts(
		func() (Part, error) { return part("place", "place.html", standOf(q, is, console)) },
		func() (Part, error) { return part("ahead", "ahead.html", aheadOf(q, is)) },
	)
	p := ofRun(q, is.Run.Name, notes)
	p.Parts = all
	return p, err
}

// Ended is the page of a run that is done.
func Ended(q inspect.Queue, d inspect.Done, console string, notes []string) (Page, error) {
	all, err := parts(
		func() (Part, error) {
			return part("place", "ended.html", map[string]any{"End": endOf(q.Key().Namespace, d, q.Now), "Console": console})
		},
		func() (Part, error) { return part("ahead", "ahead.html", ahead{}) }, // it has left the line
	)
	p := ofRun(q, d.Name, notes)
	p.Parts = all
	return p, err
}

func ofRun(q inspect.Queue, name string, notes []string) Page {
	key := q.Key()
	return Page{
		Title: name, Now: q.Now, Live: "/-/live" + RunPath(key.Namespace, name), Notes: notes,
		Trail: []Link{{"Queues", "/"}, {key.Namespace, "/?q=" + key.Namespace + "%2F"}, {key.Repository, Path(key)}},
	}
}

// Message is a page that says why there is nothing else.
func Message(title, text string, links ...Link) (Page, error) {
	all, err := parts(func() (Part, error) {
		return part("message", "message.html", map[string]any{"Text": text, "Links": links})
	})
	return Page{Title: title, Trail: []Link{{"Queues", "/"}}, Parts: all}, err
}

type stand struct {
	// Headline is the place in a few words, and Why a sentence.
	Headline, Why string
	State         queue.State
	Came, Starts  moment
	// By says what the estimate goes by.
	By       string
	Priority string
	Problems []string
	Console  string
}

func standOf(q inspect.Queue, is queue.Standing, console string) stand {
	s := stand{
		Why: q.Why(is, report.At(q.Now)), State: is.State(), Came: moment{is.Run.Created, q.Now},
		Starts: moment{q.Turns[is.Run.UID], q.Now}, Problems: is.Run.Problems, Console: console,
	}
	if is.Run.Priority != (queue.Priority{}) {
		s.Priority = is.Run.Priority.String()
	}
	if q.Of > 0 && !s.Starts.At.IsZero() {
		s.By = fmt.Sprintf("a typical run takes %s: the median of the last %d", report.Round(q.Typical), q.Of)
	}
	switch {
	case is.Position > 0:
		s.Headline = fmt.Sprintf("Position %d of %d", is.Position, q.Waiting)
	case s.State == queue.StateStarted:
		s.Headline = "Started"
	case is.Why == queue.Due:
		s.Headline = "Next to start"
	default:
		s.Headline = "Waiting"
	}
	return s
}

type ahead struct {
	Running []slot
	Before  []place
	Skipped int // of those before, the first that are not named
	Own     place
	Behind  int
	Waits   bool
}

// aheadOf is what a run waits for: the runs that are running, and those before it.
func aheadOf(q inspect.Queue, is queue.Standing) ahead {
	a := ahead{Own: placeOf(q, is), Waits: is.Position > 0, Behind: q.Waiting - is.Position}
	if !a.Waits {
		return a
	}
	for _, s := range slotsOf(q).All {
		if s.Run != "" && len(a.Running) < mostAhead {
			a.Running = append(a.Running, s)
		}
	}
	for _, other := range q.Runs {
		if other.Position > 0 && other.Position < is.Position {
			a.Before = append(a.Before, placeOf(q, other))
		}
	}
	if n := len(a.Before) - mostAhead; n > 0 {
		a.Before, a.Skipped = a.Before[n:], n
	}
	return a
}
