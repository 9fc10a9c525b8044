package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/history"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// mostProblems is how many problems of a queue a page names.
const mostProblems = 10

// Queue is the page of one queue. number is the page of its line, from 1.
func Queue(q inspect.Queue, points []history.Point, number int, notes []string) (Page, error) {
	key := q.Key()
	query := ""
	if number > 1 {
		query = "?page=" + strconv.Itoa(number)
	}
	all, err := parts(
		func() (Part, error) { return part("now", "now.html", nowOf(q)) },
		func() (Part, error) { return part("slots", "slots.html", slotsOf(q)) },
		func() (Part, error) { return part("line", "line.html", lineOf(q, number)) },
		func() (Part, error) { return part("charts", "charts.html", chartsOf(points)) },
		func() (Part, error) { return part("over", "over.html", overOf(q)) },
	)
	return Page{
		Title: key.Repository, Now: q.Now, Trail: []Link{{"Queues", "/"}, {key.Namespace, "/?q=" + key.Namespace + "%2F"}},
		Live: "/-/live" + Path(key) + query, Notes: notes, Parts: all,
	}, err
}

type now struct {
	Totals   []total
	Paused   bool
	PausedBy string
	Missing  bool
	Queue    string
	Problems []string
	More     int
}

func nowOf(q inspect.Queue) now {
	r := RowOf(q)
	limit := "no limit"
	if q.Limit != queue.Unlimited {
		limit = fmt.Sprintf("of %d running", q.Limit)
	}
	n := now{
		Totals: []total{{strconv.Itoa(r.InUse), limit, "running"}, {strconv.Itoa(r.Waiting), "waiting", "waiting"}},
		Paused: r.Paused, PausedBy: r.PausedBy, Missing: r.Missing, Queue: r.Key.Repository,
	}
	if q.Of > 0 {
		n.Totals = append(n.Totals, total{report.Round(q.Typical), "a typical run", "typical"})
	}
	n.Problems = q.Troubles()
	if len(n.Problems) > mostProblems {
		n.Problems, n.More = n.Problems[:mostProblems], len(n.Problems)-mostProblems
	}
	return n
}

// slot is a unit of the limit, or a run that is started without one.
type slot struct {
	Index     int // queue.NoSlot for none
	Namespace string
	Run       string // empty for a free one
	State     string
	Since     moment
	Problem   string
}

// mostSlots is how many slots a page shows.
const mostSlots = 60

type slots struct {
	All  []slot
	More int
}

func slotsOf(q inspect.Queue) slots {
	var all []slot
	taken := map[string]bool{} // by UID
	for _, s := range q.Snapshot.Slots {
		is := slot{Index: s.Index, Namespace: q.Key().Namespace, State: "free"}
		switch {
		case s.Damaged != "":
			is.State, is.Problem = "unusable", s.Damaged
		case s.Holder != nil:
			is.Run, is.State = s.Holder.Name, "ending"
			if standing, stands := q.Standing(s.Holder.Name); stands && standing.Run.UID == s.Holder.UID {
				taken[s.Holder.UID] = true
				is.State, is.Since = string(standing.State()), moment{standing.Run.Began, q.Now}
			}
		}
		if s.Index < int(q.Limit) || s.Holder != nil || s.Damaged != "" {
			all = append(all, is)
		}
	}
	for index := range min(int(q.Limit), mostSlots) { // those that were never used
		if !slices.ContainsFunc(q.Snapshot.Slots, func(s queue.Slot) bool { return s.Index == index }) {
			all = append(all, slot{Index: index, State: "free"})
		}
	}
	slices.SortStableFunc(all, func(a, b slot) int { return cmp.Compare(a.Index, b.Index) })
	for _, is := range q.Runs {
		if is.State() == queue.StateStarted && !taken[is.Run.UID] {
			all = append(all, slot{
				Index: queue.NoSlot, Namespace: q.Key().Namespace, Run: is.Run.Name, State: string(queue.StateStarted),
				Since: moment{is.Run.Began, q.Now},
			})
		}
	}
	s := slots{All: all}
	if len(all) > mostSlots {
		s.All, s.More = all[:mostSlots], len(all)-mostSlots
	}
	return s
}

type line struct {
	Rows  []place
	Pages pages
}

// place is that of a run in the line.
type place struct {
	Position  int
	Namespace string
	Run       string
	Came      moment
	Starts    moment
	Why       queue.Why
	Priority  string
}

func placeOf(q inspect.Queue, is queue.Standing) place {
	p := place{
		Position: is.Position, Namespace: q.Key().Namespace, Run: is.Run.Name, Why: is.Why,
		Came: moment{is.Run.Created, q.Now}, Starts: moment{q.Turns[is.Run.UID], q.Now},
	}
	if is.Run.Priority != (queue.Priority{}) {
		p.Priority = is.Run.Priority.String()
	}
	return p
}

// Number is the page of a queue's line that is shown if one is asked for.
func Number(q inspect.Queue, number int) int { return pageOf(len(waitingIn(q)), number) }

func waitingIn(q inspect.Queue) []queue.Standing {
	var waiting []queue.Standing
	for _, is := range q.Runs {
		if state := is.State(); state == queue.StateQueued || state == queue.StateClaimed && is.Why != queue.Due {
			waiting = append(waiting, is)
		}
	}
	return waiting
}

func lineOf(q inspect.Queue, page int) line {
	waiting := waitingIn(q)
	l := line{Pages: pagesOf(len(waiting), page, func(n int) string { return Path(q.Key()) + "?page=" + strconv.Itoa(n) })}
	for _, is := range waiting[l.Pages.from:l.Pages.to] {
		l.Rows = append(l.Rows, placeOf(q, is))
	}
	return l
}

// end is how a run ended.
type end struct {
	Namespace string
	Run       string
	Outcome   report.Outcome
	Good      bool
	Ended     moment
	Waited    string
	Ran       string
}

func overOf(q inspect.Queue) []end {
	var all []end
	for _, d := range slices.Backward(q.Done) {
		all = append(all, endOf(q.Key().Namespace, d, q.Now))
	}
	return all
}

func endOf(namespace string, d inspect.Done, now time.Time) end {
	e := end{
		Namespace: namespace, Run: d.Name, Outcome: d.Outcome, Good: d.Outcome == report.Succeeded, Ended: moment{d.Ended, now},
		Waited: "–", Ran: "–",
	}
	if !d.Began.IsZero() {
		e.Waited = report.Round(d.Began.Sub(d.Created))
		if !d.Ended.IsZero() {
			e.Ran = report.Round(d.Ended.Sub(d.Began))
		}
	}
	return e
}
