package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	pages "github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/usage"
)

const (
	// openPages are open at a time: a tenth of them on the list, half of the rest on runs that wait
	// in busyQueues, and the others on these and on as many further queues. changesEach is how many
	// changes are made in each busy queue.
	openPages, busyQueues, changesEach = 1000, 10, 3
	// boardUser is the account of the board.
	boardUser = "system:serviceaccount:" + addonNamespace + ":pac-lease-queue-board"
	// unread is how long the requests of the board are counted before a page is open.
	unread = 20 * time.Second

	perPage = "requests per page"
)

// boardValues enable the board, for readers who all have one address.
var boardValues = append([]string{"board.enabled=true", "board.requestsPerSecond=10000"}, fastTexts...)

// reader is one open page.
type reader struct {
	of queue.Key // zero on the list
	// shows is what the page says once run n of a queue has ended, and the next one has started.
	shows func(key queue.Key, n int) string

	mu sync.Mutex
	// awaited is the text that the page is to show, and told when it did.
	awaited string
	told    time.Time
}

// What the pages show.
func onList(key queue.Key, n int) string { return runName(key, n+2) } // as the one that is next

func onQueue(key queue.Key, n int) string { // among those that have ended, as JSON has it
	return runName(key, n) + `\u003c/a\u003e\u003c/th\u003e\u003ctd\u003e\u003cspan`
}

// onRun is for the page of run m of a queue, which still waits then.
func onRun(m int) func(queue.Key, int) string {
	return func(_ queue.Key, n int) string { return fmt.Sprintf("Position %d of", m-1-n) }
}

// read reads the stream of a page until the context ends.
func (r *reader) read(ctx context.Context, url string, opened func()) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	opened = sync.OnceFunc(opened)
	for lines := bufio.NewReader(answer.Body); ; {
		line, err := lines.ReadString('\n')
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", url, err)
		}
		if !strings.HasPrefix(line, "data: ") {
			continue
		}
		opened()
		r.mu.Lock()
		if r.awaited != "" && strings.Contains(line, r.awaited) {
			r.awaited, r.told = "", time.Now()
		}
		r.mu.Unlock()
	}
}

// await has the reader note when the page shows a text.
func (r *reader) await(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.awaited, r.told = text, time.Time{}
}

// shown says when the page showed the text; false if it has not yet.
func (r *reader) shown() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told, !r.told.IsZero()
}

// readers measures the board with a thousand pages open.
func readers(ctx context.Context, s *session) (figures, error) {
	f := figures{}
	s.before = true
	err := s.on(ctx, newLoad("", s.config.Idle, idleRuns, 1), 1, 0, func(ctx context.Context) error {
		if err := s.rest(ctx); err != nil {
			return err
		}
		board := s.contender.(*leaseContender).addon.Board()
		mark, err := s.audit.mark()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := await.Pause(ctx, unread); err != nil {
			return err
		}
		quiet, err := s.audit.since(mark, []string{boardUser})
		if err != nil {
			return err
		}
		perSecond := float64(quiet.total()) / time.Since(began).Seconds()
		if mark, err = s.audit.mark(); err != nil {
			return err
		}
		began = time.Now()
		ctx, close := context.WithCancelCause(ctx)
		defer close(nil)
		all, err := s.open(ctx, close, board.PagesURL)
		if err != nil {
			return err
		}
		delays, err := s.change(ctx, all)
		if err != nil {
			return err
		}
		with, err := s.audit.since(mark, []string{boardUser})
		if err != nil {
			return err
		}
		slices.Sort(delays)
		f[p50], f[p95] = quantile(delays, 0.5).Seconds(), quantile(delays, 0.95).Seconds()
		resident, err := usage.Resident(board.Pid())
		f[memory], f[queued] = float64(resident>>20), float64(s.load.total())
		f[perPage] = max(0, float64(with.total())-perSecond*time.Since(began).Seconds()) / openPages
		return err
	})
	return f, err
}

// open opens the pages, and returns once each has been told what is on it. A stream that ends is
// the cause for which the context ends.
func (s *session) open(ctx context.Context, end context.CancelCauseFunc, board string) ([]*reader, error) {
	all := make([]*reader, openPages)
	var opening sync.WaitGroup
	for i := range all {
		var path string
		all[i], path = s.reader(i)
		opening.Add(1)
		go func() {
			if err := all[i].read(ctx, board+"/-/live"+path, opening.Done); err != nil && !errors.Is(err, io.EOF) {
				end(err)
			}
		}()
	}
	opened := make(chan struct{})
	go func() { opening.Wait(); close(opened) }()
	select {
	case <-opened:
		return all, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(deadline):
		return nil, errors.New("the pages do not open")
	}
}

// reader is the one of page i, and the path of the page.
func (s *session) reader(i int) (*reader, string) {
	key, turn := s.load.queues[i%busyQueues], i/busyQueues
	switch {
	case i < openPages/10:
		return &reader{shows: onList}, "/"
	case turn%2 == 0:
		last := changesEach + 1 + turn/2%(idleRuns-changesEach-1) // a run that waits to the end
		return &reader{of: key, shows: onRun(last)}, pages.RunPath(key.Namespace, runName(key, last))
	case turn%4 == 1:
		return &reader{of: key, shows: onQueue}, pages.Path(key)
	default:
		still := s.load.queues[max(busyQueues, i%len(s.load.queues))]
		return &reader{of: still}, pages.Path(still)
	}
}

// change ends runs, one after the other, and returns how long it took until each page on which that
// shows was told.
func (s *session) change(ctx context.Context, all []*reader) ([]time.Duration, error) {
	var delays []time.Duration
	for n := range changesEach {
		for i := range busyQueues {
			key := s.load.queues[i]
			var concerned []*reader
			for _, r := range all {
				if r.of == key || r.of == (queue.Key{}) {
					concerned = append(concerned, r)
					r.await(r.shows(key, n))
				}
			}
			began := time.Now()
			if err := s.tekton.FinishRun(ctx, key.Namespace, runName(key, n)); err != nil {
				return nil, err
			}
			for _, r := range concerned {
				err := await.Until(ctx, 10*time.Millisecond, func() error {
					at, shows := r.shown()
					if !shows {
						return errors.New("a page does not show that a run has ended")
					}
					delays = append(delays, at.Sub(began))
					return nil
				})
				if err != nil {
					return nil, errors.Join(err, context.Cause(ctx))
				}
			}
			// The next run has started, and the pages have come to rest.
			done := n*busyQueues + i + 1
			if err := s.record.await(ctx, "the next run is started", deadline, 0, s.config.Idle+done, 0); err != nil {
				return nil, err
			}
			if err := await.Pause(ctx, 2*time.Second); err != nil {
				return nil, err
			}
		}
	}
	return delays, nil
}
