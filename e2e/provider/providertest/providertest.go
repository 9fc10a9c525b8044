// Package providertest is the contract of the drivers of Git providers.
package providertest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/smee"
)

// deadline is how long a test may take with a provider on the internet, and how
// long an event may.
const (
	deadline      = 5 * time.Minute
	eventDeadline = time.Minute
)

// Subject is a driver, its provider, and how to see what it did there without it.
type Subject struct {
	// New returns the driver, as its users make it apart from the options.
	New func(t *testing.T, o Options) provider.Provider
	// DisplayName is how the driver's errors name the provider.
	DisplayName string
	// Limits are the ways in which the provider says that it is asked too often.
	Limits []Limit
	// Page is more of anything than the provider lists at once.
	Page int
	// Hook makes webhooks reach an address on this machine and returns where to
	// send them. Nil means that they reach it as it is.
	Hook func(t *testing.T, receiver string) string

	Backdoor
}

// Options are how a test wants a driver to be different.
type Options struct {
	Token  string // instead of the right one, unless it is empty
	Hook   string
	Driver driver.Options
}

// Limit is one way to say that one is asked too often and should wait so long.
type Limit struct {
	Name  string
	Reply func(now time.Time, wait time.Duration) (status int, header map[string]string, body string)
}

// Backdoor shows what is at the provider, and does there what PAC does.
type Backdoor struct {
	// Repositories returns the URLs of all repositories of the account.
	Repositories func(ctx context.Context) ([]string, error)
	// Files returns what is in a branch.
	Files func(ctx context.Context, url, branch string) (map[string]string, error)
	// Commits returns the hashes of a branch's commits, the newest first.
	Commits func(ctx context.Context, url, branch string) ([]string, error)
	// PullRequests returns the hashes of the commits that are to be merged.
	PullRequests func(ctx context.Context, url string) ([]string, error)
	// Hooks counts webhooks.
	Hooks func(ctx context.Context, url string) (int, error)
	// Report reports a status as PAC does.
	Report func(ctx context.Context, url, sha, name string, state provider.State) error
	// Event reads a delivery and checks that it is signed with the secret.
	Event func(header http.Header, body []byte, secret string) (Event, error)
}

// Kind of an event.
type Kind string

// The kinds that matter.
const (
	Push        Kind = "push"
	PullRequest Kind = "pull request"
	Other       Kind = "other"
)

// Event is what a delivery tells.
type Event struct {
	Kind       Kind
	Repository string // its URL
	Branch     string // that was pushed to, or is to be merged
	SHA        string
}

// suite is one run of the contract.
type suite struct {
	Subject
	hook     string
	receiver *receiver
}

// Run runs the contract.
func Run(t *testing.T, subject Subject) {
	s := &suite{Subject: subject, receiver: newReceiver(t)}
	s.hook = s.receiver.url
	if s.Hook != nil {
		s.hook = s.Hook(t, s.receiver.url)
	}
	t.Run("NewRepository", s.newRepository)
	t.Run("Push", s.push)
	t.Run("PushesAtTheSameTime", s.pushesAtTheSameTime)
	t.Run("NoFiles", s.noFiles)
	t.Run("PullRequest", s.pullRequest)
	t.Run("Statuses", s.statuses)
	t.Run("Delete", s.delete)
	t.Run("NothingStaysBehind", s.nothingStaysBehind)
	t.Run("WrongToken", s.wrongToken)
	t.Run("Unavailable", s.unavailable)
	t.Run("Silent", s.silent)
	t.Run("OncePerRequest", s.once)
	for _, limit := range s.Limits {
		t.Run("Limit/"+limit.Name, func(t *testing.T) { s.limited(t, limit) })
	}
}

// contextFor returns a context for one test.
func contextFor(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// driver returns a driver whose requests go through the wire, if there is one.
func (s *suite) driver(t *testing.T, w *wire) provider.Provider {
	t.Helper()
	o := Options{Hook: s.hook}
	if w != nil {
		o.Driver = driver.Options{Next: w, Clock: w.clock}
	}
	return s.New(t, o)
}

// repository makes a repository for a test.
func (s *suite) repository(ctx context.Context, t *testing.T, p provider.Provider) provider.Repository {
	t.Helper()
	r, err := p.NewRepository(ctx, nameOf(t))
	must(t, err)
	t.Cleanup(func() {
		if err := r.Delete(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return r
}

// nameOf names the repository of a test: a test name without what providers do not
// allow.
func nameOf(t *testing.T) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.TrimPrefix(t.Name(), "Test"))
	return strings.ToLower(strings.Trim(name, "-"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ours are the repositories that a test has made: their names contain its name.
func (s *suite) ours(ctx context.Context, t *testing.T) []string {
	t.Helper()
	urls, err := s.Repositories(ctx)
	must(t, err)
	return slices.DeleteFunc(urls, func(url string) bool { return !strings.Contains(url, nameOf(t)) })
}

// Relayed returns a Subject.Hook for a provider on the internet: webhooks reach this
// machine through a channel.
func Relayed(channel string) func(*testing.T, string) string {
	return func(t *testing.T, receiver string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		relay, err := smee.Start(ctx, smee.Options{Channel: channel, Target: receiver, Log: t.Logf})
		must(t, err)
		t.Cleanup(relay.Close)
		return channel
	}
}
