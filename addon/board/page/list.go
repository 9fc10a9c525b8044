package page

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// perPage is how many rows a page has at most.
const perPage = 100

// Row is a queue in the list.
type Row struct {
	Key queue.Key
	// Paused says that nothing starts, and PausedBy who wants that so.
	Paused   bool
	PausedBy string
	Missing  bool
	Limit    queue.Limit
	// InUse is how many runs occupy the limit, and Waiting how many wait.
	InUse, Waiting int
	// Oldest is when the run came that has waited for the longest time; zero if none waits.
	Oldest time.Time
	// Next is the run that is started next; empty if none waits.
	Next string
	// Problems is how many there are.
	Problems int
}

// RowOf sums a queue up.
func RowOf(q inspect.Queue) Row {
	r := Row{
		Key: q.Key(), Paused: q.Spec.Paused, PausedBy: q.Spec.PausedBy, Missing: q.Missing, Limit: q.Limit, Waiting: q.Waiting,
		Problems: len(q.Troubles()),
	}
	for _, is := range q.Runs {
		if is.Occupies() {
			r.InUse++
		}
		if is.Position == 0 {
			continue
		}
		if r.Next == "" {
			r.Next = is.Run.Name
		}
		if r.Oldest.IsZero() || is.Run.Created.Before(r.Oldest) {
			r.Oldest = is.Run.Created
		}
	}
	return r
}

// Query is what of the list is asked for.
type Query struct {
	// Text is part of the names of the queues.
	Text string
	Sort string
	Page int // from 1
}

// Orders of the list: the first is the default.
var orders = []string{"name", "waiting", "oldest"}

// mostText bounds what is searched for.
const mostText = 200

// ReadQuery reads a query. What it does not know it leaves out.
func ReadQuery(values url.Values) Query {
	q := Query{Text: values.Get("q"), Sort: values.Get("sort"), Page: 1}
	if len(q.Text) > mostText {
		q.Text = q.Text[:mostText]
	}
	q.Text = strings.ToValidUTF8(strings.TrimSpace(q.Text), "")
	if !slices.Contains(orders, q.Sort) {
		q.Sort = orders[0]
	}
	if n, err := strconv.Atoi(values.Get("page")); err == nil && n > 1 {
		q.Page = min(n, 1_000_000)
	}
	return q
}

// Encode is the query as a path has it; empty for the default.
func (q Query) Encode() string {
	values := url.Values{}
	if q.Text != "" {
		values.Set("q", q.Text)
	}
	if q.Sort != orders[0] {
		values.Set("sort", q.Sort)
	}
	if q.Page > 1 {
		values.Set("page", strconv.Itoa(q.Page))
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// Among returns the query as it selects among rows: of queries that show the same page, it is the
// same one.
func (q Query) Among(rows []Row) Query {
	q.Text = strings.ToLower(q.Text)
	selected := 0
	for _, r := range rows {
		if q.selects(r) {
			selected++
		}
	}
	q.Page = pageOf(selected, q.Page)
	return q
}

func (q Query) selects(r Row) bool {
	return q.Text == "" || strings.Contains(strings.ToLower(r.Key.String()), strings.ToLower(q.Text))
}

func (q Query) compare(a, b Row) int {
	byName := a.Key.Compare(b.Key)
	switch q.Sort {
	case "waiting":
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), byName)
	case "oldest":
		if a.Oldest.IsZero() != b.Oldest.IsZero() {
			return cmp.Compare(b.Oldest.Unix(), a.Oldest.Unix()) // a zero time is long ago
		}
		return cmp.Or(a.Oldest.Compare(b.Oldest), byName)
	default:
		return byName
	}
}

// Form is the filter of the list.
type Form struct {
	Query Query
	Sorts []Option
}

// Option is one of several, of which one is chosen.
type Option struct {
	Value, Text string
	Chosen      bool
}

// List is the page of all queues that the reader may see.
func List(rows []Row, query Query, notes []string, now time.Time) (Page, error) {
	var shown []Row
	queues, waiting, running, paused := len(rows), 0, 0, 0
	for _, r := range rows {
		waiting, running = waiting+r.Waiting, running+r.InUse
		if r.Paused {
			paused++
		}
		if query.selects(r) {
			shown = append(shown, r)
		}
	}
	slices.SortFunc(shown, query.compare)
	pages := pagesOf(len(shown), query.Page, func(n int) string {
		other := query
		other.Page = n
		return "/" + other.Encode()
	})
	found := len(shown)
	shown = shown[pages.from:pages.to]
	list, err := parts(
		func() (Part, error) {
			return part("totals", "totals.html", []total{
				{fmt.Sprint(queues), strings.TrimPrefix(plural(queues, "queue"), fmt.Sprint(queues)+" "), ""},
				{fmt.Sprint(running), "running", "running"},
				{fmt.Sprint(waiting), "waiting", "waiting"},
				{fmt.Sprint(paused), "paused", "paused"},
			})
		},
		func() (Part, error) {
			rows := make([]row, len(shown))
			for i, r := range shown {
				rows[i] = row{r, moment{r.Oldest, now}}
			}
			return part("queues", "list.html", map[string]any{"Rows": rows, "Query": query, "Found": found, "All": queues, "Pages": pages})
		},
	)
	form := &Form{Query: query}
	for i, text := range []string{"Name", "Most waiting", "Longest wait"} {
		form.Sorts = append(form.Sorts, Option{orders[i], text, orders[i] == query.Sort})
	}
	return Page{Title: "Queues", Now: now, Live: "/-/live/" + query.Encode(), Notes: notes, Form: form, Parts: list}, err
}

type row struct {
	Row
	Oldest moment
}

// total is a number that is easy to see.
type total struct{ Number, Of, Kind string }

// pages lead to the other pages of a long list.
type pages struct {
	from, to    int // of the list
	First, Last int // rows of this page, from 1
	Of          int // rows in all
	Before      string
	After       string
}

func lastPage(rows int) int { return max(1, (rows+perPage-1)/perPage) }

// pageOf is the page that is shown if one is asked for: the last one for one that does not exist.
func pageOf(rows, page int) int { return min(page, lastPage(rows)) }

// pagesOf divides rows into pages.
func pagesOf(rows, page int, path func(page int) string) pages {
	last, page := lastPage(rows), pageOf(rows, page)
	p := pages{from: (page - 1) * perPage, to: min(page*perPage, rows), Of: rows}
	p.First, p.Last = min(p.from+1, p.to), p.to
	if page > 1 {
		p.Before = path(page - 1)
	}
	if page < last {
		p.After = path(page + 1)
	}
	return p
}
