package board

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/history"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/follow"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Config is what a board works with; Clock and Access are required.
type Config struct {
	Clock  clock.WithTicker
	Access access.Access
	// Console makes the address of a run in the console that shows started runs; nil if there is
	// none.
	Console *Console
	// Hosts are the only names by which readers may call the board; any, if there are none.
	Hosts []string
	// Limits are those of readers; zero has the default.
	Limits Limits
}

// Board serves pages. It is safe for concurrent use.
type Board struct {
	Config
	history *history.History
	hub     *hub
	streams *shares
	looks   *looks
	making  chan struct{}       // has those who make a document of the API
	flight  *semaphore.Weighted // of bytes on their way

	listing sync.Mutex // one makes the list at a time

	mu       sync.Mutex
	follower *follow.Follower // nil until it has seen all there is
	rows     map[queue.Key]page.Row
	stale    map[queue.Key]bool // the rows that have changed since
	allStale bool
}

// New returns a board that knows nothing yet.
func New(c Config) *Board {
	c.Limits = c.Limits.withDefaults()
	b := &Board{Config: c, history: history.New(), rows: map[queue.Key]page.Row{}, stale: map[queue.Key]bool{}}
	b.hub, b.streams, b.looks = newHub(c.Clock), newShares(c.Limits.Streams), newLooks(c.Clock)
	b.making, b.flight = make(chan struct{}, makers), semaphore.NewWeighted(inFlight)
	return b
}

// observer hears for the board what happens in queues.
func (b *Board) observer() follow.Observer {
	return follow.Observer{
		Changed:    b.changed,
		AllChanged: b.allChanged,
		Began: func(key queue.Key, run queue.Run) {
			b.history.Began(key, run.Began, max(0, run.Began.Sub(run.Created)))
		},
		Ended: func(key queue.Key, d inspect.Done) {
			if !d.Ended.IsZero() {
				b.history.Ended(key, d.Ended)
			}
		},
	}
}

// Follow shows what there is to see in a cluster, until the context ends. It returns once the board
// has seen it, or an error if the API server does not answer or refuses something.
func (b *Board) Follow(ctx context.Context, c follow.Config) error {
	c.Clock, c.Observer = b.Clock, b.observer()
	f, err := follow.Start(ctx, c)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.follower, b.allStale = f, true
	b.mu.Unlock()
	b.hub.allChanged()
	return nil
}

// Ready says whether there is anything to show yet.
func (b *Board) Ready() bool { return b.following() != nil }

func (b *Board) following() *follow.Follower {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.follower
}

func (b *Board) changed(key queue.Key) {
	b.looks.changed(key)
	b.mu.Lock()
	b.stale[key] = true
	b.mu.Unlock()
	b.hub.changed(key)
}

func (b *Board) allChanged() {
	b.looks.allChanged()
	b.mu.Lock()
	b.allStale = true
	b.mu.Unlock()
	b.hub.allChanged()
}

// queue shows a queue as it was a moment ago at most, and not before its last change.
func (b *Board) queue(f *follow.Follower, key queue.Key) (inspect.Queue, bool) {
	return b.looks.at(key, func() (inspect.Queue, bool) { return f.Queue(key) })
}

// list returns a row of every queue, sorted. It looks only at those that have changed.
func (b *Board) list(f *follow.Follower) []page.Row {
	b.listing.Lock()
	defer b.listing.Unlock()
	b.mu.Lock()
	stale := b.stale
	b.stale = map[queue.Key]bool{}
	if b.allStale {
		b.allStale = false
		stale = queue.KeySet(f.Keys())
		for key := range b.rows {
			stale[key] = true
		}
	}
	b.mu.Unlock()
	looked := map[queue.Key]*page.Row{}
	for key := range stale {
		looked[key] = nil
		if q, exists := f.Queue(key); exists {
			row := page.RowOf(q)
			looked[key] = &row
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, row := range looked {
		if row == nil {
			delete(b.rows, key)
		} else {
			b.rows[key] = *row
		}
	}
	rows := make([]page.Row, 0, len(b.rows))
	for _, row := range b.rows {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b page.Row) int { return a.Key.Compare(b.Key) })
	return rows
}

// namespacesOf are those of the rows, which are sorted.
func namespacesOf(rows []page.Row) []string {
	var namespaces []string
	for _, r := range rows {
		if len(namespaces) == 0 || namespaces[len(namespaces)-1] != r.Key.Namespace {
			namespaces = append(namespaces, r.Key.Namespace)
		}
	}
	return namespaces
}

// visible returns the rows of queues that a reader sees.
func visible(rows []page.Row, seen access.Seen) []page.Row {
	return slices.DeleteFunc(rows, func(r page.Row) bool { return !seen.Has(r.Key.Namespace) })
}

// notes say what the board cannot see.
func notes(f *follow.Follower) []string { return f.Unseen() }

// notesFor also say what of it the reader may see without being shown it.
func notesFor(f *follow.Follower, seen access.Seen) []string {
	all := notes(f)
	if seen.Unknown > 0 {
		all = append(slices.Clip(all), fmt.Sprintf(
			"There are so many namespaces that the queues of the last %d are not listed. Their own pages show them.", seen.Unknown))
	}
	return all
}

// Handler serves the board.
func (b *Board) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.page(b.readList))
	mux.HandleFunc("GET /{namespace}/{queue}", b.page(b.readQueue))
	mux.HandleFunc("GET /{namespace}/runs/{run}", b.page(b.readRun))
	mux.HandleFunc("GET /-/live/{$}", b.stream(b.readList))
	mux.HandleFunc("GET /-/live/{namespace}/{queue}", b.stream(b.readQueue))
	mux.HandleFunc("GET /-/live/{namespace}/runs/{run}", b.stream(b.readRun))
	mux.HandleFunc("GET /api/v1/queues", b.api(b.listQueues))
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/queues/{queue}", b.api(b.getQueue))
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/runs/{run}", b.api(b.getRun))
	mux.HandleFunc("GET /api/v1/openapi.yaml", serveOpenAPI)
	mux.Handle("GET /-/assets/", page.Assets("/-/assets/"))
	mux.HandleFunc("GET /api/v1/", b.api(getNothing))
	mux.HandleFunc("GET /", b.page(readNothing))
	return b.guarded(mux)
}

// Probes serves the probes of the board, which readers cannot crowd out.
func (b *Board) Probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readiness", func(w http.ResponseWriter, _ *http.Request) {
		if !b.Ready() {
			failureOf(errStarting).plain(w)
		}
	})
	return mux
}
