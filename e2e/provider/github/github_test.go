package github_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/google/go-github/v84/github"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/fromenv"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/github"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/github/githubtest"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest"
)

const (
	user  = "octocat"
	guild = "octoguild"
	token = "ghp_the-right-one"
)

func TestContract(t *testing.T) {
	for name, o := range map[string]struct {
		owner  string
		server githubtest.Options
	}{
		"User": {user, githubtest.Options{}},
		// An account with another default branch, and a token that may not read check runs.
		"Organisation": {guild, githubtest.Options{DefaultBranch: "trunk", FineGrained: true}},
	} {
		t.Run(name, func(t *testing.T) {
			o.server.Token, o.server.User, o.server.Organisation = token, user, guild
			server := githubtest.New(t, o.server)
			providertest.Run(t, subject(t, github.Options{API: server.URL, Token: token, Owner: o.owner}))
		})
	}
}

// The contract holds on GitHub itself. Runs where the environment has a token.
func TestContractForReal(t *testing.T) { providertest.RunForReal(t, fromenv.GitHub, subject) }

func subject(t *testing.T, o github.Options) providertest.Subject {
	return providertest.Subject{
		New: func(t *testing.T, with providertest.Options) provider.Provider {
			p, err := github.New(github.Options{
				API: o.API, Token: with.TokenOr(o.Token), Owner: o.Owner, Hook: with.Hook, Driver: with.Driver,
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		DisplayName: "GitHub",
		Page:        101,
		Limits: []providertest.Limit{
			{Name: "Primary", Reply: func(now time.Time, wait time.Duration) (int, map[string]string, string) {
				return http.StatusForbidden, map[string]string{
					"X-Ratelimit-Limit": "5000", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": fmt.Sprint(now.Add(wait).Unix()),
				}, `{"message":"API rate limit exceeded for user ID 1."}`
			}},
			{Name: "Secondary", Reply: func(_ time.Time, wait time.Duration) (int, map[string]string, string) {
				return http.StatusForbidden, map[string]string{
						"Retry-After": fmt.Sprint(int(wait.Seconds())), "X-Ratelimit-Remaining": "4711",
					},
					`{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
			}},
			{Name: "Secondary429", Reply: func(_ time.Time, wait time.Duration) (int, map[string]string, string) {
				return http.StatusTooManyRequests, map[string]string{"Retry-After": fmt.Sprint(int(wait.Seconds()))},
					`{"message":"You have exceeded a secondary rate limit."}`
			}},
		},
		Backdoor: backdoor(t, o),
	}
}

// Statuses returns PAC's reports, whether PAC reports statuses or, as an App, check runs.
func TestCheckRuns(t *testing.T) {
	server := githubtest.New(t, githubtest.Options{Token: token, User: user})
	o := github.Options{API: server.URL, Token: token, Owner: user}
	p, err := github.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.NewRepository(t.Context(), "checks")
	if err != nil {
		t.Fatal(err)
	}
	sha, err := r.Push(t.Context(), map[string]string{"file": ""}, "checked")
	if err != nil {
		t.Fatal(err)
	}
	name := path.Base(r.Access().URL)
	want := []provider.Status{{Context: "CI / a-status", State: provider.Success}}
	if err := backdoor(t, o).Report(t.Context(), r.Access().URL, sha, "CI / a-status", provider.Success); err != nil {
		t.Fatal(err)
	}
	for i := range 101 {
		run := fmt.Sprintf("CI / run-%03d", i)
		server.CheckRun(user, name, sha, run, "in_progress", "")
		want = append(want, provider.Status{Context: run, State: provider.Pending})
	}
	for i, tc := range []struct {
		conclusion string
		state      provider.State
	}{
		{"success", provider.Success},
		{"neutral", provider.Success},
		{"failure", provider.Failure},
		{"cancelled", provider.Failure},
		{"timed_out", provider.Failure},
		{"skipped", provider.Failure},
		{"action_required", provider.Failure},
	} {
		server.CheckRun(user, name, sha, fmt.Sprintf("CI / run-%03d", i), "completed", tc.conclusion)
		want[i+1].State = tc.state
	}
	got, err := r.Statuses(t.Context(), sha)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestNotAllowedToCreate(t *testing.T) {
	server := githubtest.New(t, githubtest.Options{Token: token, User: user, Organisation: guild})
	p, err := github.New(github.Options{API: server.URL, Token: token, Owner: "hubot"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.NewRepository(t.Context(), "mine")
	for _, want := range []string{"GitHub", "hubot", user, "delete_repo", "Administration"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q is missing in the error: %v", want, err)
		}
	}
}

// backdoor reads GitHub with the same account.
func backdoor(t *testing.T, o github.Options) providertest.Backdoor {
	c := sdk.NewClient(&http.Client{Transport: driver.NewTransport("GitHub", "", driver.Options{})}).WithAuthToken(o.Token)
	if o.API != "" {
		var err error
		if c, err = c.WithEnterpriseURLs(o.API, o.API); err != nil {
			t.Fatal(err)
		}
	}
	c.DisableRateLimitCheck = true
	split := func(url string) (owner, name string) { return path.Base(path.Dir(url)), path.Base(url) }
	return providertest.Backdoor{
		Repositories: func(ctx context.Context) ([]string, error) {
			var urls []string
			for page := 1; page != 0; {
				repos, reply, err := c.Repositories.ListByAuthenticatedUser(ctx,
					&sdk.RepositoryListByAuthenticatedUserOptions{ListOptions: sdk.ListOptions{Page: page, PerPage: 100}})
				if err != nil {
					return nil, err
				}
				for _, r := range repos {
					urls = append(urls, r.GetHTMLURL())
				}
				page = reply.NextPage
			}
			return urls, nil
		},
		Files: func(ctx context.Context, url, branch string) (map[string]string, error) {
			owner, name := split(url)
			tree, _, err := c.Git.GetTree(ctx, owner, name, branch, true)
			if err != nil {
				return nil, err
			}
			files := map[string]string{}
			for _, entry := range tree.Entries {
				if entry.GetType() != "blob" {
					continue
				}
				blob, _, err := c.Git.GetBlob(ctx, owner, name, entry.GetSHA())
				if err != nil {
					return nil, err
				}
				content, err := base64.StdEncoding.DecodeString(blob.GetContent())
				if err != nil {
					return nil, err
				}
				files[entry.GetPath()] = string(content)
			}
			return files, nil
		},
		Commits: func(ctx context.Context, url, branch string) ([]string, error) {
			owner, name := split(url)
			commits, _, err := c.Repositories.ListCommits(ctx, owner, name, &sdk.CommitsListOptions{SHA: branch})
			var shas []string
			for _, commit := range commits {
				shas = append(shas, commit.GetSHA())
			}
			return shas, err
		},
		PullRequests: func(ctx context.Context, url string) ([]string, error) {
			owner, name := split(url)
			pulls, _, err := c.PullRequests.List(ctx, owner, name, nil)
			var shas []string
			for _, pull := range pulls {
				shas = append(shas, pull.GetHead().GetSHA())
			}
			return shas, err
		},
		Hooks: func(ctx context.Context, url string) (int, error) {
			owner, name := split(url)
			hooks, _, err := c.Repositories.ListHooks(ctx, owner, name, nil)
			return len(hooks), err
		},
		Report: func(ctx context.Context, url, sha, status string, state provider.State) error {
			owner, name := split(url)
			_, _, err := c.Repositories.CreateStatus(ctx, owner, name, sha,
				sdk.RepoStatus{State: sdk.Ptr(string(state)), Context: &status})
			return err
		},
		Event: event,
	}
}

// event parses a delivery of GitHub.
func event(header http.Header, body []byte, secret string) (providertest.Event, error) {
	e := providertest.Event{Kind: providertest.Other}
	payload, err := sdk.ParseWebHook(header.Get("X-Github-Event"), body)
	if err != nil {
		return e, err
	}
	switch p := payload.(type) {
	case *sdk.PingEvent:
		e.Repository = p.GetRepo().GetHTMLURL()
	case *sdk.PushEvent:
		e.Repository = p.GetRepo().GetHTMLURL()
		e.Kind, e.Branch, e.SHA = providertest.Push, strings.TrimPrefix(p.GetRef(), "refs/heads/"), p.GetAfter()
	case *sdk.PullRequestEvent:
		e.Repository = p.GetRepo().GetHTMLURL()
		if p.GetAction() == "opened" {
			e.Kind, e.Branch, e.SHA = providertest.PullRequest, p.GetPullRequest().GetHead().GetRef(), p.GetPullRequest().GetHead().GetSHA()
		}
	}
	return e, sdk.ValidateSignature(header.Get("X-Hub-Signature-256"), body, []byte(secret))
}
