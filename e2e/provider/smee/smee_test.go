package smee_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/smee"
)

const (
	deadline = 10 * time.Second
	secret   = "the secret of the webhook"
)

// dialect is what one kind of server sends.
type dialect struct {
	events string // the path of the stream, up to the name of the channel
	ready  string
	ping   string
	encode func(header http.Header, body []byte) string
}

// smeeIO is smee.io, which parses bodies and serialises them anew.
var smeeIO = dialect{
	events: "/",
	ready:  "id: 0\nevent: ready\ndata: {}\n\n",
	ping:   "id: 1\nevent: ping\ndata: {}\n\n",
	encode: func(header http.Header, body []byte) string {
		fields := lowered(header)
		fields["query"], fields["timestamp"] = map[string]string{}, 1700000000000
		// The body comes last and is added by hand, because Go escapes characters that JavaScript
		// does not.
		rest, err := json.Marshal(fields)
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf("id: 2\ndata: %s,\"body\":%s}\n\n", bytes.TrimSuffix(rest, []byte("}")), body)
	},
}

// gosmee is a current gosmee server, and gosmeeOld one of the first.
var (
	gosmee = dialect{
		events: "/events/",
		ready:  "data: {\"message\":\"connected\"}\n\ndata: {\"message\":\"ready\"}\n\n",
		ping:   ": keepalive\n\n",
		encode: func(header http.Header, body []byte) string {
			fields := lowered(header)
			fields["timestamp"], fields["bodyB"] = 1700000000000, base64.StdEncoding.EncodeToString(body)
			encoded, err := json.Marshal(fields)
			if err != nil {
				panic(err)
			}
			return fmt.Sprintf("data: %s\n\n", encoded)
		},
	}
	gosmeeOld = dialect{events: "/", ready: "data: ready\n\n", ping: ": keepalive\n\n", encode: gosmee.encode}
)

func lowered(header http.Header) map[string]any {
	fields := map[string]any{}
	for name := range header {
		fields[strings.ToLower(name)] = header.Get(name)
	}
	return fields
}

// channel is a server with one channel.
type channel struct {
	*httptest.Server
	dialect dialect

	mu        sync.Mutex
	listeners map[chan string]bool
	joined    chan struct{} // receives once for each listener that joins
}

func newChannel(t *testing.T, d dialect) *channel {
	c := &channel{dialect: d, listeners: map[chan string]bool{}, joined: make(chan struct{}, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(func() {
		c.hangUp()
		c.Close()
	})
	return c
}

func (c *channel) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != c.dialect.events+"channel" || r.Header.Get("Accept") != "text/event-stream" {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>a web page</html>")
		return
	}
	if !strings.Contains(r.UserAgent(), "gosmee") {
		http.Error(w, "old gosmee servers show browsers a page", http.StatusNotAcceptable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	events := make(chan string, 100)
	c.mu.Lock()
	c.listeners[events] = true
	c.mu.Unlock()
	fmt.Fprint(w, c.dialect.ready)
	w.(http.Flusher).Flush()
	c.joined <- struct{}{}
	for {
		select {
		case event, open := <-events:
			if !open {
				return
			}
			fmt.Fprint(w, event)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// send sends an event to all listeners.
func (c *channel) send(event string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for listener := range c.listeners {
		listener <- event
	}
}

// hangUp ends all connections.
func (c *channel) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for listener := range c.listeners {
		close(listener)
	}
	c.listeners = map[chan string]bool{}
}

// target takes the place of PAC's controller.
type target struct {
	*httptest.Server
	got chan received
}

type received struct {
	header http.Header
	body   []byte
}

func newTarget(t *testing.T) *target {
	target := &target{got: make(chan received, 100)}
	target.Server = httptest.NewServer(target)
	t.Cleanup(target.Close)
	return target
}

func (target *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	target.got <- received{r.Header, body}
	w.WriteHeader(http.StatusAccepted)
}

func (target *target) next(t *testing.T) received {
	t.Helper()
	select {
	case r := <-target.got:
		return r
	case <-time.After(deadline):
		t.Fatalf("no event within %s", deadline)
		return received{}
	}
}

// event returns a signed webhook.
func event(body string) (http.Header, []byte) {
	header := http.Header{}
	header.Set("X-Github-Event", "push")
	header.Set("X-Hub-Signature-256", signature([]byte(body)))
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", "GitHub-Hookshot/1")
	header.Set("Host", "smee.example")
	header.Set("Content-Length", fmt.Sprint(len(body)))
	header.Set("Connection", "close")
	return header, []byte(body)
}

func signature(body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return fmt.Sprintf("sha256=%x", mac.Sum(nil))
}

func start(t *testing.T, o smee.Options) *smee.Relay {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	o.Log, o.Pause = t.Logf, 10*time.Millisecond
	relay, err := smee.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	return relay
}

// bodies change easily when they are serialised anew.
var bodies = []string{
	`{"ref":"refs/heads/main","zeta":1,"alpha":2}`,
	`{"message":"<b>&amp; ä € 🙂 \" \\ \n \u2028</b>","number":12345678901234567890,"float":1.0}`,
	`{"large":"` + strings.Repeat("x", 1<<20) + `"}`,
	`{}`,
}

func TestEventsKeepEveryByte(t *testing.T) {
	for name, d := range map[string]dialect{"smee.io": smeeIO, "gosmee": gosmee, "old gosmee": gosmeeOld} {
		t.Run(name, func(t *testing.T) {
			c, target := newChannel(t, d), newTarget(t)
			start(t, smee.Options{Channel: c.URL + "/channel", Target: target.URL})
			c.send(d.ping)
			c.send("data: {not JSON\n\n")
			c.send("data: {\"x-github-event\":\"push\"}\n\n")
			for _, body := range bodies {
				c.send(d.encode(event(body)))
				got := target.next(t)
				if string(got.body) != body {
					t.Errorf("%.60s arrived as %.60s", body, got.body)
				}
				if want := signature(got.body); got.header.Get("X-Hub-Signature-256") != want {
					t.Errorf("signature %s, want %s", got.header.Get("X-Hub-Signature-256"), want)
				}
				for name, want := range map[string]string{
					"X-Github-Event": "push", "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/1",
					"Connection": "", "Timestamp": "", "Query": "",
				} {
					if got := got.header.Get(name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			}
		})
	}
}

// gosmee keeps the white space in bodies, which Gitea sends.
func TestGosmeeKeepsSpace(t *testing.T) {
	c, target := newChannel(t, gosmee), newTarget(t)
	start(t, smee.Options{Channel: c.URL + "/channel", Target: target.URL})
	const body = "{\n  \"ref\": \"refs/heads/main\"\n}\n"
	c.send(c.dialect.encode(event(body)))
	if got := target.next(t); string(got.body) != body {
		t.Errorf("%q arrived as %q", body, got.body)
	}
}

func TestReconnects(t *testing.T) {
	c, target := newChannel(t, smeeIO), newTarget(t)
	start(t, smee.Options{Channel: c.URL + "/channel", Target: target.URL})
	for i := range 3 {
		<-c.joined
		body := fmt.Sprintf(`{"connection":%d}`, i)
		c.send(c.dialect.encode(event(body)))
		if got := target.next(t); string(got.body) != body {
			t.Errorf("got %s, want %s", got.body, body)
		}
		c.hangUp()
	}
}

// The relay notices a connection that died silently.
func TestSilence(t *testing.T) {
	c, target := newChannel(t, gosmee), newTarget(t)
	start(t, smee.Options{Channel: c.URL + "/channel", Target: target.URL, Idle: 50 * time.Millisecond})
	for range 3 {
		select {
		case <-c.joined:
		case <-time.After(deadline):
			t.Fatalf("no new connection within %s", deadline)
		}
	}
}

// Heartbeats keep a connection, even those that are comments.
func TestHeartbeats(t *testing.T) {
	c, target := newChannel(t, gosmee), newTarget(t)
	const idle = 500 * time.Millisecond
	start(t, smee.Options{Channel: c.URL + "/channel", Target: target.URL, Idle: idle})
	<-c.joined
	for until := time.Now().Add(2 * idle); time.Now().Before(until); time.Sleep(idle / 20) {
		c.send(c.dialect.ping)
	}
	select {
	case <-c.joined:
		t.Error("the relay reconnected")
	default:
	}
}

// The relay waits for a target that is not up yet. It posts an event once, whatever the reply.
func TestTarget(t *testing.T) {
	c := newChannel(t, gosmee)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	start(t, smee.Options{Channel: c.URL + "/channel", Target: "http://" + address})
	c.send(c.dialect.encode(event(`{"n":1}`)))
	c.send(c.dialect.encode(event(`{"n":2}`)))
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skipf("another process took the port: %v", err)
	}
	bodies := make(chan string, 100)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		http.Error(w, "no", http.StatusInternalServerError)
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	for _, want := range []string{`{"n":1}`, `{"n":2}`} {
		select {
		case got := <-bodies:
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-time.After(deadline):
			t.Fatalf("no event within %s", deadline)
		}
	}
}

func TestNoChannel(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		http.Error(w, "gone", http.StatusGone)
	}))
	defer page.Close()
	for _, tc := range []struct {
		channel, target string
		want            []string
	}{
		{page.URL + "/channel", "http://127.0.0.1:1", []string{page.Listener.Addr().String(), "410 Gone", "stream of events"}},
		{"smee.io/channel", "http://127.0.0.1:1", []string{"channel", "not an http or https URL"}},
		{"https://smee.io/channel", "controller", []string{"controller", "not an http or https URL"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		relay, err := smee.Start(ctx, smee.Options{Channel: tc.channel, Target: tc.target, Pause: time.Millisecond})
		cancel()
		if err == nil {
			relay.Close()
			t.Errorf("%s: no error", tc.channel)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing in the error: %v", want, err)
			}
		}
	}
}

// The address of the channel is a secret, so it appears neither in the log nor in errors.
func TestTheChannelStaysSecret(t *testing.T) {
	const secret = "c0ffee"
	var mu sync.Mutex
	var logged strings.Builder
	log := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&logged, format+"\n", args...)
	}
	listening := make(chan struct{}, 100)
	c := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, smeeIO.ready)
		listening <- struct{}{}
	}))
	relay, err := smee.Start(t.Context(), smee.Options{
		Channel: c.URL + "/" + secret, Target: "http://127.0.0.1:1", Log: log, Pause: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-listening
	}
	relay.Close()
	c.Close()
	for _, channel := range []string{c.URL + "/" + secret, "smee.io/" + secret, "http://%zz/" + secret} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := smee.Start(ctx, smee.Options{Channel: channel, Target: "http://127.0.0.1:1", Log: log, Pause: time.Millisecond})
		cancel()
		log("%v", err)
	}
	if text := logged.String(); strings.Contains(text, secret) {
		t.Errorf("the log contains the address of the channel:\n%s", text)
	}
}
