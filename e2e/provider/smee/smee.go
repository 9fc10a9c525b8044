// Package smee brings webhooks of providers on the public internet into a cluster
// that they cannot reach. The provider posts them to a channel of smee.io, or of a
// gosmee server, which sends them on to whoever listens there; the relay listens,
// and posts them to PAC's controller.
//
// Events keep their headers and, as far as the channel does, every byte of their
// bodies, which signatures depend on: gosmee keeps bodies as they are, smee.io the
// JSON in them, without the space between. GitHub sends JSON without such space.
// A channel keeps nothing for listeners that are away: what is posted while the
// relay reconnects is lost.
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
	// idle is how long a channel may be silent: both kinds of server send a sign of
	// life every 30 seconds.
	idle = 90 * time.Second
	// readyGrace is how long to wait for a channel to say that it listens before it
	// is believed to.
	readyGrace = 5 * time.Second
	// firstPause and longestPause bound how long to wait before reconnecting.
	firstPause, longestPause = time.Second, 30 * time.Second
	// postTimeout is how long the target may take for one event, and unreachable
	// how long it may be down.
	postTimeout, unreachable = 30 * time.Second, 30 * time.Second
	// maxEvent is the size of the largest event.
	maxEvent = 64 << 20
)

// userAgent has the word by which old gosmee servers know those who listen.
const userAgent = "pac-lease-queue-e2e (speaks gosmee)"

// Options say where events come from and where they go.
type Options struct {
	Channel string // e.g. https://smee.io/abcdefghijkl
	Target  string // where events are posted, e.g. PAC's controller
	// Log is told what goes on, one line at a time; nil means nobody is.
	Log func(format string, args ...any)

	// For tests; zero means the package's own.
	Pause, Idle time.Duration
}

// Relay is a connection to a channel, made again whenever it breaks.
type Relay struct {
	options Options
	channel *url.URL // a secret but for its host: whoever knows it can listen and post there
	stop    context.CancelFunc
	done    sync.WaitGroup
	ready   chan struct{}
	once    sync.Once
}

// Start connects to a channel and returns when it listens; what is posted from then
// on is relayed until Close. The context bounds the start only.
func Start(ctx context.Context, o Options) (*Relay, error) {
	channel, ok := parseAddress(o.Channel)
	if !ok {
		return nil, errors.New("the address of the webhook relay's channel is no http or https URL")
	}
	if _, ok := parseAddress(o.Target); !ok {
		return nil, fmt.Errorf("the target of the webhook relay, %q, is no http or https URL", o.Target)
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
	failed := make(chan error, 1) // the last reason why there is no connection
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
		return nil, fmt.Errorf("the webhook relay does not reach its channel at %s: %w", channel.Host, err)
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
		r.options.Log("webhook relay: lost the channel at %s (%v); events may be lost until it is back, the next attempt is in %s",
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
	silence := time.AfterFunc(r.options.Idle, func() { cancel(fmt.Errorf("not a word for %s", r.options.Idle)) })
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
		silence.Stop() // how long the target takes is not silence
		r.relay(ctx, event)
		silence.Reset(r.options.Idle)
	}
	return cause(ctx, errors.New("the channel closed the connection"))
}

func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// reader tells that there was something to read.
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

// connect opens the stream of events: smee.io has it at the channel's own address,
// newer gosmee servers, where that is a page for people, under /events.
func (r *Relay) connect(ctx context.Context) (io.ReadCloser, error) {
	events := *r.channel
	events.Path = path.Join(path.Dir(events.Path), "events", path.Base(events.Path))
	var answered string
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
		if answered == "" {
			answered = fmt.Sprintf("it answers %s with %q instead of a stream of events", reply.Status, kind)
		}
	}
	return nil, errors.New(answered)
}

// withoutAddress takes the address off an error of an HTTP client.
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

// relay posts an event, if it is one of a provider's.
func (r *Relay) relay(ctx context.Context, event sse.Event) {
	header, body, err := parse(event)
	switch {
	case errors.Is(err, errConnected):
	case errors.Is(err, errSign):
		r.listening()
	case err != nil:
		r.options.Log("webhook relay: an event that cannot be read: %v", err)
	default:
		r.listening()
		if err := r.post(ctx, header, body); err != nil && ctx.Err() == nil {
			r.options.Log("webhook relay: an event is lost: %v", err)
		}
	}
}

// What a channel says that is no event of a provider.
var (
	errConnected = errors.New("connected, but not listening yet")
	errSign      = errors.New("a sign of life")
)

// parse returns the headers and the body of a provider's event.
func parse(event sse.Event) (http.Header, []byte, error) {
	if event.Type == "ready" || event.Type == "ping" || event.Data == "ready" || event.Data == "{}" || event.Data == "" {
		return nil, nil, errSign
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
		body = fields["body"] // as it came: encoding it again would change it
	case string(fields["message"]) == `"connected"`:
		return nil, nil, errConnected
	case fields["message"] != nil:
		return nil, nil, errSign
	default:
		return nil, nil, errors.New("it has no body")
	}
	header := http.Header{}
	for name, value := range fields {
		var text string
		if !slices.Contains(notPassedOn, strings.ToLower(name)) && json.Unmarshal(value, &text) == nil {
			header.Set(name, text)
		}
	}
	return header, body, nil
}

// notPassedOn are what an event has besides headers, and the headers that belong to
// one connection.
var notPassedOn = []string{
	"body", "bodyb", "query", "timestamp",
	"host", "content-length", "content-encoding", "accept-encoding", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade",
}

// post posts an event once: an answer that is lost or bad is none of the relay's
// business, as with the provider itself. It waits for a target that is not there.
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
				return fmt.Errorf("%s answers %s", r.options.Target, reply.Status)
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
