package board_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/browser"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// marked says that the page was not loaded again since mark was called.
const marked = "window.marked === true"

func mark() chromedp.Action { return chromedp.Evaluate("window.marked = true", nil) }

// TestPositionsFall: an open page of a run goes on by itself, until the run has started.
func TestPositionsFall(t *testing.T) {
	const namespace = "falls"
	site.NewQueue(t, namespace, 1)
	site.Push(t, namespace, names(4)...)
	begin(t, namespace, "run-001")
	tab := open(t, "/"+namespace+"/runs/run-003")
	browser.Until(t, tab, "the place of the third run", text(".headline")+" === 'Position 2 of 3'")
	browser.Do(t, tab, "mark the page", mark())
	finish(t, namespace, "run-001")
	begin(t, namespace, "run-002")
	browser.Until(t, tab, "the place after an end", text(".headline")+" === 'Position 1 of 2' && "+marked)
	finish(t, namespace, "run-002")
	begin(t, namespace, "run-003")
	browser.Until(t, tab, "the run has started", text(".headline")+" === 'Started' && "+marked)
	finish(t, namespace, "run-003")
	browser.Until(t, tab, "the run has ended", text(".headline")+" === 'succeeded' && "+marked)
}

// TestConsole: once its run has started, the page sends its reader on, and so does every later
// visit, with scripts and without.
func TestConsole(t *testing.T) {
	const namespace = "console"
	site.NewQueue(t, namespace, 1)
	arrived := http.NewServeMux()
	arrived.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "<title>console %s</title>", r.URL.Path) })
	there := serve(t, arrived)
	fixture.Must(t, site.Addon.Upgrade(t.Context(), "board.console="+there+`/{{ namespace }}/{{ pr }}`))
	t.Cleanup(func() { fixture.Must(t, site.Addon.Upgrade(context.WithoutCancel(t.Context()), "board.console=")) })
	site.Push(t, namespace, names(2)...)
	begin(t, namespace, "run-001")
	tab := open(t, "/"+namespace+"/runs/run-002")
	browser.Until(t, tab, "the second run waits", text(".headline")+" === 'Position 1 of 1'")
	finish(t, namespace, "run-001")
	begin(t, namespace, "run-002")
	browser.Until(t, tab, "the reader is sent on", "document.title === 'console /"+namespace+"/run-002'")
	for _, run := range []string{"run-001", "run-002", "of-long-ago"} {
		tab := open(t, "/"+namespace+"/runs/"+run, without())
		var title string
		browser.Do(t, tab, "visit "+run, chromedp.Title(&title))
		if want := "console /" + namespace + "/" + run; title != want {
			t.Errorf("a visit of %s leads to %q, want %q", run, title, want)
		}
	}
}

// TestFilter: the list shows what is asked for, with scripts at once and without after a click.
func TestFilter(t *testing.T) {
	for _, namespace := range []string{"filter-one", "filter-two"} {
		site.NewQueue(t, namespace, 1)
	}
	const rows = "[...document.querySelectorAll('.queues tbody th a')].map(a => a.textContent).join()"
	tab := open(t, "/")
	browser.Until(t, tab, "all queues", rows+".includes('filter-one/shop,filter-two/shop')")
	browser.Focus(t, tab, "#q")
	browser.Do(t, tab, "type", mark(), chromedp.KeyEvent("lter-tw"))
	browser.Until(t, tab, "one queue", rows+" === 'filter-two/shop' && "+marked+" && location.search === '?q=lter-tw'")
	tab = open(t, "/", without())
	browser.Do(t, tab, "type without scripts", chromedp.SendKeys("#q", "lter-on", chromedp.ByQuery),
		chromedp.Click(".filter button", chromedp.ByQuery), chromedp.WaitVisible(".queues", chromedp.ByQuery))
	browser.Do(t, tab, "allow scripts", emulation.SetScriptExecutionDisabled(false))
	browser.Until(t, tab, "one queue without scripts", rows+" === 'filter-one/shop'")
}

// TestHostileNames: whatever a run is called and says, it is text.
func TestHostileNames(t *testing.T) {
	const namespace = "hostile"
	site.NewQueue(t, namespace, 1)
	const script = `<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>"'&{{.}}`
	runQueues, err := runqueue.NewClient(site.Config(stack.Admin))
	fixture.Must(t, err)
	rq := runqueue.Of(queue.Key{Namespace: namespace, Repository: "shop"}, "")
	rq.OwnerReferences, rq.Spec.Paused = nil, true
	rq.Annotations = map[string]string{runqueue.PauseReason: script}
	_, err = runQueues.In(namespace).Create(t.Context(), rq, metav1.CreateOptions{})
	fixture.Must(t, err)
	site.Push(t, namespace, "a", "b")
	for _, path := range []string{
		"/" + namespace + "/shop", "/" + namespace + "/runs/b", "/?q=" + script, "/x/runs/" + script, "/" + script + "/y",
	} {
		tab := open(t, path)
		browser.Until(t, tab, "the page is there", "document.readyState === 'complete' && document.querySelector('h1') !== null")
		var hurt bool
		browser.Do(t, tab, "look",
			chromedp.Evaluate("window.hurt === 1 || document.querySelector('main img, main script') !== null", &hurt))
		if hurt {
			t.Errorf("%s: a script of a tenant's has run", path)
		}
	}
	tab := open(t, "/"+namespace+"/runs/b")
	browser.Until(t, tab, "the text is shown as it is", text("main")+".includes('onerror=')")
}

const desk = 1280

// looks are how pages are looked at: in two themes, at three widths.
var looks = []struct {
	name   string
	width  int64
	scheme string
}{
	{"desk-light", desk, "light"},
	{"desk-dark", desk, "dark"},
	{"tablet-light", 768, "light"},
	{"tablet-dark", 768, "dark"},
	{"phone-light", 390, "light"},
	{"phone-dark", 390, "dark"},
}

// TestLooks: with 0, 3 and 500 runs that wait, every page is one that anybody can use: axe-core
// finds nothing, nothing has to be scrolled sideways, and each works without scripts.
func TestLooks(t *testing.T) {
	for waiting, namespace := range map[int]string{0: "handbook", 3: "payments", 500: "webshop"} {
		site.NewQueue(t, namespace, 2)
		if waiting == 0 {
			continue
		}
		site.Push(t, namespace, names(waiting+4)...)
		for name, took := range map[string]time.Duration{"run-001": 4 * time.Minute, "run-002": 5 * time.Minute} {
			site.AwaitStart(t, namespace, name)
			fixture.Must(t, site.FinishRunAfter(t.Context(), namespace, name, took))
		}
		beginBefore(t, namespace, "run-003", 3*time.Minute)
		beginBefore(t, namespace, "run-004", time.Minute)
	}
	tab := browser.New(t)
	for page, path := range map[string]string{
		"list": "/", "queue-none": "/handbook/shop", "queue-few": "/payments/shop", "queue-many": "/webshop/shop",
		"run": "/webshop/runs/run-012", "run-far": "/webshop/runs/run-400", "run-ended": "/payments/runs/run-001",
		"run-started": "/payments/runs/run-003", "nothing": "/payments/runs/none",
	} {
		for _, look := range looks {
			what := page + " " + look.name
			browser.Do(t, tab, "open "+what,
				emulation.SetDeviceMetricsOverride(look.width, 900, 1, look.width < 500),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}),
				chromedp.Navigate(url(path)), chromedp.WaitVisible("h1", chromedp.ByQuery))
			if look.width == desk { // what it finds depends on the theme at most
				browser.Accessible(t, tab, what)
			}
			var sideways bool
			browser.Do(t, tab, "measure "+what, chromedp.Evaluate("document.documentElement.scrollWidth > innerWidth", &sideways))
			if sideways {
				t.Errorf("%s is wider than the screen", what)
			}
			if *pictures != "" {
				browser.Picture(t, tab, filepath.Join(*pictures, page+"-"+look.name+".png"))
			}
		}
		body, status := get(t, path)
		if !strings.Contains(body, "<h1>") || strings.Contains(body, "style=") {
			t.Errorf("%s, status %d, without scripts:\n%s", path, status, body)
		}
	}
	many, _ := get(t, "/webshop/shop?page=5")
	if !strings.Contains(many, "401 to 500 of 500") || !strings.Contains(many, "run-504") {
		t.Errorf("the last page of a long line is\n%s", many)
	}
}

// TestKeyboard: every link and field can be reached by the keyboard, and the focus stays where it
// is when the page changes.
func TestKeyboard(t *testing.T) {
	const namespace = "keyboard"
	site.NewQueue(t, namespace, 1)
	site.Push(t, namespace, names(4)...)
	begin(t, namespace, "run-001")
	tab := open(t, "/"+namespace+"/shop")
	const focused = "document.activeElement.getAttribute('href')"
	browser.Until(t, tab, "the line", "document.querySelectorAll('.line tbody tr').length === 3")
	browser.Focus(t, tab, `.line a[href="/`+namespace+`/runs/run-004"]`)
	browser.Do(t, tab, "mark the page", mark())
	finish(t, namespace, "run-001")
	begin(t, namespace, "run-002")
	browser.Until(t, tab, "the line has moved, and the focus has not",
		"document.querySelectorAll('.line tbody tr').length === 2 && "+marked+" && "+focused+" === '/"+namespace+"/runs/run-004'")
	browser.Do(t, tab, "follow the link", chromedp.KeyEvent("\r"))
	browser.Until(t, tab, "the page of the run", text("h1")+" === 'run-004'")
}

// TestAPI: the API says the same, as its document has it.
func TestAPI(t *testing.T) {
	const namespace = "api-says"
	site.NewQueue(t, namespace, 1)
	site.Push(t, namespace, names(3)...)
	begin(t, namespace, "run-001")
	schema := readSchema(t)
	fixture.Eventually(t, deadline, "the queue is told", func() error {
		body, _ := get(t, "/api/v1/namespaces/"+namespace+"/queues/shop")
		var is struct{ Queued, Started, Limit int }
		if err := json.Unmarshal([]byte(body), &is); err != nil || is.Queued != 2 || is.Started != 1 || is.Limit != 1 {
			return fmt.Errorf("%w: %s", err, body)
		}
		return nil
	})
	for _, path := range []string{
		"/api/v1/queues", "/api/v1/queues?namespace=" + namespace, "/api/v1/namespaces/" + namespace + "/queues/shop",
		"/api/v1/namespaces/" + namespace + "/runs/run-001", "/api/v1/namespaces/" + namespace + "/runs/run-003",
		"/api/v1/namespaces/" + namespace + "/runs/none", "/api/v1/namespaces/" + namespace + "/queues/none",
	} {
		schema.check(t, path)
	}
}

// TestSameAsAReading: what the board has from its watches is what the plugin reads: in a queue that
// is served, in a paused one, and in one whose Repository is gone.
func TestSameAsAReading(t *testing.T) {
	clients, err := inspect.NewClients(site.Config(stack.Admin))
	fixture.Must(t, err)
	for namespace, edit := range map[string]func(){
		"same-served": func() { begin(t, "same-served", "run-001") },
		"same-paused": func() {
			runQueues, err := runqueue.NewClient(site.Config(stack.Admin))
			fixture.Must(t, err)
			rq := runqueue.Of(queue.Key{Namespace: "same-paused", Repository: "shop"}, "")
			rq.OwnerReferences, rq.Spec.Paused = nil, true
			_, err = runQueues.In("same-paused").Create(t.Context(), rq, metav1.CreateOptions{})
			fixture.Must(t, err)
		},
		"same-missing": func() {
			begin(t, "same-missing", "run-001")
			key := queue.Key{Namespace: "same-missing", Repository: "shop"}
			repositories := site.PAC.PipelinesascodeV1alpha1().Repositories(key.Namespace)
			fixture.Must(t, repositories.Delete(t.Context(), key.Repository, metav1.DeleteOptions{}))
			t.Cleanup(func() { // the next one is deleted again
				limit := 1
				fixture.Must(t, site.CreateRepository(context.WithoutCancel(t.Context()), key, &limit))
			})
		},
	} {
		site.NewQueue(t, namespace, 1)
		site.Push(t, namespace, names(3)...)
		edit()
		fixture.Eventually(t, deadline, "the board to show "+namespace+" as a reading does", func() error {
			reading, err := inspect.Read(t.Context(), clients, inspect.Scope{Namespace: namespace, Addon: site.Addon.Namespace()})
			if err != nil {
				return err
			}
			queues := reading.Queues(time.Now())
			if len(queues) != 1 {
				return fmt.Errorf("a reading has %d queues", len(queues))
			}
			want, err := json.Marshal(queues[0].View())
			if err != nil {
				return err
			}
			is, _ := get(t, "/api/v1/namespaces/"+namespace+"/queues/shop")
			if diff := cmp.Diff(facts(t, string(want)), facts(t, is)); diff != "" {
				return fmt.Errorf("as read, and on the board:\n%s", diff)
			}
			return nil
		})
	}
}

// facts are what a document says of a queue, without what depends on the moment or on what was
// watched before.
func facts(t *testing.T, document string) any {
	t.Helper()
	var is struct {
		Queued, Claimed, Started int
		Limit                    *int
		Problems                 []string
		Slots                    []struct {
			Index           int
			Holder, Damaged string
		}
		Runs []struct {
			Name, UID, State, Why, Created string
			Position, Slot, Attempt        *int
		}
	}
	fixture.Must(t, json.Unmarshal([]byte(document), &is))
	return is
}

func get(t *testing.T, path string) (body string, status int) {
	t.Helper()
	answer, err := http.Get(url(path))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all), answer.StatusCode
}
