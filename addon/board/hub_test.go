package board

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

var shop, other = queue.Key{Namespace: "ci", Repository: "shop"}, queue.Key{Namespace: "ci", Repository: "other"}

// pages counts how often a page is made, and lets the test say what is on it.
type pages struct {
	made atomic.Int32
	text atomic.Value
}

func (p *pages) source() (content, error) {
	p.made.Add(1)
	return content{parts: []page.Part{{ID: "still", HTML: "<p>"}, {ID: "part", HTML: template.HTML(fmt.Sprint(p.text.Load()))}}}, nil
}

func runHub(t *testing.T) *hub {
	h := newHub(clock.RealClock{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { h.run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return h
}

func subscribe(t *testing.T, h *hub, name string, key queue.Key, s source) *subscription {
	t.Helper()
	is, err := h.subscribe(name, key, "10.0.0.1", s)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestOneRenderingForAll: however many read a page, a change is rendered once, and each reader is
// told what has changed.
func TestOneRenderingForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runHub(t)
		var p, unconcerned pages
		p.text.Store("one")
		unconcerned.text.Store("same")
		readers := make([]*subscription, 100)
		for i := range readers {
			readers[i] = subscribe(t, h, "/ci/shop", shop, p.source)
		}
		subscribe(t, h, "/ci/other", other, unconcerned.source)
		for _, r := range readers {
			if text := (<-r.news).after(0); !strings.Contains(text, "one") || !strings.Contains(text, "still") {
				t.Fatalf("a reader begins with %q", text)
			}
		}
		time.Sleep(time.Second)
		before := unconcerned.made.Load()
		p.text.Store("two")
		h.changed(shop)
		for _, r := range readers {
			if text := (<-r.news).after(1); !strings.Contains(text, "two") || strings.Contains(text, "still") {
				t.Fatalf("a reader is told %q", text)
			}
		}
		if made := p.made.Load(); made != 2 {
			t.Errorf("the page was made %d times, want twice", made)
		}
		if made := unconcerned.made.Load(); made != before {
			t.Errorf("a page of another queue was made %d times more", made-before)
		}
	})
}

// TestSlowReader: a reader who takes nothing holds up no other, and has the latest in the end.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runHub(t)
		var p pages
		p.text.Store(0)
		slow, fast := subscribe(t, h, "page", shop, p.source), subscribe(t, h, "page", shop, p.source)
		<-fast.news
		for i := 1; i <= 5; i++ {
			p.text.Store(i)
			h.changed(shop)
			if is := <-fast.news; !strings.Contains(is.after(is.number-1), fmt.Sprint(i)) {
				t.Errorf("change %d is told as %q", i, is.since)
			}
		}
		is := <-slow.news
		if text := is.after(0); !strings.Contains(text, "5") || !strings.Contains(text, "still") {
			t.Errorf("the slow reader is told %q", text)
		}
		select {
		case is := <-slow.news:
			t.Errorf("and then %q", is.whole())
		default:
		}
	})
}

// TestPagesGrowOld: a page of which nothing changes is made again after a while, since times pass,
// and its readers hear of it only if it says anything else.
func TestPagesGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runHub(t)
		var p pages
		p.text.Store("about 10m")
		r := subscribe(t, h, "page", shop, p.source)
		<-r.news
		time.Sleep(3 * again)
		if made := p.made.Load(); made < 3 || made > 5 {
			t.Errorf("the page was made %d times", made)
		}
		select {
		case is := <-r.news:
			t.Errorf("its reader is told %q", is.whole())
		default:
		}
		p.text.Store("about 9m")
		if is := <-r.news; !strings.Contains(is.whole(), "9m") {
			t.Errorf("its reader is told %q", is.whole())
		}
	})
}

// TestRoundsAreBounded: however fast queues change, a page is made a few times a second at most.
func TestRoundsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runHub(t)
		var p pages
		subscribe(t, h, "page", shop, p.source)
		for range 1000 {
			p.text.Store(time.Now())
			h.changed(shop)
			time.Sleep(10 * time.Millisecond)
		}
		if made := p.made.Load(); made > 27 {
			t.Errorf("the page was made %d times in 10 seconds", made)
		}
	})
}

// TestFailureIsTriedAgain: a page that could not be made is made in the next round.
func TestFailureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runHub(t)
		failed := false
		r := subscribe(t, h, "page", shop, func() (content, error) {
			if !failed {
				failed = true
				return content{}, errors.New("not now")
			}
			return content{to: "/elsewhere"}, nil
		})
		if is := <-r.news; is.to != "/elsewhere" {
			t.Errorf("told %q", is.whole())
		}
	})
}

// TestUnsubscribe: a page that nobody reads is made no more, and forgotten.
func TestUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runHub(t)
		var p pages
		p.text.Store("x")
		r := subscribe(t, h, "page", shop, p.source)
		<-r.news
		h.unsubscribe(r)
		h.unsubscribe(r)
		made := p.made.Load()
		h.changed(shop)
		time.Sleep(time.Minute)
		if p.made.Load() != made || len(h.topics) != 0 || len(h.byQueue) != 0 {
			t.Errorf("made %d times more; %d pages are left", p.made.Load()-made, len(h.topics))
		}
	})
}

// TestEnd: when the hub ends, so do its readers' streams, and there are no new ones.
func TestEnd(t *testing.T) {
	h := newHub(clock.RealClock{})
	var p pages
	p.text.Store("x")
	r := subscribe(t, h, "page", shop, p.source)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	h.run(ctx)
	for range r.news { // closed
	}
	if _, err := h.subscribe("page", shop, "10.0.0.1", p.source); err == nil {
		t.Error("the hub takes readers after its end")
	}
}

// TestVariants: one address may open many different lists, and leaves some to the others.
func TestVariants(t *testing.T) {
	h := newHub(clock.RealClock{})
	var p pages
	var all []*subscription
	for {
		s, err := h.subscribe(fmt.Sprint("/?q=", len(all)), queue.Key{}, "10.0.0.1", p.source)
		if err != nil {
			break
		}
		all = append(all, s)
	}
	if n := len(all); n != variants*9/10 {
		t.Errorf("one address opens %d lists", n)
	}
	if _, err := h.subscribe("/?q=0", queue.Key{}, "10.0.0.1", p.source); err != nil {
		t.Errorf("a list that is open already: %v", err)
	}
	for _, other := range []string{"10.0.0.1", "10.0.0.2"} {
		if _, err := h.subscribe("/ci/shop of "+other, shop, other, p.source); err != nil {
			t.Errorf("a queue, for %s: %v", other, err)
		}
	}
	if _, err := h.subscribe("/?q=other", queue.Key{}, "10.0.0.2", p.source); err != nil {
		t.Errorf("another address: %v", err)
	}
	h.unsubscribe(all[5])
	if _, err := h.subscribe("/?q=again", queue.Key{}, "10.0.0.1", p.source); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
}
