package driver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// stopped is a clock that only waiting moves.
type stopped struct{ slept time.Duration }

func (s *stopped) Now() time.Time { return now.Add(s.slept) }

func (s *stopped) Sleep(ctx context.Context, d time.Duration) error {
	s.slept += d
	return context.Cause(ctx)
}

// script answers requests one after the other, and every further one like the last.
type script struct {
	answers []any // replies and errors
	bodies  []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(content)
	}
	s.bodies = append(s.bodies, body)
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	if err, failed := answer.(error); failed {
		return nil, err
	}
	return answer.(*http.Response), nil
}

func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

var errBroken = errors.New("broken")

func TestJudge(t *testing.T) {
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	const secondary = `{"message":"You have exceeded a secondary rate limit."}`
	// quota is a reply with the headers of a rate limit.
	quota := func(status int, body, prefix, remaining, reset string) *http.Response {
		return reply(status, body, prefix+"Remaining", remaining, prefix+"Reset", reset)
	}
	const github, gitlab = "X-RateLimit-", "RateLimit-"
	for name, tc := range map[string]struct {
		method string
		reply  *http.Response
		err    error
		want   error
		again  bool
		wait   time.Duration
	}{
		"fine":                    {reply: reply(200, "")},
		"not found":               {reply: reply(404, "")},
		"a conflict":              {method: "POST", reply: reply(422, "")},
		"not implemented":         {reply: reply(501, "")},
		"forbidden":               {reply: reply(403, `{"message":"Must have admin rights"}`)},
		"forbidden below limit":   {reply: quota(403, "", github, "17", "9999999999")},
		"bad token":               {reply: reply(401, ""), want: ErrToken},
		"read, bad gateway":       {reply: reply(502, ""), want: ErrUnanswered, again: true},
		"read, broken":            {err: errBroken, want: ErrUnanswered, again: true},
		"deletion, broken":        {method: "DELETE", err: errBroken, want: ErrUnanswered, again: true},
		"creation, bad gateway":   {method: "POST", reply: reply(502, ""), want: ErrUnanswered},
		"creation, broken":        {method: "POST", err: errBroken, want: ErrUnanswered},
		"change, broken":          {method: "PATCH", err: errBroken, want: ErrUnanswered},
		"unavailable for a while": {reply: reply(503, "", "Retry-After", "7"), want: ErrUnanswered, again: true, wait: seconds(7)},
		"primary limit": {
			method: "POST", reply: quota(403, "", github, "0", "1777863731"),
			want: ErrLimited, again: true, wait: seconds(11),
		},
		"primary limit, reset by now": {
			reply: quota(429, "", github, "0", "1777863700"),
			want:  ErrLimited, again: true, wait: seconds(1),
		},
		"secondary limit": {
			method: "POST", reply: reply(403, "", "Retry-After", "30", "X-RateLimit-Remaining", "17"),
			want: ErrLimited, again: true, wait: seconds(30),
		},
		"secondary limit without a wait": {
			reply: reply(403, secondary),
			want:  ErrLimited, again: true, wait: seconds(60),
		},
		"secondary limit below the primary": {
			reply: quota(403, secondary, github, "4711", "1777867321"),
			want:  ErrLimited, again: true, wait: seconds(60),
		},
		"429 below the primary limit": {
			reply: quota(429, "", github, "4711", "1777867321"),
			want:  ErrLimited, again: true, wait: seconds(60),
		},
		"429": {
			reply: reply(429, "Retry later"),
			want:  ErrLimited, again: true, wait: seconds(60),
		},
		"429 until a date": {
			reply: reply(429, "", "Retry-After", "Mon, 04 May 2026 03:02:41 GMT"),
			want:  ErrLimited, again: true, wait: seconds(40),
		},
		"429 until a reset": {
			reply: quota(429, "", gitlab, "0", "1777863741"),
			want:  ErrLimited, again: true, wait: seconds(21),
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tc.method, "http://provider.example/path", nil)
			if err != nil {
				t.Fatal(err)
			}
			v := judge(r, tc.reply, tc.err, now)
			if !errors.Is(v.err, tc.want) || (tc.want == nil) != (v.err == nil) || v.again != tc.again || v.wait != tc.wait {
				t.Errorf("%v, again %t, after %s; want %v, %t, %s", v.err, v.again, v.wait, tc.want, tc.again, tc.wait)
			}
			if tc.method != "POST" || !errors.Is(v.err, ErrUnanswered) {
				return
			}
			if !judge(r.WithContext(Repeatable(t.Context())), tc.reply, tc.err, now).again {
				t.Error("a repeatable request is not repeated")
			}
		})
	}
}

func TestTransport(t *testing.T) {
	for name, tc := range map[string]struct {
		method   string
		answers  []any
		requests int
		slept    time.Duration
		message  string // of the error
		status   int
	}{
		"first attempt": {"POST", []any{reply(201, "made")}, 1, 0, "", 201},
		"third attempt": {"GET", []any{reply(502, ""), errBroken, reply(200, "ok")}, 3, 3 * time.Second, "", 200},
		"never": {
			"GET",
			[]any{reply(503, `{"message":"maintenance"}`)},
			5, 15 * time.Second, "Forge: no usable answer (503 Service Unavailable: maintenance) after 5 attempts", 0,
		},
		"creation": {"POST", []any{reply(503, ""), reply(201, "")}, 1, 0, "Forge: no usable answer", 0},
		"limit": {
			"POST",
			[]any{reply(429, "", "Retry-After", "100"), reply(429, "", "Retry-After", "100"), reply(201, "")},
			3, 200 * time.Second, "", 201,
		},
		"limit beyond patience": {
			"GET",
			[]any{reply(429, "", "Retry-After", "301"), reply(200, "")},
			1, 0, "rate limit exceeded (429 Too Many Requests): the next attempt is due in 5m1s", 0,
		},
		"token": {
			"GET",
			[]any{reply(401, `{"message":"Bad credentials"}`)},
			1, 0, "Forge: the token was refused (401 Unauthorized: Bad credentials): look twice", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock, next := &stopped{}, &script{answers: tc.answers}
			c := &http.Client{Transport: NewTransport("Forge", "look twice", Options{Next: next, Clock: clock})}
			r, err := http.NewRequestWithContext(t.Context(), tc.method, "http://provider.example/path", strings.NewReader("the body"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Do(r)
			if err == nil {
				got.Body.Close()
			}
			if (tc.message == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.message) {
				t.Fatalf("error %v, want one with %q", err, tc.message)
			}
			if err == nil && got.StatusCode != tc.status {
				t.Errorf("status %d, want %d", got.StatusCode, tc.status)
			}
			if len(next.bodies) != tc.requests || clock.slept != tc.slept {
				t.Errorf("%d requests and %s of sleep, want %d and %s", len(next.bodies), clock.slept, tc.requests, tc.slept)
			}
			for _, body := range next.bodies {
				if body != "the body" {
					t.Errorf("a request carried %q", body)
				}
			}
		})
	}
}

func TestCreate(t *testing.T) {
	lost, taken := ErrUnanswered, errors.New("already exists")
	for name, tc := range map[string]struct {
		outcomes []error // of each creation
		foundBy  int     // the call of find, counted from one, that succeeds; zero for none
		want     error
		attempts int
	}{
		"at once":                        {[]error{nil}, 0, nil, 1},
		"refused":                        {[]error{taken}, 0, taken, 1},
		"reply lost":                     {[]error{lost}, 1, nil, 1},
		"request lost":                   {[]error{lost, nil}, 0, nil, 2},
		"found late":                     {[]error{lost, lost, lost}, 3, nil, 3},
		"refused because it exists":      {[]error{lost, taken}, 2, nil, 2},
		"refused because of another one": {[]error{lost, taken}, 0, taken, 2},
		"never":                          {[]error{lost, lost, lost, lost, lost, nil}, 0, lost, attempts},
	} {
		t.Run(name, func(t *testing.T) {
			attempts, finds := 0, 0
			tr := NewTransport("Forge", "", Options{Clock: &stopped{}})
			_, err := Create(t.Context(), tr,
				func(context.Context) (bool, bool, error) { finds++; return true, finds == tc.foundBy, nil },
				func(context.Context) (bool, error) { attempts++; return true, tc.outcomes[attempts-1] })
			if !errors.Is(err, tc.want) || (tc.want == nil) != (err == nil) || attempts != tc.attempts {
				t.Errorf("%v after %d attempts, want %v after %d", err, attempts, tc.want, tc.attempts)
			}
		})
	}
	blind := errors.New("cannot search")
	_, err := Create(t.Context(), NewTransport("Forge", "", Options{Clock: &stopped{}}),
		func(context.Context) (bool, bool, error) { return false, false, blind },
		func(context.Context) (bool, error) { return false, lost })
	if !errors.Is(err, blind) || !errors.Is(err, lost) {
		t.Errorf("when the search fails: %v", err)
	}
}

func TestNewest(t *testing.T) {
	report := func(context string, at int, id int64, state provider.State) Report {
		return Report{provider.Status{Context: context, State: state}, now.Add(time.Duration(at) * time.Second), id}
	}
	got := Newest([]Report{
		report("b", 1, 9, provider.Failure), report("a", 1, 1, provider.Pending), report("b", 2, 2, provider.Success),
		report("c", 5, 6, provider.Success), report("c", 5, 5, provider.Pending),
	})
	want := []provider.Status{
		{Context: "a", State: provider.Pending}, {Context: "b", State: provider.Success}, {Context: "c", State: provider.Success},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUniqueName(t *testing.T) {
	long := strings.Repeat("n", 200)
	a, b := UniqueName(long), UniqueName(long)
	if a == b || len(a) > 100 || strings.ToLower(a) != a {
		t.Errorf("names are %s and %s", a, b)
	}
}
