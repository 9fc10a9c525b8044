// Package driver is what the drivers of Git providers share: a transport that
// waits when a provider asks for it, repeats what can be repeated and says what a
// refusal means; and a way to create things once although replies get lost.
package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What an error of the Transport means.
var (
	// ErrToken says that the provider does not know the token.
	ErrToken = errors.New("the token was refused")
	// ErrLimited says that the provider has been asked too often, and that there
	// is no time to wait until it may be asked again.
	ErrLimited = errors.New("asked too often")
	// ErrUnanswered says that it is unknown whether a request was carried out.
	ErrUnanswered = errors.New("no usable answer")
)

const (
	// attempts is how often a request is made at most.
	attempts = 5
	// firstPause is that after the first attempt which got no usable answer; each
	// further one is twice as long.
	firstPause = time.Second
	// unsaidPause is that after a request too many if the provider does not say
	// how long to wait: GitHub's documentation asks for a minute at least.
	unsaidPause = time.Minute
	// patience is how long a call may wait in all if its context has no deadline.
	patience = 5 * time.Minute
	// attemptTimeout is how long one attempt may take.
	attemptTimeout = 30 * time.Second
	// maxReply is more than any reply that a driver asks for.
	maxReply = 64 << 20
)

// Options are for tests; the zero value is right for everybody else.
type Options struct {
	Next    http.RoundTripper // what carries requests; nil means http.DefaultTransport
	Clock   Clock             // nil means the real one
	Timeout time.Duration     // of one attempt; zero means half a minute
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Transport carries requests to a provider. A reply is read in full before it is
// returned, so that one which breaks off counts as none.
type Transport struct {
	provider string
	check    string
	options  Options
}

// NewTransport returns a Transport to a provider, whose errors begin with its
// name; check is what to look at when the provider refuses the token.
func NewTransport(provider, check string, o Options) *Transport {
	if o.Next == nil {
		o.Next = http.DefaultTransport
	}
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	if o.Timeout == 0 {
		o.Timeout = attemptTimeout
	}
	return &Transport{provider: provider, check: check, options: o}
}

// Sleep waits.
func (t *Transport) Sleep(ctx context.Context, d time.Duration) error {
	return t.options.Clock.Sleep(ctx, d)
}

type repeatable struct{}

// Repeatable marks requests that do nothing more when they are made again, though
// their method (POST, PATCH) does not say so.
func Repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatable{}, true)
}

// RoundTrip implements http.RoundTripper. Replies that say no are returned like
// others, apart from those that the package's errors stand for.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := drain(r.Body)
	if err != nil {
		return nil, err
	}
	clock := t.options.Clock
	deadline, set := r.Context().Deadline()
	if !set {
		deadline = clock.Now().Add(patience)
	}
	for attempt, pause := 1, firstPause; ; attempt, pause = attempt+1, 2*pause {
		reply, err := t.once(r, body)
		if ended := r.Context().Err(); ended != nil && err != nil {
			return nil, fmt.Errorf("%s: %w: %w", t.provider, ErrUnanswered, context.Cause(r.Context()))
		}
		v := judge(r, reply, err, clock.Now())
		switch {
		case v.err == nil:
			return reply, nil
		case errors.Is(v.err, ErrToken):
			return nil, fmt.Errorf("%s: %w: %s", t.provider, v.err, t.check)
		case !v.again:
			return nil, fmt.Errorf("%s: %w", t.provider, v.err)
		case attempt == attempts:
			return nil, fmt.Errorf("%s: %w, %d times", t.provider, v.err, attempts)
		}
		wait := max(v.wait, pause)
		if left := deadline.Sub(clock.Now()); wait > left {
			return nil, fmt.Errorf("%s: %w: the next attempt is due in %s, and only %s are left",
				t.provider, v.err, wait.Round(time.Second), max(left, 0).Round(time.Second))
		}
		if err := clock.Sleep(r.Context(), wait); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", t.provider, v.err, err)
		}
	}
}

// once makes one attempt.
func (t *Transport) once(r *http.Request, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(r.Context(), t.options.Timeout, fmt.Errorf("no reply within %s", t.options.Timeout))
	defer cancel()
	r = r.Clone(ctx)
	if body != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.ContentLength = int64(len(body))
	}
	reply, err := t.options.Next.RoundTrip(r)
	if err != nil {
		return nil, cause(ctx, err)
	}
	content, err := drain(reply.Body)
	if err != nil {
		return nil, cause(ctx, err)
	}
	reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	return reply, nil
}

// cause prefers the reason why a context has ended to the fact that it has.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func drain(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, maxReply+1))
	if err == nil && len(content) > maxReply {
		err = fmt.Errorf("more than %d MiB", maxReply>>20)
	}
	return content, err
}

// verdict is what an attempt means: nothing is wrong, or err, and then whether and
// after how long to try again.
type verdict struct {
	err   error
	again bool
	wait  time.Duration
}

// judge says what came of an attempt.
func judge(r *http.Request, reply *http.Response, err error, now time.Time) verdict {
	if err != nil {
		return verdict{err: fmt.Errorf("%w: %w", ErrUnanswered, err), again: harmless(r) || neverArrived(err)}
	}
	switch status := reply.StatusCode; {
	case status == http.StatusUnauthorized:
		return verdict{err: fmt.Errorf("%w (%s)", ErrToken, said(reply))}
	case limited(reply):
		// Whoever asks too often is turned away before anything is done.
		return verdict{err: fmt.Errorf("%w (%s)", ErrLimited, said(reply)), again: true, wait: limitedFor(reply.Header, now)}
	case status >= 500 && status != http.StatusNotImplemented:
		wait, _ := retryAfter(reply.Header, now)
		return verdict{err: fmt.Errorf("%w (%s)", ErrUnanswered, said(reply)), again: harmless(r), wait: wait}
	}
	return verdict{}
}

// harmless says that making the request twice does no more than making it once.
func harmless(r *http.Request) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodDelete}, r.Method) || r.Context().Value(repeatable{}) != nil
}

func neverArrived(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// limited recognises GitHub's primary and secondary limits, some of which come as
// 403, and those of everybody else.
func limited(reply *http.Response) bool {
	switch reply.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return reply.Header.Get("Retry-After") != "" || reply.Header.Get("X-Ratelimit-Remaining") == "0" ||
			strings.Contains(strings.ToLower(said(reply)), "secondary rate limit")
	}
	return false
}

// limitedFor is how long to wait: a Retry-After, or until the time, in seconds since
// 1970, at which a limit is reset that is used up. GitHub tells the reset of its
// primary limit with every reply: of any other limit it says nothing.
func limitedFor(h http.Header, now time.Time) time.Duration {
	if wait, set := retryAfter(h, now); set {
		return wait
	}
	for _, limit := range []string{"X-Ratelimit-", "Ratelimit-"} {
		if seconds, err := strconv.ParseInt(h.Get(limit+"Reset"), 10, 64); err == nil && h.Get(limit+"Remaining") == "0" {
			return max(0, time.Unix(seconds, 0).Sub(now)) + time.Second
		}
	}
	return unsaidPause
}

func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// said is what a reply says of itself: its status, and the message in it, which
// stays there.
func said(reply *http.Response) string {
	content, err := drain(reply.Body)
	reply.Body = io.NopCloser(bytes.NewReader(content))
	status := fmt.Sprintf("%d %s", reply.StatusCode, http.StatusText(reply.StatusCode))
	if err != nil {
		return status
	}
	var message struct {
		Message json.RawMessage `json:"message"`
		Error   string          `json:"error"`
	}
	if json.Unmarshal(content, &message) != nil {
		return status
	}
	var text string
	if json.Unmarshal(message.Message, &text) != nil {
		text = message.Error
	}
	if text == "" {
		return status
	}
	return status + ": " + text
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
