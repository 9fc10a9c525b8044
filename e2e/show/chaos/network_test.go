package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"
)

// patience is how long an answer may take that comes, and how long one is waited
// for that does not.
const patience = 500 * time.Millisecond

// away is a server behind a network, and a client of it.
type away struct {
	*testing.T
	network *network
	url     string
	client  *http.Client
	served  atomic.Int64
}

func newAway(t *testing.T) *away {
	a := &away{T: t}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.served.Add(1)
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are disturbed
	server.StartTLS()
	t.Cleanup(server.Close)
	var err error
	if a.network, err = newNetwork(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.network.close)
	address, err := a.network.via(0, server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.url, a.client = "https://"+address, server.Client()
	return a
}

// ask says whether there is an answer and how many requests it took.
func (a *away) ask() (answered bool, served int64) {
	before := a.served.Load()
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, strings.NewReader("{}"))
	if err != nil {
		a.Fatal(err)
	}
	res, err := a.client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return err == nil, a.served.Load() - before
}

func (a *away) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

func (a *away) eventually(what string, condition func() bool) {
	a.Helper()
	for deadline := time.Now().Add(20 * patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.Fatalf("not within %s: %s", 20*patience, what)
		}
	}
}

func TestNetworkIsHarmedAndHeals(t *testing.T) {
	a := newAway(t)
	for name, c := range map[string]struct {
		harms  []toxics.ToxicWrapper
		served bool // though there is no answer
	}{
		"partition":     {harms: []toxics.ToxicWrapper{drop(requests), drop(replies)}},
		"replies lost":  {harms: []toxics.ToxicWrapper{drop(replies)}, served: true},
		"reply cut off": {harms: []toxics.ToxicWrapper{cut(replies, 20)}, served: true},
		"reset":         {harms: []toxics.ToxicWrapper{reset(requests)}},
		"late requests": {harms: []toxics.ToxicWrapper{delay(requests, 2*patience, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			a.T = t
			a.eventually("an answer over a sound network", func() bool { answered, _ := a.ask(); return answered })
			a.must(a.network.harm(0, c.harms))
			answered, served := a.ask()
			if answered {
				t.Error("there is an answer")
			}
			if (served > 0) != c.served {
				t.Errorf("%d requests went through, want some: %t", served, c.served)
			}
			a.must(a.network.heal(0))
			a.eventually("an answer over the healed network", func() bool { answered, _ := a.ask(); return answered })
		})
	}
}

func TestRequestsArriveLate(t *testing.T) {
	a := newAway(t)
	a.ask()
	a.must(a.network.harm(0, []toxics.ToxicWrapper{delay(requests, 2*patience, 0)}))
	a.ask()
	before := a.served.Load()
	a.eventually("the request whose sender has given up", func() bool { return a.served.Load() > before })
}

func TestManyWaysAreHarmedWhileConnectionsComeAndGo(t *testing.T) {
	a := newAway(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			ctx, cancel := context.WithTimeout(a.Context(), 20*time.Millisecond)
			if req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil); err == nil {
				if res, err := a.client.Do(req); err == nil {
					res.Body.Close()
				}
			}
			a.client.CloseIdleConnections()
			cancel()
		}
	}()
	for range 20 {
		a.must(a.network.harm(0, []toxics.ToxicWrapper{delay(requests, 5*time.Millisecond, time.Millisecond), delay(replies, 5*time.Millisecond, time.Millisecond)}))
		a.must(a.network.heal(0))
	}
	<-done
}
