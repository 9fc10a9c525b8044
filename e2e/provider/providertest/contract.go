package providertest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// newRepository: a new repository has a branch with a first commit, and Access is complete.
func (s *suite) newRepository(t *testing.T) {
	ctx := contextFor(t)
	p := s.driver(t, nil)
	r := s.repository(ctx, t, p)
	a := r.Access()
	if a.Type != p.Name() || a.Token == "" || len(a.Webhook) < 16 ||
		!strings.HasPrefix(a.URL, "http") || !strings.Contains(a.URL, nameOf(t)) {
		t.Errorf("access is %+v", a)
	}
	if ours := s.ours(ctx, t); !slices.Equal(ours, []string{a.URL}) {
		t.Errorf("the repositories are %v, want %s", ours, a.URL)
	}
	commits, err := s.Commits(ctx, a.URL, provider.Branch)
	must(t, err)
	if len(commits) != 1 {
		t.Errorf("%s has the commits %v, want one", provider.Branch, commits)
	}
	hooks, err := s.Hooks(ctx, a.URL)
	must(t, err)
	if hooks != 1 {
		t.Errorf("the repository has %d webhooks, want 1", hooks)
	}
	other, err := p.NewRepository(ctx, nameOf(t)+"-2")
	must(t, err)
	defer func() {
		if err := other.Delete(ctx); err != nil {
			t.Error(err)
		}
	}()
	if b := other.Access(); b.Webhook == a.Webhook || b.URL == a.URL {
		t.Errorf("two repositories have the access %+v and %+v", a, b)
	}
}

// push: each push leaves exactly its files on the branch, in one commit, and causes one event.
func (s *suite) push(t *testing.T) {
	ctx := contextFor(t)
	r := s.repository(ctx, t, s.driver(t, nil))
	a := r.Access()
	many := map[string]string{
		"README.md": "changed\n", "deep/er/text": "äöü € 🙂\n", "a name with spaces": "x", "empty": "", "binary": "\x00\xff\xfe",
	}
	for i := range s.Page {
		many[fmt.Sprintf(".tekton/run-%03d.yaml", i)] = fmt.Sprintf("run: %d\n", i)
	}
	fewer := maps.Clone(many)
	delete(fewer, "README.md")
	delete(fewer, ".tekton/run-007.yaml")
	fewer["deep/er/text"] = "changed"
	fewer["deep/new"] = "added"
	fewer["binary"] = "now text"

	before, err := s.Commits(ctx, a.URL, provider.Branch)
	must(t, err)
	for _, files := range []map[string]string{many, fewer} {
		sha, err := r.Push(ctx, files, "a commit of "+t.Name())
		must(t, err)
		got, err := s.Files(ctx, a.URL, provider.Branch)
		must(t, err)
		if diff := cmp.Diff(files, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", provider.Branch, diff)
		}
		commits, err := s.Commits(ctx, a.URL, provider.Branch)
		must(t, err)
		if want := append([]string{sha}, before...); !slices.Equal(commits, want) {
			t.Fatalf("%s has the commits %v, want %v", provider.Branch, commits, want)
		}
		before = commits
		s.await(ctx, t, a.URL, a.Webhook, Event{Kind: Push, Branch: provider.Branch, SHA: sha})
	}
	// Events arrive in order, so a duplicate of an earlier one has arrived by now.
	if n := s.count(t, a.URL, a.Webhook, Event{Kind: Push, Branch: provider.Branch, SHA: before[1]}); n != 1 {
		t.Errorf("%d push events for one push", n)
	}
	events, _ := s.events(t, a.URL, a.Webhook)
	for _, e := range events {
		if e.Kind == Push && !slices.Contains(before[:2], e.SHA) {
			t.Errorf("an event without a push: %+v", e)
		}
	}
}

// concurrentPushes: concurrent pushes all land, one on top of the other.
func (s *suite) concurrentPushes(t *testing.T) {
	ctx := contextFor(t)
	r := s.repository(ctx, t, s.driver(t, nil))
	const n = 3
	shas, errs := make([]string, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { shas[i], errs[i] = r.Push(ctx, map[string]string{"file": fmt.Sprint(i)}, "concurrent") })
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
	commits, err := s.Commits(ctx, r.Access().URL, provider.Branch)
	must(t, err)
	if len(commits) != n+1 {
		t.Errorf("%s has %d commits, want %d", provider.Branch, len(commits), n+1)
	}
	for _, sha := range shas {
		if !slices.Contains(commits, sha) {
			t.Errorf("commit %s is not on %s", sha, provider.Branch)
		}
	}
}

// noFiles: every driver refuses a commit without files, so that no test relies on one.
func (s *suite) noFiles(t *testing.T) {
	ctx := contextFor(t)
	r := s.repository(ctx, t, s.driver(t, nil))
	if _, err := r.Push(ctx, nil, "nothing"); err == nil || !strings.Contains(err.Error(), driver.ErrNoFiles.Error()) {
		t.Errorf("pushing no files: %v", err)
	}
}

// pullRequest: a pull request has exactly its files on top of provider.Branch, which stays as it
// is, and causes an event.
func (s *suite) pullRequest(t *testing.T) {
	ctx := contextFor(t)
	r := s.repository(ctx, t, s.driver(t, nil))
	a := r.Access()
	base, err := r.Push(ctx, map[string]string{"old": "old", "both": "before"}, "the base")
	must(t, err)
	baseFiles, err := s.Files(ctx, a.URL, provider.Branch)
	must(t, err)
	files := map[string]string{"both": "after", "new": "new"}
	sha, err := r.OpenPullRequest(ctx, "change", files, "a change")
	must(t, err)
	got, err := s.Files(ctx, a.URL, "change")
	must(t, err)
	if diff := cmp.Diff(files, got); diff != "" {
		t.Errorf("files of the branch (-want +got):\n%s", diff)
	}
	commits, err := s.Commits(ctx, a.URL, "change")
	must(t, err)
	if len(commits) != 3 || commits[0] != sha || commits[1] != base {
		t.Errorf("the branch has the commits %v, want %s on %s", commits, sha, base)
	}
	pulls, err := s.PullRequests(ctx, a.URL)
	must(t, err)
	if !slices.Equal(pulls, []string{sha}) {
		t.Errorf("pull requests for %v, want %s", pulls, sha)
	}
	after, err := s.Files(ctx, a.URL, provider.Branch)
	must(t, err)
	if diff := cmp.Diff(baseFiles, after); diff != "" {
		t.Errorf("%s changed (-before +after):\n%s", provider.Branch, diff)
	}
	s.await(ctx, t, a.URL, a.Webhook, Event{Kind: PullRequest, Branch: "change", SHA: sha})
}

// statuses: a driver reads all pages and returns the newest status of each context.
func (s *suite) statuses(t *testing.T) {
	ctx := contextFor(t)
	r := s.repository(ctx, t, s.driver(t, nil))
	url := r.Access().URL
	sha, err := r.Push(ctx, map[string]string{"file": "1"}, "with statuses")
	must(t, err)
	if got, err := r.Statuses(ctx, sha); err != nil || len(got) != 0 {
		t.Fatalf("statuses are %v, %v before any was reported", got, err)
	}
	want := map[string]provider.State{}
	report := func(run int, state provider.State) {
		name := fmt.Sprintf("Pipelines as Code CI / run-%03d", run)
		must(t, s.Report(ctx, url, sha, name, state))
		want[name] = state
	}
	for run := range s.Page {
		report(run, provider.Pending)
	}
	report(0, provider.Success)
	report(1, provider.Failure)
	report(s.Page-1, provider.Success)
	statuses, err := r.Statuses(ctx, sha)
	must(t, err)
	got := map[string]provider.State{}
	for _, status := range statuses {
		if _, twice := got[status.Context]; twice {
			t.Errorf("%s is returned twice", status.Context)
		}
		got[status.Context] = status.State
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	other, err := r.Push(ctx, map[string]string{"file": "2"}, "without statuses")
	must(t, err)
	if got, err := r.Statuses(ctx, other); err != nil || len(got) != 0 {
		t.Errorf("statuses of a commit without any are %v, %v", got, err)
	}
}

// delete: a deleted repository is gone, other repositories stay, and deleting it again is no error.
func (s *suite) delete(t *testing.T) {
	ctx := contextFor(t)
	p := s.driver(t, nil)
	r, stays := s.repository(ctx, t, p), ""
	{
		other, err := p.NewRepository(ctx, nameOf(t)+"-stays")
		must(t, err)
		defer func() {
			if err := other.Delete(ctx); err != nil {
				t.Error(err)
			}
		}()
		stays = other.Access().URL
	}
	must(t, r.Delete(ctx))
	if ours := s.ours(ctx, t); !slices.Equal(ours, []string{stays}) {
		t.Errorf("the repositories are %v, want %s", ours, stays)
	}
	must(t, r.Delete(ctx))
}
