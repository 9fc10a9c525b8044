package board

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/rates"
)

const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = time.Minute
	maxHeaderBytes = 32 << 10 // of which a token takes a few KiB
	// besides is how many connections there may be besides those of the streams.
	besides = 200
)

// Serve serves the board until the context ends. Readers can hold back neither it nor each other.
func (b *Board) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: b.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: patience,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: log.New(io.Discard, "", 0), // any client can fail a connection, as often as it likes
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { b.hub.run(ctx) })
	parts.Go(func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(&listener{Listener: l, of: newShares(b.Limits.Streams + besides)})
	stop()
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shares divide a number of things among addresses. They are safe for concurrent use.
type shares struct {
	most int

	mu   sync.Mutex
	all  int
	each map[string]int
}

func newShares(most int) *shares { return &shares{most: most, each: map[string]int{}} }

// take says whether an address may have one more.
func (s *shares) take(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.most || s.each[address] >= max(1, s.most*9/10) {
		return false
	}
	s.all++
	s.each[address]++
	return true
}

func (s *shares) give(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.each[address]--; s.each[address] == 0 {
		delete(s.each, address)
	}
}

type listener struct {
	net.Listener
	of *shares
}

// Accept implements net.Listener. It closes the connections that are too many.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := rates.Host(c.RemoteAddr().String())
		if l.of.take(address) {
			return &conn{Conn: c, give: sync.OnceFunc(func() { l.of.give(address) })}, nil
		}
		_ = c.Close()
	}
}

type conn struct {
	net.Conn
	give func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.give()
	return c.Conn.Close()
}
