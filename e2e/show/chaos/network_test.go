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

// patience is how long the client waits for a response.
const patience = 500 * time.Millisecond

// remote is a server behind a network, with a client.
type remote struct {
	*testing.T
	network *network
	url     string
	client  *http.Client
	served  atomic.Int64
}

func newRemote(t *testing.T) *remote {
	r := &remote{T: t}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.served.Add(1)
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // disturbed handshakes are no news
	server.StartTLS()
	t.Cleanup(server.Close)
	var err error
	if r.network, err = newNetwork(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.network.close)
	address, err := r.network.via(0, server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.url, r.client = "https://"+address, server.Client()
	return r
}

// request sends one request and returns whether a response came and how many requests the server
// got.
func (r *remote) request() (answered bool, served int64) {
	before := r.served.Load()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, strings.NewReader("{}"))
	if err != nil {
		r.Fatal(err)
	}
	res, err := r.client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return err == nil, r.served.Load() - before
}

func (r *remote) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *remote) eventually(what string, condition func() bool) {
	r.Helper()
	for deadline := time.Now().Add(20 * patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("not within %s: %s", 20*patience, what)
		}
	}
}

func TestNetworkIsHarmedAndHeals(t *testing.T) {
	r := newRemote(t)
	for name, c := range map[string]struct {
		harms  []toxics.ToxicWrapper
		served bool // though no response comes
	}{
		"partition":     {harms: []toxics.ToxicWrapper{drop(requests), drop(replies)}},
		"replies lost":  {harms: []toxics.ToxicWrapper{drop(replies)}, served: true},
		"reply cut off": {harms: []toxics.ToxicWrapper{cut(replies, 20)}, served: true},
		"reset":         {harms: []toxics.ToxicWrapper{reset(requests)}},
		"late requests": {harms: []toxics.ToxicWrapper{delay(requests, 2*patience, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			r.T = t
			r.eventually("a response over a sound network", func() bool { answered, _ := r.request(); return answered })
			r.must(r.network.harm(0, c.harms))
			answered, served := r.request()
			if answered {
				t.Error("a response came")
			}
			if (served > 0) != c.served {
				t.Errorf("%d requests got through, want any: %t", served, c.served)
			}
			r.must(r.network.heal(0))
			r.eventually("a response over the healed network", func() bool { answered, _ := r.request(); return answered })
		})
	}
}

func TestRequestsArriveLate(t *testing.T) {
	r := newRemote(t)
	r.request()
	r.must(r.network.harm(0, []toxics.ToxicWrapper{delay(requests, 2*patience, 0)}))
	r.request()
	before := r.served.Load()
	r.eventually("the request arrives after its sender gave up", func() bool { return r.served.Load() > before })
}

func TestRouteIsHarmedWhileConnectionsComeAndGo(t *testing.T) {
	r := newRemote(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			ctx, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
			if req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil); err == nil {
				if res, err := r.client.Do(req); err == nil {
					res.Body.Close()
				}
			}
			r.client.CloseIdleConnections()
			cancel()
		}
	}()
	for range 20 {
		r.must(r.network.harm(0, []toxics.ToxicWrapper{
			delay(requests, 5*time.Millisecond, time.Millisecond), delay(replies, 5*time.Millisecond, time.Millisecond),
		}))
		r.must(r.network.heal(0))
	}
	<-done
}
