// Package driver is the common part of the drivers of Git providers: a transport that waits when a
// provider asks for it, repeats what may be repeated and explains a refusal; and functions that
// create things exactly once although replies get lost.
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

// The errors of the Transport.
var (
	// ErrToken means that the provider does not know the token.
	ErrToken = errors.New("the token was refused")
	// ErrLimited means that the rate limit is used up, and that it is restored too late to wait for
	// it.
	ErrLimited = errors.New("rate limit exceeded")
	// ErrUnanswered means that it is unknown whether a request was carried out.
	ErrUnanswered = errors.New("no usable answer")
)

const (
	// attempts bounds how often a request is made.
	attempts = 5
	// firstPause follows the first attempt without a usable answer; each further pause is twice as
	// long.
	firstPause = time.Second
	// limitPause follows a request beyond the rate limit if the provider does not say how long to
	// wait: GitHub's documentation asks for at least a minute.
	limitPause = time.Minute
	// patience bounds the waiting of one call whose context has no deadline.
	patience = 5 * time.Minute
	// attemptTimeout bounds one attempt.
	attemptTimeout = 30 * time.Second
	// maxReply is larger than any reply a driver asks for.
	maxReply = 64 << 20
)

// Options are for tests. Production code leaves them zero.
type Options struct {
	Next    http.RoundTripper // carries the requests; nil means http.DefaultTransport
	Clock   Clock             // nil means the real one
	Timeout time.Duration     // of one attempt; zero means half a minute
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Transport carries requests to a provider. It reads a reply in full before it returns it, so a
// reply that breaks off counts as none.
type Transport struct {
	provider string
	check    string
	options  Options
}

// NewTransport returns a Transport. Its errors begin with the name of the provider; check tells the
// user what to check when the provider refuses the token.
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

// Sleep waits on the Transport's clock.
func (t *Transport) Sleep(ctx context.Context, d time.Duration) error {
	return t.options.Clock.Sleep(ctx, d)
}

type repeatable struct{}

// Repeatable marks requests as idempotent although their method (POST, PATCH) is not.
func Repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatable{}, true)
}

// RoundTrip implements http.RoundTripper. It returns refusals like other replies, except those that
// one of the package's errors stands for.
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
			return nil, fmt.Errorf("%s: %w after %d attempts", t.provider, v.err, attempts)
		}
		wait := max(v.wait, pause)
		if left := deadline.Sub(clock.Now()); wait > left {
			return nil, fmt.Errorf("%s: %w: the next attempt is due in %s, but only %s is left",
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

// cause returns why the context has ended, or, if it has not, the error.
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
		err = fmt.Errorf("larger than %d MiB", maxReply>>20)
	}
	return content, err
}

// verdict is the outcome of an attempt.
type verdict struct {
	err   error         // nil means that the reply is usable
	again bool          // whether to try again
	wait  time.Duration // at least this long before that
}

// judge decides what an attempt amounts to.
func judge(r *http.Request, reply *http.Response, err error, now time.Time) verdict {
	if err != nil {
		return verdict{err: fmt.Errorf("%w: %w", ErrUnanswered, err), again: idempotent(r) || neverArrived(err)}
	}
	switch status := reply.StatusCode; {
	case status == http.StatusUnauthorized:
		return verdict{err: fmt.Errorf("%w (%s)", ErrToken, summary(reply))}
	case limited(reply):
		// A provider refuses a request beyond the limit before it does anything.
		return verdict{err: fmt.Errorf("%w (%s)", ErrLimited, summary(reply)), again: true, wait: limitedFor(reply.Header, now)}
	case status >= 500 && status != http.StatusNotImplemented:
		wait, _ := retryAfter(reply.Header, now)
		return verdict{err: fmt.Errorf("%w (%s)", ErrUnanswered, summary(reply)), again: idempotent(r), wait: wait}
	}
	return verdict{}
}

// idempotent reports whether making the request twice has the same effect as making it once.
func idempotent(r *http.Request) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodDelete}, r.Method) ||
		r.Context().Value(repeatable{}) != nil
}

// neverArrived reports whether the connection failed before the request was sent.
func neverArrived(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// limited recognises a rate limit: the usual 429, and GitHub's primary and secondary limits, some
// of which come as 403.
func limited(reply *http.Response) bool {
	switch reply.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return reply.Header.Get("Retry-After") != "" || reply.Header.Get("X-Ratelimit-Remaining") == "0" ||
			strings.Contains(strings.ToLower(summary(reply)), "secondary rate limit")
	}
	return false
}

// limitedFor returns how long to wait: as Retry-After says, or, if the limit of the headers is used
// up, until it is reset, which is in seconds since 1970. GitHub sends the reset of its primary
// limit with every reply, and nothing about any other limit.
func limitedFor(h http.Header, now time.Time) time.Duration {
	if wait, set := retryAfter(h, now); set {
		return wait
	}
	for _, limit := range []string{"X-Ratelimit-", "Ratelimit-"} {
		if seconds, err := strconv.ParseInt(h.Get(limit+"Reset"), 10, 64); err == nil && h.Get(limit+"Remaining") == "0" {
			return max(0, time.Unix(seconds, 0).Sub(now)) + time.Second
		}
	}
	return limitPause
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

// summary returns the status of a reply and the message in its body, which stays readable.
func summary(reply *http.Response) string {
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
