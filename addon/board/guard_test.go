package board

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
)

func newTestBoard(hosts ...string) (*Board, *testingclock.FakeClock) {
	clk := testingclock.NewFakeClock(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))
	return New(Config{Clock: clk, Access: access.All{}, Hosts: hosts, Limits: Limits{PerSecond: 10}}), clk
}

func ask(h http.Handler, from, host string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(http.MethodGet, "/-/assets/icon.svg", nil), httptest.NewRecorder()
	r.RemoteAddr, r.Host = from, host
	h.ServeHTTP(w, r)
	return w
}

// TestRate: one address that asks without end gets its share, and takes nothing from another.
func TestRate(t *testing.T) {
	b, clk := newTestBoard()
	h := b.Handler()
	served := func(from string, times int) (n int) {
		for range times {
			if ask(h, from, "board").Code == http.StatusOK {
				n++
			}
		}
		return n
	}
	if n := served("10.0.0.1:1", 1000); n != 40 {
		t.Errorf("at once, one address is served %d times, want 40", n)
	}
	if n := served("10.0.0.2:1", 20); n != 20 {
		t.Errorf("another one is served %d times of 20", n)
	}
	clk.Step(2 * time.Second)
	if n := served("10.0.0.1:2", 1000); n != 20 {
		t.Errorf("after two seconds, it is served %d times, want 20", n)
	}
	w := ask(h, "10.0.0.1:3", "board")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("it is answered %d, %v", w.Code, w.Header())
	}
}

// TestHosts: a site whose name leads to this machine is not the board.
func TestHosts(t *testing.T) {
	b, _ := newTestBoard("localhost:8390")
	if code := ask(b.Handler(), "127.0.0.1:1", "localhost:8390").Code; code != http.StatusOK {
		t.Errorf("by its own name it answers %d", code)
	}
	for _, host := range []string{"evil.example", "evil.example:8390", "localhost", ""} {
		if code := ask(b.Handler(), "127.0.0.1:1", host).Code; code != http.StatusMisdirectedRequest {
			t.Errorf("by the name %q it answers %d", host, code)
		}
	}
}

func TestHeaders(t *testing.T) {
	b, _ := newTestBoard()
	for _, path := range []string{"/", "/a/b", "/-/assets/board.js", "/api/v1/queues", "/-/live/", "/nothing/of/that/kind"} {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		b.Handler().ServeHTTP(w, r)
		for name, want := range headers {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		r, w := httptest.NewRequest(method, "/", nil), httptest.NewRecorder()
		if b.Handler().ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s is answered %d", method, w.Code)
		}
	}
}

// TestStarting: before the board has seen the cluster, it says so.
func TestStarting(t *testing.T) {
	b, _ := newTestBoard()
	for _, path := range []string{"/", "/a/b", "/a/runs/b", "/-/live/", "/api/v1/queues"} {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		if b.Handler().ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s is answered %d", path, w.Code)
		}
	}
}

// TestProbes: the board is alive from the beginning, and ready once it has seen the cluster.
func TestProbes(t *testing.T) {
	b, _ := newTestBoard()
	for path, want := range map[string]int{"/health": http.StatusOK, "/readiness": http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		if b.Probes().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.Code != want {
			t.Errorf("%s is answered %d, want %d", path, w.Code, want)
		}
	}
}

// TestShares: one address can have nine tenths, and what is given back can be taken again.
func TestShares(t *testing.T) {
	s := newShares(10)
	n := 0
	for s.take("a") {
		n++
	}
	if n != 9 || !s.take("b") || s.take("c") {
		t.Errorf("one address has %d of 10", n)
	}
	s.give("a")
	if !s.take("c") {
		t.Error("what was given back cannot be taken")
	}
}
