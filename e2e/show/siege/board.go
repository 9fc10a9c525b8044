package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const (
	// visitPause is between two visits of the board, and visitDeadline the most that one may take.
	visitPause, visitDeadline = 250 * time.Millisecond, 10 * time.Second
	// keptOpen is how many pages each worker keeps open, and slowly how many connections it lets
	// hang: together more than the board takes.
	keptOpen, slowly = 500, 100
	// mostRefused is how many refusals the visitor tells of.
	mostRefused = 3
	// hostileAddress is that of the tenants: the honest reader has another one.
	hostileAddress = "127.0.0.2"
)

// visitor is an honest reader of the board.
type visitor struct {
	board *stack.Replica

	mu      sync.Mutex
	visits  []visit
	refused []string // the first few, in words
}

type visit struct {
	at   time.Time
	took time.Duration
}

// visit looks at pages until the context ends.
func (v *visitor) visit(ctx context.Context) error {
	client := &http.Client{Timeout: visitDeadline}
	for i := 0; ; i++ {
		path := []string{"/", "/" + residentNamespace(i%2) + "/" + residentName}[i/2%2]
		began := time.Now()
		err := load(ctx, client, v.board.PagesURL+path)
		if ctx.Err() != nil {
			return nil
		}
		v.mu.Lock()
		v.visits = append(v.visits, visit{began, time.Since(began)})
		if err != nil && len(v.refused) < mostRefused {
			v.refused = append(v.refused, fmt.Sprintf("an honest reader of the board: %v", err))
		}
		v.mu.Unlock()
		if err := await.Pause(ctx, visitPause); err != nil {
			return nil
		}
	}
}

// load loads a page.
func load(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

// during returns how long the visits took that began in a while.
func (v *visitor) during(from, to time.Time) (all []time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, visit := range v.visits {
		if !visit.at.Before(from) && visit.at.Before(to) {
			all = append(all, visit.took)
		}
	}
	return all
}

// askForPages keeps pages and connections open, and asks for more without a pause.
func askForPages(w *worker) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(hostileAddress)}}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: keptOpen}}
	var held sync.WaitGroup
	defer held.Wait()
	for i := range keptOpen {
		held.Go(func() { // some are refused, and so are many of the pages below
			text := w.prefix[:1+i%len(w.prefix)] // which many queues have in their names
			sort := []string{"name", "waiting", "oldest"}[i%3]
			_ = load(w.ctx, client, fmt.Sprintf("%s/-/live/?q=%s&sort=%s&page=%d", w.board, text, sort, i))
		})
	}
	for range slowly {
		held.Go(func() { w.hang(dialer) })
	}
	long := strings.Repeat("x", 8<<10)
	paths := []string{
		"/?q=" + long, "/?sort=waiting&page=9999", "/nowhere/at-all", "/a/runs/" + long, "/api/v1/queues", "/-/assets/board.css",
	}
	for i := 0; w.going(); i++ {
		path := paths[i%len(paths)]
		w.try(func() error { return load(w.ctx, client, w.board+path) })
	}
}

// hang opens a connection and sends next to nothing over it, again and again.
func (w *worker) hang(dialer *net.Dialer) {
	for w.going() {
		c, err := dialer.DialContext(w.ctx, "tcp", strings.TrimPrefix(w.board, "http://"))
		if err != nil {
			w.rest(time.Second)
			continue
		}
		for _, text := range []string{"GET / HTTP/1.1\r\n", "Host: board\r\n", "X: "} {
			if _, err := c.Write([]byte(text)); err != nil {
				break
			}
			w.rest(time.Second)
		}
		w.rest(10 * time.Second)
		_ = c.Close()
	}
}
