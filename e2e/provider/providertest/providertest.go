// Package providertest is the contract of the drivers of Git providers.
package providertest

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/fromenv"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/smee"
)

const (
	// deadline bounds a test with a provider on the internet.
	deadline = 5 * time.Minute
	// eventDeadline bounds the wait for one event.
	eventDeadline = time.Minute
)

// Subject is a driver under test, and a way around it to see what it did at the provider.
type Subject struct {
	// New returns the driver as its users create it, with these options changed.
	New func(t *testing.T, o Options) provider.Provider
	// DisplayName is the name of the provider in the errors of the driver.
	DisplayName string
	// Limits are the forms of the provider's rate limit.
	Limits []Limit
	// Page is a number of items that exceeds the provider's longest page.
	Page int
	// Hook makes webhooks reach an address on this machine, and returns where the provider posts
	// them. Nil means that the provider can post them to that address.
	Hook func(t *testing.T, receiver string) string

	Backdoor
}

// Options are what a test changes in a driver.
type Options struct {
	Token  string // replaces the right one, unless empty
	Hook   string
	Driver driver.Options
}

// TokenOr returns the token to use, given the right one.
func (o Options) TokenOr(right string) string { return cmp.Or(o.Token, right) }

// Limit is one form of a rate limit: the reply to a request that must wait so long.
type Limit struct {
	Name  string
	Reply func(now time.Time, wait time.Duration) (status int, header map[string]string, body string)
}

// Backdoor reads the provider without the driver, and reports statuses there in place of PAC.
type Backdoor struct {
	// Repositories returns the URLs of all repositories of the account.
	Repositories func(ctx context.Context) ([]string, error)
	// Files returns the contents of a branch by path.
	Files func(ctx context.Context, url, branch string) (map[string]string, error)
	// Commits returns the hashes of the commits of a branch, newest first.
	Commits func(ctx context.Context, url, branch string) ([]string, error)
	// PullRequests returns the hash of the head commit of each pull request.
	PullRequests func(ctx context.Context, url string) ([]string, error)
	// Hooks counts the webhooks.
	Hooks func(ctx context.Context, url string) (int, error)
	// Report reports a status as PAC does.
	Report func(ctx context.Context, url, sha, name string, state provider.State) error
	// Event parses a delivery and verifies its signature with the secret.
	Event func(header http.Header, body []byte, secret string) (Event, error)
}

// Kind is the kind of an event.
type Kind string

// The kinds that the contract tells apart.
const (
	Push        Kind = "push"
	PullRequest Kind = "pull request"
	Other       Kind = "other"
)

// Event is the content of a delivery.
type Event struct {
	Kind       Kind
	Repository string // its URL
	Branch     string // the one pushed to, or the head of the pull request
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
	t.Run("ConcurrentPushes", s.concurrentPushes)
	t.Run("NoFiles", s.noFiles)
	t.Run("PullRequest", s.pullRequest)
	t.Run("Statuses", s.statuses)
	t.Run("Delete", s.delete)
	t.Run("FailedCreation", s.failedCreation)
	t.Run("WrongToken", s.wrongToken)
	t.Run("Unavailable", s.unavailable)
	t.Run("Silent", s.silent)
	t.Run("ExactlyOnce", s.exactlyOnce)
	for _, limit := range s.Limits {
		t.Run("Limit/"+limit.Name, func(t *testing.T) { s.limited(t, limit) })
	}
}

// RunForReal runs the contract on a provider on the internet. It skips the test if the environment
// gives no access to the provider.
func RunForReal[O any](t *testing.T, fromEnv func(fromenv.Env) (O, string, error), subject func(*testing.T, O) Subject) {
	if testing.Short() {
		t.Skip("uses a provider on the internet")
	}
	o, skipped, err := fromEnv(fromenv.OS)
	must(t, err)
	if skipped != "" {
		t.Skip(skipped)
	}
	s := subject(t, o)
	s.Hook = relayed(fromenv.OS(fromenv.Relay))
	Run(t, s)
}

// relayed returns a Subject.Hook for a provider on the internet: webhooks reach this machine
// through a channel.
func relayed(channel string) func(*testing.T, string) string {
	return func(t *testing.T, receiver string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		relay, err := smee.Start(ctx, smee.Options{Channel: channel, Target: receiver, Log: t.Logf})
		must(t, err)
		t.Cleanup(relay.Close)
		return channel
	}
}

// contextFor returns a context for one test.
func contextFor(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// driver returns a driver whose requests go through the wire, unless it is nil.
func (s *suite) driver(t *testing.T, w *wire) provider.Provider {
	t.Helper()
	o := Options{Hook: s.hook}
	if w != nil {
		o.Driver = driver.Options{Next: w, Clock: w.clock}
	}
	return s.New(t, o)
}

// repository creates a repository for a test, which deletes it at the end.
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

// nameOf returns a name for the repository of a test: the name of the test without the characters
// that providers forbid.
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

// ours returns the URLs of the repositories that a test has created: they contain the name of the
// test.
func (s *suite) ours(ctx context.Context, t *testing.T) []string {
	t.Helper()
	urls, err := s.Repositories(ctx)
	must(t, err)
	return slices.DeleteFunc(urls, func(url string) bool { return !strings.Contains(url, nameOf(t)) })
}
