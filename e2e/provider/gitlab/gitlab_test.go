package gitlab_test

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/time/rate"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/fromenv"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitlab"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitlab/gitlabtest"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest"
)

const (
	user  = "tanuki"
	group = "top/sub"
	alien = "others"
	token = "glpat-the-right-one"
)

func TestContract(t *testing.T) {
	for name, o := range map[string]struct {
		group  string
		server gitlabtest.Options
	}{
		"DeletesAtOnce":          {group, gitlabtest.Options{}},
		"DeletesOnSecondRequest": {group, gitlabtest.Options{Delayed: true, Permanent: true}},
		"DeletesLaterInOwnGroup": {user, gitlabtest.Options{Delayed: true}}, // like gitlab.com
	} {
		t.Run(name, func(t *testing.T) {
			o.server.Token, o.server.User, o.server.Group = token, user, group
			server := gitlabtest.New(t, o.server)
			providertest.Run(t, subject(t, gitlab.Options{API: server.URL, Token: token, Group: o.group}))
		})
	}
}

// The contract holds on GitLab itself. Runs where the environment has a token.
func TestContractForReal(t *testing.T) { providertest.RunForReal(t, fromenv.GitLab, subject) }

func TestServer(t *testing.T) {
	for api, want := range map[string]string{"": "https://gitlab.com", "https://gitlab.example": "https://gitlab.example"} {
		if got := (gitlab.Options{API: api}).Server(); got != want {
			t.Errorf("the server for API %q is %q, want %q", api, got, want)
		}
	}
}

func TestNotAllowedToCreate(t *testing.T) {
	server := gitlabtest.New(t, gitlabtest.Options{Token: token, User: user, Group: group, Alien: alien})
	for where, words := range map[string][]string{
		alien:     {"GitLab", "may not create projects in " + alien, "scope api", "Maintainer"},
		"missing": {"GitLab", "no group missing"},
	} {
		p, err := gitlab.New(gitlab.Options{API: server.URL, Token: token, Group: where})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.NewRepository(t.Context(), "mine")
		for _, word := range words {
			if !strings.Contains(fmt.Sprint(err), word) {
				t.Errorf("%q is missing in the error: %v", word, err)
			}
		}
	}
}

func subject(t *testing.T, o gitlab.Options) providertest.Subject {
	return providertest.Subject{
		New: func(t *testing.T, with providertest.Options) provider.Provider {
			p, err := gitlab.New(gitlab.Options{
				API: o.API, Token: with.TokenOr(o.Token), Group: o.Group, Hook: with.Hook, Driver: with.Driver,
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		DisplayName: "GitLab",
		Page:        101,
		Limits: []providertest.Limit{
			{Name: "RetryAfter", Reply: func(now time.Time, wait time.Duration) (int, map[string]string, string) {
				return http.StatusTooManyRequests, map[string]string{
					"Retry-After":     fmt.Sprint(int(wait.Seconds())),
					"Ratelimit-Limit": "60", "Ratelimit-Reset": fmt.Sprint(now.Add(wait).Unix()),
				}, "Retry later\n"
			}},
			{Name: "Reset", Reply: func(now time.Time, wait time.Duration) (int, map[string]string, string) {
				return http.StatusTooManyRequests, map[string]string{
					"Ratelimit-Remaining": "0", "Ratelimit-Reset": fmt.Sprint(now.Add(wait).Unix()),
				}, `{"message":{"error":"This endpoint has been requested too many times. Try again later."}}`
			}},
		},
		Backdoor: backdoor(t, o),
	}
}

// backdoor reads GitLab with the same account.
func backdoor(t *testing.T, o gitlab.Options) providertest.Backdoor {
	c, err := sdk.NewClient(o.Token, sdk.WithBaseURL(o.Server()),
		sdk.WithoutRetries(), sdk.WithCustomLimiter(rate.NewLimiter(rate.Inf, 0)),
		sdk.WithHTTPClient(&http.Client{Transport: driver.NewTransport("GitLab", "", driver.Options{})}))
	if err != nil {
		t.Fatal(err)
	}
	id := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(u.Path, "/")
	}
	pages := sdk.ListOptions{PerPage: 100}
	return providertest.Backdoor{
		Repositories: func(ctx context.Context) ([]string, error) {
			projects, err := sdk.ScanAndCollect(func(p sdk.PaginationOptionFunc) ([]*sdk.Project, *sdk.Response, error) {
				return c.Projects.ListProjects(&sdk.ListProjectsOptions{ListOptions: pages, Owned: sdk.Ptr(true)}, sdk.WithContext(ctx), p)
			})
			var urls []string
			for _, p := range projects {
				if p.MarkedForDeletionOn == nil {
					urls = append(urls, p.WebURL)
				}
			}
			return urls, err
		},
		Files: func(ctx context.Context, url, branch string) (map[string]string, error) {
			nodes, err := sdk.ScanAndCollect(func(p sdk.PaginationOptionFunc) ([]*sdk.TreeNode, *sdk.Response, error) {
				return c.Repositories.ListTree(id(url),
					&sdk.ListTreeOptions{ListOptions: pages, Ref: &branch, Recursive: sdk.Ptr(true)}, sdk.WithContext(ctx), p)
			})
			if err != nil {
				return nil, err
			}
			files := map[string]string{}
			for _, node := range nodes {
				if node.Type != "blob" {
					continue
				}
				file, _, err := c.RepositoryFiles.GetFile(id(url), node.Path, &sdk.GetFileOptions{Ref: &branch}, sdk.WithContext(ctx))
				if err != nil {
					return nil, err
				}
				content, err := base64.StdEncoding.DecodeString(file.Content)
				if err != nil {
					return nil, err
				}
				files[node.Path] = string(content)
			}
			return files, nil
		},
		Commits: func(ctx context.Context, url, branch string) ([]string, error) {
			commits, _, err := c.Commits.ListCommits(id(url), &sdk.ListCommitsOptions{RefName: &branch}, sdk.WithContext(ctx))
			var shas []string
			for _, commit := range commits {
				shas = append(shas, commit.ID)
			}
			return shas, err
		},
		PullRequests: func(ctx context.Context, url string) ([]string, error) {
			requests, _, err := c.MergeRequests.ListProjectMergeRequests(id(url), nil, sdk.WithContext(ctx))
			var shas []string
			for _, request := range requests {
				shas = append(shas, request.SHA)
			}
			return shas, err
		},
		Hooks: func(ctx context.Context, url string) (int, error) {
			hooks, _, err := c.Projects.ListProjectHooks(id(url), nil, sdk.WithContext(ctx))
			return len(hooks), err
		},
		Report: func(ctx context.Context, url, sha, status string, state provider.State) error {
			// PAC reports a run that waits or runs as running.
			states := map[provider.State]sdk.BuildStateValue{
				provider.Pending: sdk.Running, provider.Success: sdk.Success, provider.Failure: sdk.Failed,
			}
			_, _, err := c.Commits.SetCommitStatus(id(url), sha,
				&sdk.SetCommitStatusOptions{State: states[state], Name: &status, Context: &status}, sdk.WithContext(ctx))
			return err
		},
		Event: event,
	}
}

// event parses a delivery of GitLab.
func event(header http.Header, body []byte, secret string) (providertest.Event, error) {
	e := providertest.Event{Kind: providertest.Other}
	payload, err := sdk.ParseWebhook(sdk.EventType(header.Get("X-Gitlab-Event")), body)
	if err != nil {
		return e, err
	}
	switch p := payload.(type) {
	case *sdk.PushEvent:
		e.Repository = p.Project.WebURL
		e.Kind, e.Branch, e.SHA = providertest.Push, strings.TrimPrefix(p.Ref, "refs/heads/"), p.After
	case *sdk.MergeEvent:
		e.Repository = p.Project.WebURL
		if p.ObjectAttributes.Action == "open" {
			e.Kind, e.Branch, e.SHA = providertest.PullRequest, p.ObjectAttributes.SourceBranch, p.ObjectAttributes.LastCommit.ID
		}
	}
	if subtle.ConstantTimeCompare([]byte(header.Get("X-Gitlab-Token")), []byte(secret)) == 0 {
		return e, errors.New("the event's token is not the secret")
	}
	return e, nil
}
