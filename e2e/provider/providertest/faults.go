package providertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// attempts is more often than a driver may send one request.
const attempts = 10

// failedCreation: if a later step of NewRepository fails, or its context ends, no repository is
// left.
func (s *suite) failedCreation(t *testing.T) {
	hook := func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/hooks")
	}
	creation := func(r *http.Request) bool {
		return r.Method == http.MethodPost &&
			(strings.HasSuffix(r.URL.Path, "/repos") || strings.HasSuffix(r.URL.Path, "/projects"))
	}
	for name, tc := range map[string]struct {
		at   func(*http.Request) bool
		then func(cancel context.CancelFunc) fault
	}{
		"hook refused": {hook, func(context.CancelFunc) fault {
			return answer(http.StatusUnprocessableEntity, nil, `{"message":"no webhooks today"}`)
		}},
		"hook unavailable": {hook, func(context.CancelFunc) fault {
			return answer(http.StatusBadGateway, nil, `{"message":"no webhooks today"}`)
		}},
		"context ends at the hook": {hook, func(cancel context.CancelFunc) fault {
			return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
				cancel()
				return hang(r, nil)
			}
		}},
		"context ends as the repository is created": {creation, func(cancel context.CancelFunc) fault {
			return func(r *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
				_, _ = lose(r, next)
				cancel()
				return nil, errLost
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(contextFor(t))
			defer cancel()
			happened := false
			w := newWire(func(r *http.Request) fault {
				if tc.at(r) {
					happened = true
					return tc.then(cancel)
				}
				return nil
			})
			if r, err := s.driver(t, w).NewRepository(ctx, nameOf(t)); err == nil {
				t.Errorf("NewRepository succeeded: %+v", r.Access())
			}
			if !happened {
				t.Fatal("the request to spoil was never made")
			}
			if ours := s.ours(context.WithoutCancel(ctx), t); len(ours) > 0 {
				t.Errorf("left behind: %v", ours)
			}
		})
	}
}

// wrongToken: the error says which provider refused the token and what to check.
func (s *suite) wrongToken(t *testing.T) {
	ctx := contextFor(t)
	_, err := s.New(t, Options{Token: "wrong", Hook: s.hook}).NewRepository(ctx, nameOf(t))
	if !errors.Is(err, driver.ErrToken) {
		t.Fatalf("the error is %v", err)
	}
	for _, want := range []string{s.DisplayName, driver.ErrToken.Error(), "check that", nameOf(t)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in the error: %v", want, err)
		}
	}
}

// exercise calls every function of a driver once and checks that each took effect exactly once.
func (s *suite) exercise(ctx context.Context, t *testing.T, w *wire) {
	t.Helper()
	r, err := s.driver(t, w).NewRepository(ctx, nameOf(t))
	must(t, err)
	a := r.Access()
	sha, err := r.Push(ctx, map[string]string{"file": "pushed", "binary": "\xff"}, "the push")
	must(t, err)
	change, err := r.OpenPullRequest(ctx, "change", map[string]string{"file": "changed"}, "the change")
	must(t, err)
	_, err = r.Statuses(ctx, sha)
	must(t, err)

	if ours := s.ours(ctx, t); !slices.Equal(ours, []string{a.URL}) {
		t.Errorf("the repositories are %v, want %s", ours, a.URL)
	}
	if hooks, err := s.Hooks(ctx, a.URL); err != nil || hooks != 1 {
		t.Errorf("%d webhooks, %v; want 1", hooks, err)
	}
	if commits, err := s.Commits(ctx, a.URL, "change"); err != nil || len(commits) != 3 || commits[0] != change || commits[1] != sha {
		t.Errorf("commits %v, %v; want %s on %s on the first", commits, err, change, sha)
	}
	if commits, err := s.Commits(ctx, a.URL, provider.Branch); err != nil || len(commits) != 2 || commits[0] != sha {
		t.Errorf("commits %v, %v on %s; want %s on the first", commits, err, provider.Branch, sha)
	}
	if pulls, err := s.PullRequests(ctx, a.URL); err != nil || !slices.Equal(pulls, []string{change}) {
		t.Errorf("pull requests for %v, %v; want %s", pulls, err, change)
	}
	s.await(ctx, t, a.URL, a.Webhook, Event{Kind: PullRequest, Branch: "change", SHA: change})
	// Push events arrive in order, so a duplicate of an earlier event has arrived by now.
	last, err := r.Push(ctx, map[string]string{"file": "last"}, "the last push")
	must(t, err)
	s.await(ctx, t, a.URL, a.Webhook, Event{Kind: Push, Branch: provider.Branch, SHA: last})
	for _, e := range []Event{
		{Kind: Push, Branch: provider.Branch, SHA: sha},
		{Kind: Push, Branch: "change", SHA: change},
		{Kind: PullRequest, Branch: "change", SHA: change},
	} {
		if n := s.count(t, a.URL, a.Webhook, e); n != 1 {
			t.Errorf("event %+v arrived %d times, want once", e, n)
		}
	}

	must(t, r.Delete(ctx))
	if ours := s.ours(ctx, t); len(ours) > 0 {
		t.Errorf("left behind: %v", ours)
	}
}

// exactlyOnce: whichever request gets no usable answer, and whether or not it was carried out,
// everything is done exactly once.
func (s *suite) exactlyOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fault
		hits  func(*http.Request) bool
	}{
		"reply lost":       {lose, writes},
		"reply breaks off": {breakOff, writes},
		"carried out, but 502": {func(r *http.Request, next func() (*http.Response, error)) (*http.Response, error) {
			if reply, err := next(); err == nil {
				reply.Body.Close()
			}
			return answer(http.StatusBadGateway, nil, "<html>Bad Gateway</html>")(r, nil)
		}, writes},
		"never arrived": {answer(http.StatusServiceUnavailable, nil, `{"message":"down for a moment"}`), all},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(none)
			hit := w.firstTime(tc.hits, tc.fault)
			s.exercise(contextFor(t), t, w)
			if len(hit) < 5 || t.Failed() {
				t.Errorf("the fault hit %d requests: %v", len(hit), slices.Sorted(maps.Keys(hit)))
			}
		})
	}
}

// unavailable: after a bounded number of attempts the driver gives up with an error that says so.
func (s *suite) unavailable(t *testing.T) {
	ctx := contextFor(t)
	w := newWire(none)
	r := s.repository(ctx, t, s.driver(t, w))
	sha, err := r.Push(ctx, map[string]string{"file": "1"}, "before")
	must(t, err)
	defer w.set(none)

	down := answer(http.StatusServiceUnavailable, nil, `{"message":"down for maintenance"}`)
	w.set(first(2, down))
	if _, err := r.Statuses(ctx, sha); err != nil {
		t.Errorf("after two unusable answers: %v", err)
	}
	for name, f := range map[string]fault{"503": down, "no connection": lose, "half a reply": breakOff} {
		w.set(always(f))
		_, err := r.Statuses(ctx, sha)
		if !errors.Is(err, driver.ErrUnanswered) || !strings.Contains(fmt.Sprint(err), s.DisplayName) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if n := w.count(); n < 2 || n > attempts {
			t.Errorf("%s: the driver made %d requests", name, n)
		}
	}
	w.set(always(down))
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	slept := w.clock.total()
	if _, err := r.Statuses(short, sha); !errors.Is(err, driver.ErrUnanswered) || short.Err() != nil {
		t.Errorf("with little time left: %v", err)
	}
	if waited := w.clock.total() - slept; waited > 2*time.Second {
		t.Errorf("the driver waited %s, want at most 2s", waited)
	}
}

// silent: the driver asks a provider that does not answer again, and gives up when the context
// ends.
func (s *suite) silent(t *testing.T) {
	ctx := contextFor(t)
	w := newWire(none)
	const timeout = 10 * time.Second // which no provider needs for an answer, however busy its machine
	p := s.New(t, Options{Hook: s.hook, Driver: driver.Options{Next: w, Clock: w.clock, Timeout: timeout}})
	r := s.repository(ctx, t, p)
	sha, err := r.Push(ctx, map[string]string{"file": "1"}, "before")
	must(t, err)
	defer w.set(none)

	w.set(first(1, hang))
	if _, err := r.Statuses(ctx, sha); err != nil {
		t.Errorf("after one silence: %v", err)
	}
	w.set(always(hang))
	short, cancel := context.WithTimeout(ctx, timeout/40)
	defer cancel()
	if _, err := r.Statuses(short, sha); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), s.DisplayName) {
		t.Errorf("as the context ended: %v", err)
	}
}

// limited: the driver waits as long as a rate limit says, does nothing twice, and does not wait at
// all if too little time is left.
func (s *suite) limited(t *testing.T, limit Limit) {
	ctx := t.Context() // has no deadline, because the wire's clock is not real
	const wait = 90 * time.Second
	w := newWire(none)
	exceeded := func(wait time.Duration) fault {
		return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
			return answer(limit.Reply(w.clock.Now(), wait))(r, nil)
		}
	}
	refused := w.firstTime(writes, exceeded(wait))
	s.exercise(ctx, t, w)
	if least := time.Duration(len(refused)) * (wait - time.Second); len(refused) < 5 || w.clock.total() < least {
		t.Errorf("the driver waited %s after %d refusals, want at least %s", w.clock.total(), len(refused), least)
	}

	w = newWire(none)
	short, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, tc := range []struct {
		ctx  context.Context
		wait time.Duration
	}{{short, 30 * time.Second}, {ctx, time.Hour}} {
		w.set(always(exceeded(tc.wait)))
		_, err := s.driver(t, w).NewRepository(tc.ctx, nameOf(t)+"-late")
		if !errors.Is(err, driver.ErrLimited) || !strings.Contains(err.Error(), s.DisplayName) {
			t.Errorf("with a wait of %s: %v", tc.wait, err)
		}
		if waited := w.clock.total(); waited > 0 {
			t.Errorf("the driver waited %s of %s in vain", waited, tc.wait)
		}
	}
	w.set(always(exceeded(time.Second)))
	if _, err := s.driver(t, w).NewRepository(ctx, nameOf(t)+"-never"); !errors.Is(err, driver.ErrLimited) {
		t.Errorf("with every request refused: %v", err)
	}
	if n := w.count(); n > 3*attempts {
		t.Errorf("the driver made %d requests", n)
	}
}
