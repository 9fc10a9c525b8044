// Package smee relays webhooks from providers on the public internet to a cluster they cannot
// reach. The provider posts them to a channel of smee.io or of a gosmee server, which forwards them
// to its listeners. The relay listens and posts them to PAC's controller.
//
// Events keep their headers and, as far as the channel does, every byte of their bodies, on which
// signatures depend: gosmee keeps a body as it is; smee.io keeps its JSON, without the white space
// between tokens. GitHub sends JSON without white space. A channel stores nothing for absent
// listeners: an event posted while the relay reconnects is lost.
package smee

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// idle bounds the silence of a channel. Both kinds of server send a heartbeat every 30 seconds.
	idle = 90 * time.Second
	// readyGrace bounds the wait for a channel to report that it is ready; after it the relay
	// assumes so.
	readyGrace = 5 * time.Second
	// firstPause and longestPause bound the pause before the relay reconnects.
	firstPause, longestPause = time.Second, 30 * time.Second
	// postTimeout bounds how long the target may take for one event, and unreachable, how long it
	// may be down.
	postTimeout, unreachable = 30 * time.Second, 30 * time.Second
	// maxEvent bounds the size of an event.
	maxEvent = 64 << 20
)

// userAgent contains the word by which old gosmee servers recognise a listener.
const userAgent = "pac-lease-queue-e2e (speaks gosmee)"

// Options configure a Relay.
type Options struct {
	Channel string // e.g. https://smee.io/abcdefghijkl
	Target  string // where to post events, e.g. PAC's controller
	// Log receives one line at a time; nil discards them.
	Log func(format string, args ...any)

	// Pause and Idle are for tests; zero means the defaults.
	Pause, Idle time.Duration
}

// Relay is a connection to a channel. It reconnects whenever the connection breaks.
type Relay struct {
	options Options
	channel *url.URL // secret except for its host: everyone who knows it can listen and post there
	stop    context.CancelFunc
	done    sync.WaitGroup
	ready   chan struct{}
	once    sync.Once
}

// Start connects to a channel and returns when it listens. It relays events from then on until
// Close. The context bounds the start only.
func Start(ctx context.Context, o Options) (*Relay, error) {
	channel, ok := parseAddress(o.Channel)
	if !ok {
		return nil, errors.New("the channel of the webhook relay is not an http or https URL")
	}
	if _, ok := parseAddress(o.Target); !ok {
		return nil, fmt.Errorf("the target of the webhook relay, %q, is not an http or https URL", o.Target)
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Pause == 0 {
		o.Pause = firstPause
	}
	if o.Idle == 0 {
		o.Idle = idle
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &Relay{options: o, channel: channel, stop: stop, ready: make(chan struct{})}
	failed := make(chan error, 1) // why the last connection failed
	r.done.Go(func() { r.run(running, failed) })
	select {
	case <-r.ready:
		return r, nil
	case <-ctx.Done():
		r.Close()
		err := context.Cause(ctx)
		select {
		case last := <-failed:
			err = errors.Join(err, last)
		default:
		}
		return nil, fmt.Errorf("the webhook relay cannot reach its channel at %s: %w", channel.Host, err)
	}
}

func parseAddress(address string) (u *url.URL, ok bool) {
	u, err := url.Parse(address)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Close ends the relay.
func (r *Relay) Close() {
	r.stop()
	r.done.Wait()
}

// run listens until the context ends.
func (r *Relay) run(ctx context.Context, failed chan error) {
	pauses := r.pauses()
	for {
		began := time.Now()
		err := r.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestPause {
			pauses = r.pauses()
		}
		pause := pauses.Step()
		r.options.Log("webhook relay: lost the channel at %s (%v); reconnecting in %s, and events posted until then are lost",
			r.channel.Host, err, pause.Round(time.Millisecond))
		select {
		case <-failed:
		default:
		}
		failed <- err
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (r *Relay) pauses() wait.Backoff {
	return wait.Backoff{Duration: r.options.Pause, Factor: 2, Jitter: 0.2, Steps: 1000, Cap: longestPause}
}

// listen connects once and relays events until the connection breaks.
func (r *Relay) listen(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(r.options.Idle, func() { cancel(fmt.Errorf("no heartbeat for %s", r.options.Idle)) })
	defer silence.Stop()
	stream, err := r.connect(ctx)
	if err != nil {
		return cause(ctx, err)
	}
	defer stream.Close()
	grace := time.AfterFunc(readyGrace, r.listening)
	defer grace.Stop()
	heard := reader{stream, func() { silence.Reset(r.options.Idle) }}
	for event, err := range sse.Read(heard, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return cause(ctx, err)
		}
		silence.Stop() // the time the target takes does not count as silence
		r.relay(ctx, event)
		silence.Reset(r.options.Idle)
	}
	return cause(ctx, errors.New("the channel closed the connection"))
}

// cause returns why the context has ended, or, if it has not, the error.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// reader calls heard whenever it has read something.
type reader struct {
	io.Reader
	heard func()
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.heard()
	}
	return n, err
}

// connect opens the stream of events. smee.io serves it at the address of the channel; newer gosmee
// servers serve a web page there, and the stream below /events.
func (r *Relay) connect(ctx context.Context) (io.ReadCloser, error) {
	events := *r.channel
	events.Path = path.Join(path.Dir(events.Path), "events", path.Base(events.Path))
	var problem string
	for _, address := range []string{r.channel.String(), events.String()} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Accept", "text/event-stream")
		request.Header.Set("User-Agent", userAgent)
		reply, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, withoutAddress(err)
		}
		kind, _, _ := mime.ParseMediaType(reply.Header.Get("Content-Type"))
		if reply.StatusCode == http.StatusOK && kind == "text/event-stream" {
			return reply.Body, nil
		}
		reply.Body.Close()
		if problem == "" {
			problem = fmt.Sprintf("it replies %s with %q instead of a stream of events", reply.Status, kind)
		}
	}
	return nil, errors.New(problem)
}

// withoutAddress removes the address from an error of an HTTP client.
func withoutAddress(err error) error {
	if full := (*url.Error)(nil); errors.As(err, &full) {
		return full.Err
	}
	return err
}

func (r *Relay) listening() {
	r.once.Do(func() {
		r.options.Log("webhook relay: listening at %s for %s", r.channel.Host, r.options.Target)
		close(r.ready)
	})
}

// relay posts an event if it comes from a provider.
func (r *Relay) relay(ctx context.Context, event sse.Event) {
	header, body, err := parse(event)
	switch {
	case errors.Is(err, errConnected):
	case errors.Is(err, errHeartbeat):
		r.listening()
	case err != nil:
		r.options.Log("webhook relay: dropped an unreadable event: %v", err)
	default:
		r.listening()
		if err := r.post(ctx, header, body); err != nil && ctx.Err() == nil {
			r.options.Log("webhook relay: lost an event: %v", err)
		}
	}
}

// Messages of the channel itself.
var (
	errConnected = errors.New("connected, but not listening yet")
	errHeartbeat = errors.New("a heartbeat")
)

// parse returns the headers and the body of a provider's event. It returns an error for a message
// of the channel itself.
func parse(event sse.Event) (http.Header, []byte, error) {
	if event.Type == "ready" || event.Type == "ping" || event.Data == "ready" || event.Data == "{}" || event.Data == "" {
		return nil, nil, errHeartbeat
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(event.Data), &fields); err != nil {
		return nil, nil, err
	}
	var body []byte
	switch encoded, exact := fields["bodyB"]; {
	case exact:
		var text string
		if err := json.Unmarshal(encoded, &text); err != nil {
			return nil, nil, fmt.Errorf("bodyB: %w", err)
		}
		var err error
		if body, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, nil, fmt.Errorf("bodyB: %w", err)
		}
	case fields["body"] != nil:
		body = fields["body"] // as it arrived: encoding it anew would change it
	case string(fields["message"]) == `"connected"`:
		return nil, nil, errConnected
	case fields["message"] != nil:
		return nil, nil, errHeartbeat
	default:
		return nil, nil, errors.New("it has no body")
	}
	header := http.Header{}
	for name, value := range fields {
		var text string
		if !slices.Contains(dropped, strings.ToLower(name)) && json.Unmarshal(value, &text) == nil {
			header.Set(name, text)
		}
	}
	return header, body, nil
}

// dropped are the fields of an event that are not headers, and the headers of a single connection.
var dropped = []string{
	"body", "bodyb", "query", "timestamp",
	"host", "content-length", "content-encoding", "accept-encoding", "connection", "keep-alive",
	"transfer-encoding", "te", "trailer", "upgrade",
}

// post delivers an event. It waits for a target that cannot be reached, but sends the event only
// once: like a provider, it does not repeat one whose reply is lost or an error.
func (r *Relay) post(ctx context.Context, header http.Header, body []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, unreachable+postTimeout, errors.New("timed out"))
	defer cancel()
	pauses := wait.Backoff{Duration: r.options.Pause / 4, Factor: 2, Steps: 1000, Cap: 2 * time.Second}
	for began := time.Now(); ; {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.options.Target, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header = header.Clone()
		reply, err := http.DefaultClient.Do(request)
		if err == nil {
			reply.Body.Close()
			if reply.StatusCode >= 300 {
				return fmt.Errorf("%s replies %s", r.options.Target, reply.Status)
			}
			return nil
		}
		var dial *net.OpError
		if !errors.As(err, &dial) || dial.Op != "dial" || time.Since(began) > unreachable {
			return cause(ctx, err)
		}
		select {
		case <-time.After(pauses.Step()):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
