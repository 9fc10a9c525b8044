package gitea_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitea"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// server is a real Gitea, or nil with -short.
var server *stack.Gitea

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.GitProvider}, func(_ context.Context, s *stack.Stack) error {
		server = s.Gitea()
		return nil
	}))
}

func TestContract(t *testing.T) {
	if server == nil {
		t.Skip("needs a real Gitea")
	}
	providertest.Run(t, providertest.Subject{
		New: func(t *testing.T, o providertest.Options) provider.Provider {
			return gitea.New(gitea.Options{
				URL: server.URL(), Token: o.TokenOr(server.Token()), Hook: o.Hook, Driver: o.Driver,
			})
		},
		DisplayName: "Gitea",
		Page:        51,
		Limits: []providertest.Limit{
			{Name: "RetryAfter", Reply: func(_ time.Time, wait time.Duration) (int, map[string]string, string) {
				return http.StatusTooManyRequests, map[string]string{"Retry-After": fmt.Sprint(int(wait.Seconds()))}, ""
			}},
			{Name: "RetryAfterDate", Reply: func(now time.Time, wait time.Duration) (int, map[string]string, string) {
				at := now.Add(wait + time.Second).UTC().Format(http.TimeFormat) // drops fractions of a second
				return http.StatusTooManyRequests, map[string]string{"Retry-After": at}, "too many"
			}},
		},
		Backdoor: backdoor(server.Client()),
	})
}

// An organisation can own repositories, as a user can.
func TestOrganisation(t *testing.T) {
	if server == nil {
		t.Skip("needs a real Gitea")
	}
	const organisation = "guild"
	if _, _, err := server.Client().CreateOrg(sdk.CreateOrgOption{Name: organisation}); err != nil {
		t.Fatal(err)
	}
	p := gitea.New(gitea.Options{URL: server.URL(), API: "http://gitea.example", Token: server.Token(), Owner: organisation})
	r, err := p.NewRepository(t.Context(), "owned")
	if err != nil {
		t.Fatal(err)
	}
	a := r.Access()
	if a.URL != server.URL()+"/guild/owned" || a.API != "http://gitea.example" {
		t.Errorf("access is %+v", a)
	}
	if hooks, _, err := server.Client().ListRepoHooks(organisation, "owned", sdk.ListHooksOptions{}); err != nil || len(hooks) != 0 {
		t.Errorf("%d webhooks, %v; want none without Options.Hook", len(hooks), err)
	}
	if _, err := p.NewRepository(t.Context(), "owned"); err == nil {
		t.Error("a second repository of the same name was created")
	}
	if _, _, err := server.Client().GetRepo(organisation, "owned"); err != nil {
		t.Errorf("after a second repository of its name was refused, the first is gone: %v", err)
	}
	if err := r.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}

// backdoor reads Gitea with the client of an administrator.
func backdoor(c *sdk.Client) providertest.Backdoor {
	split := func(url string) (owner, name string) { return path.Base(path.Dir(url)), path.Base(url) }
	return providertest.Backdoor{
		Repositories: func(context.Context) ([]string, error) {
			var urls []string
			for page := 1; ; page++ {
				repos, _, err := c.ListMyRepos(sdk.ListReposOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: 50}})
				if err != nil || len(repos) == 0 {
					return urls, err
				}
				for _, r := range repos {
					urls = append(urls, r.HTMLURL)
				}
			}
		},
		Files: func(_ context.Context, url, branch string) (map[string]string, error) {
			owner, name := split(url)
			content, _, err := c.GetArchive(owner, name, branch, sdk.ZipArchive)
			if err != nil {
				return nil, err
			}
			archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
			if err != nil {
				return nil, err
			}
			files := map[string]string{}
			for _, file := range archive.File {
				if file.FileInfo().IsDir() {
					continue
				}
				content, err := fs.ReadFile(archive, file.Name)
				if err != nil {
					return nil, err
				}
				files[strings.TrimPrefix(file.Name, name+"/")] = string(content)
			}
			return files, nil
		},
		Commits: func(_ context.Context, url, branch string) ([]string, error) {
			owner, name := split(url)
			commits, _, err := c.ListRepoCommits(owner, name, sdk.ListCommitOptions{SHA: branch})
			var shas []string
			for _, commit := range commits {
				shas = append(shas, commit.SHA)
			}
			return shas, err
		},
		PullRequests: func(_ context.Context, url string) ([]string, error) {
			owner, name := split(url)
			pulls, _, err := c.ListRepoPullRequests(owner, name, sdk.ListPullRequestsOptions{})
			var shas []string
			for _, pull := range pulls {
				shas = append(shas, pull.Head.Sha)
			}
			return shas, err
		},
		Hooks: func(_ context.Context, url string) (int, error) {
			owner, name := split(url)
			hooks, _, err := c.ListRepoHooks(owner, name, sdk.ListHooksOptions{})
			return len(hooks), err
		},
		Report: func(_ context.Context, url, sha, status string, state provider.State) error {
			owner, name := split(url)
			_, _, err := c.CreateStatus(owner, name, sha, sdk.CreateStatusOption{State: sdk.StatusState(state), Context: status})
			return err
		},
		Event: event,
	}
}

// event parses a delivery of Gitea.
func event(header http.Header, body []byte, secret string) (providertest.Event, error) {
	var payload struct {
		Ref         string
		After       string
		Action      string
		PullRequest struct {
			Head struct{ Ref, SHA string }
		} `json:"pull_request"`
		Repository struct {
			HTMLURL string `json:"html_url"`
		}
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return providertest.Event{}, err
	}
	e := providertest.Event{Kind: providertest.Other, Repository: payload.Repository.HTMLURL}
	switch header.Get("X-Gitea-Event") {
	case "push":
		e.Kind, e.Branch, e.SHA = providertest.Push, strings.TrimPrefix(payload.Ref, "refs/heads/"), payload.After
	case "pull_request":
		if payload.Action == "opened" {
			e.Kind, e.Branch, e.SHA = providertest.PullRequest, payload.PullRequest.Head.Ref, payload.PullRequest.Head.SHA
		}
	}
	valid, err := sdk.VerifyWebhookSignature(secret, header.Get("X-Gitea-Signature"), body)
	if err == nil && !valid {
		err = fmt.Errorf("the signature %q does not match the secret", header.Get("X-Gitea-Signature"))
	}
	return e, err
}

// A new repository is given out once Gitea shows its first commit.
func TestBranchThatComesLate(t *testing.T) {
	if server == nil {
		t.Skip("needs a real Gitea")
	}
	late := &lateBranch{answers: 2}
	p := gitea.New(gitea.Options{URL: server.URL(), Token: server.Token(), Driver: driver.Options{Next: late}})
	r, err := p.NewRepository(t.Context(), "late")
	if err != nil {
		t.Fatal(err)
	}
	if late.answers > 0 {
		t.Errorf("the repository is given out before its branch is there")
	}
	if _, err := r.Push(t.Context(), map[string]string{"file": "1"}, "first"); err != nil {
		t.Error(err)
	}
}

// lateBranch does not show a branch for some answers.
type lateBranch struct{ answers int }

func (l *lateBranch) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path, "/branches/") || l.answers == 0 {
		return http.DefaultTransport.RoundTrip(r)
	}
	l.answers--
	missing := httptest.NewRecorder()
	missing.WriteHeader(http.StatusNotFound)
	reply := missing.Result()
	reply.Request = r
	return reply, nil
}
