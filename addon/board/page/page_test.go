package page_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/history"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// newQueue has one slot with a run that began a minute ago, one run that ended, and so many that
// wait.
func newQueue(waiting int) inspect.Queue {
	order := func(name string) *queue.Order {
		return &queue.Order{Held: true, Sequence: queue.NewSequence([]string{name})}
	}
	running := &queue.Run{
		Name: "running", UID: "running", Phase: queue.Started, Created: noon.Add(-time.Hour), Began: noon.Add(-time.Minute),
		Claim: &queue.Token{}, Order: order("running"),
	}
	s := queue.Snapshot{
		Key: queue.Key{Namespace: "ci", Repository: "shop"}, Limit: 1, Freshness: queue.Fresh, Runs: []*queue.Run{running},
		Slots: []queue.Slot{{Version: "1", Holder: &queue.Holder{Name: "running", UID: "running"}, Transition: 0, HeldSince: noon}},
	}
	for i := range waiting {
		name := fmt.Sprintf("run-%03d", i+1)
		s.Runs = append(s.Runs, &queue.Run{
			Name: name, UID: name, Created: noon.Add(-time.Hour + time.Duration(i)*time.Second), Order: order(name),
		})
	}
	over := inspect.Done{Run: queue.Run{
		Name: "over", UID: "over", Phase: queue.Done, Created: noon.Add(-2 * time.Hour), Began: noon.Add(-time.Hour),
		Ended: noon.Add(-55 * time.Minute),
	}, Outcome: report.Succeeded}
	return new(inspect.Settings).NewQueue(s, false, []inspect.Done{over}, noon)
}

// html renders a page whole.
func html(t *testing.T, p page.Page, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func says(t *testing.T, html string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(html, text) {
			t.Errorf("no %q in\n%s", text, html)
		}
	}
}

func TestRun(t *testing.T) {
	q := newQueue(30)
	is, _ := q.Standing("run-028")
	p, err := page.Run(q, is, "https://console/x", nil)
	is2 := html(t, p, err)
	says(t, is2, "Position 28 of 30", "2 runs that are not shown", "2 runs behind it", `href="/ci/runs/run-003"`,
		"a typical run takes 5m: the median of the last 1", `data-live="/-/live/ci/runs/run-028"`, "1 of 1 in use by running (60s)")
	if strings.Contains(is2, "console") {
		t.Error("a run that waits is in no console")
	}
	is, _ = q.Standing("running")
	p, err = page.Run(q, is, "https://console/x", nil)
	says(t, html(t, p, err), "Started", `href="https://console/x"`)
	p, err = page.Ended(q, q.Done[0], "", nil)
	says(t, html(t, p, err), "succeeded", "55m</time> ago", "<dd>1h00m</dd>")
}

func TestQueue(t *testing.T) {
	h := history.New()
	h.Began(queue.Key{}, noon, time.Minute)
	p, err := page.Queue(newQueue(250), h.Of(queue.Key{}, noon), 3, []string{"a <note>"})
	is := html(t, p, err)
	says(t, is, "201 to 250 of 250", `href="/ci/shop?page=2"`, "run-250", "a &lt;note&gt;", "5m</b> a typical run", "slot 0",
		"1 run began; the longest median of 10 minutes is 60s", `aria-label="Waiting time.`)
	if strings.Contains(is, "run-200") {
		t.Error("a run of another page is shown")
	}
	p, err = page.Queue(newQueue(0), nil, 7, nil)
	says(t, html(t, p, err), "Nothing waits.")
}

func TestList(t *testing.T) {
	var rows []page.Row
	for i := range 250 {
		r := page.RowOf(newQueue(i % 3))
		r.Key = queue.Key{Namespace: "ci", Repository: fmt.Sprintf("q-%03d", i)}
		rows = append(rows, r)
	}
	show := func(query string) string {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.List(slices.Clone(rows), page.ReadQuery(values), nil, noon)
		return html(t, p, err)
	}
	says(t, show(""), "1 to 100 of 250", `href="/?page=2"`, "<b>250</b> queues", "<b>250</b> running", "<b>249</b> waiting")
	says(t, show("page=99&q=Q-1"), "1 to 100 of 100"[len("1 to 100 of 100"):], "q-199")
	says(t, show("q=nothing"), "No queue of that name", "Show all 250")
	sorted := show("sort=waiting")
	if first, last := strings.Index(sorted, "q-002<"), strings.Index(sorted, "q-001<"); first < 0 || last >= 0 && last < first {
		t.Errorf("by waiting, q-002 is at %d and q-001 at %d", first, last)
	}
	p, err := page.List(nil, page.ReadQuery(nil), nil, noon)
	says(t, html(t, p, err), "There are no queues.")
}

func TestReadQuery(t *testing.T) {
	for query, want := range map[string]page.Query{
		"":                                {Sort: "name", Page: 1},
		"q=+shop+&sort=oldest&page=3":     {Text: "shop", Sort: "oldest", Page: 3},
		"sort=drop+table&page=-1":         {Sort: "name", Page: 1},
		"page=99999999999999999999":       {Sort: "name", Page: 1},
		"page=99999999":                   {Sort: "name", Page: 1_000_000},
		"q=" + strings.Repeat("x", 10000): {Text: strings.Repeat("x", 200), Sort: "name", Page: 1},
		"q=%ff%fe":                        {Sort: "name", Page: 1},
	} {
		values, _ := url.ParseQuery(query)
		got := page.ReadQuery(values)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.40s (-want +got):\n%s", query, diff)
		}
		again, _ := url.ParseQuery(strings.TrimPrefix(got.Encode(), "?"))
		if diff := cmp.Diff(got, page.ReadQuery(again)); diff != "" {
			t.Errorf("%.40s, encoded and read again:\n%s", query, diff)
		}
	}
}

// TestHostileTexts: whatever a tenant can write is text, wherever it is shown.
func TestHostileTexts(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>' onmouseover=x {{.}}`
	q := newQueue(3)
	q.Problems = []string{evil}
	q.Spec.Paused, q.Spec.PausedBy = true, evil
	for i := range q.Runs {
		q.Runs[i].Run.Name += evil
		q.Runs[i].Run.Problems = []string{evil}
	}
	q.Snapshot.Slots[0].Holder.Name += evil
	q.Done[0].Name, q.Done[0].Outcome = evil, evil
	row := page.RowOf(q)
	row.Key.Repository = evil
	var all []string
	p, err := page.Queue(q, nil, 1, []string{evil})
	all = append(all, html(t, p, err))
	p, err = page.Run(q, q.Runs[2], "https://console/"+url.PathEscape(evil), nil)
	all = append(all, html(t, p, err))
	p, err = page.Ended(q, q.Done[0], "", nil)
	all = append(all, html(t, p, err))
	p, err = page.List([]page.Row{row}, page.Query{Text: evil, Sort: "name", Page: 1}, nil, noon)
	all = append(all, html(t, p, err))
	p, err = page.Message(evil, evil, page.Link{Text: evil, To: "javascript:alert(1)"})
	all = append(all, html(t, p, err))
	for _, is := range all {
		for _, bad := range []string{"<script>alert", "<img", "onmouseover=x {{", `href="javascript:`} {
			if strings.Contains(is, bad) && !strings.Contains(is, "&#39; onmouseover") {
				t.Errorf("%q is on the page:\n%s", bad, is)
			}
		}
	}
}

func TestNews(t *testing.T) {
	before := []page.Part{{"a", "1"}, {"b", "2"}}
	if news, any := page.News(before, before); any {
		t.Errorf("nothing has changed, and the news are %s", news)
	}
	news, _ := page.News(before, []page.Part{{"a", "1"}, {"b", "<p>3"}})
	if want := `[{"id":"b","html":"\u003cp\u003e3"}]`; string(news) != want {
		t.Errorf("the news are %s, want %s", news, want)
	}
}
