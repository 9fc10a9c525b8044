// Package gitea drives Gitea.
package gitea

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// Type is what PAC calls Gitea.
const Type = "gitea"

// pageSize is the longest page of a Gitea with default settings.
const pageSize = 50

// Options name a Gitea and an account on it.
type Options struct {
	URL   string // as the tests reach it, e.g. through a port forward
	API   string // as PAC reaches it; empty if it is the same
	Token string // allowed to create and delete repositories of Owner
	Owner string // a user or an organisation; empty means the user of the token
	Hook  string // where webhooks go; empty means that repositories have none

	Driver driver.Options // for tests
}

// Provider is an account on a Gitea.
type Provider struct {
	options   Options
	transport *driver.Transport
	http      *http.Client

	mu    sync.Mutex
	user  string // the user of the token, once known
	owner string
}

// New returns a Provider. It sends no request yet.
func New(o Options) *Provider {
	if o.API == "" {
		o.API = o.URL
	}
	check := "check that it was copied whole, has not been deleted and belongs to " + o.URL
	transport := driver.NewTransport("Gitea", check, o.Driver)
	return &Provider{options: o, transport: transport, http: &http.Client{Transport: transport}, owner: o.Owner}
}

// Name implements provider.Provider.
func (p *Provider) Name() string { return Type }

// client returns a client for one call, because a client of the SDK is bound to one context.
func (p *Provider) client(ctx context.Context) (*sdk.Client, error) {
	return sdk.NewClient(p.options.URL, sdk.SetToken(p.options.Token), sdk.SetHTTPClient(p.http), sdk.SetContext(ctx),
		sdk.SetGiteaVersion("")) // keeps every client from asking for the version
}

// whoami returns the user of the token and the owner of the repositories.
func (p *Provider) whoami(ctx context.Context) (user, owner string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.user == "" {
		c, err := p.client(ctx)
		if err != nil {
			return "", "", err
		}
		me, _, err := c.GetMyUserInfo()
		if err != nil {
			return "", "", fmt.Errorf("looking up the user of the token: %w", err)
		}
		p.user = me.UserName
		if p.owner == "" {
			p.owner = p.user
		}
	}
	return p.user, p.owner, nil
}

// NewRepository implements provider.Provider. It keeps the name as it is.
func (p *Provider) NewRepository(ctx context.Context, name string) (provider.Repository, error) {
	user, owner, err := p.whoami(ctx)
	if err != nil {
		return nil, fmt.Errorf("creating the Gitea repository %s: %w", name, err)
	}
	r := &repository{provider: p, owner: owner, name: name, description: driver.NewDescription(), secret: rand.Text()}
	if err := r.create(ctx, user); err != nil {
		return nil, driver.Discard(ctx, fmt.Errorf("creating the Gitea repository %s/%s: %w", owner, name, err), r.find, r.Delete)
	}
	return r, nil
}

// repository is a repository on Gitea.
type repository struct {
	provider    *Provider
	owner, name string
	description string
	url         string
	secret      string

	pushing sync.Mutex
}

// create creates the repository and its webhook.
func (r *repository) create(ctx context.Context, user string) error {
	c, err := r.provider.client(ctx)
	if err != nil {
		return err
	}
	made, err := driver.Create(ctx, r.provider.transport, r.find, func(context.Context) (*sdk.Repository, error) {
		option := sdk.CreateRepoOption{Name: r.name, Description: r.description, AutoInit: true, DefaultBranch: provider.Branch}
		if r.owner == user {
			repo, _, err := c.CreateRepo(option)
			return repo, err
		}
		repo, _, err := c.CreateOrgRepo(r.owner, option)
		return repo, err
	})
	if err != nil {
		return err
	}
	r.url = made.HTMLURL
	// A busy Gitea knows of the first commit a moment later.
	err = driver.AwaitBranch(ctx, r.provider.transport, provider.Branch, func(ctx context.Context) (bool, error) {
		c, err := r.provider.client(ctx)
		if err != nil {
			return false, err
		}
		_, reply, err := c.GetRepoBranch(r.owner, r.name, provider.Branch)
		return err == nil, unlessMissing(reply, err)
	})
	if err != nil || r.provider.options.Hook == "" {
		return err
	}
	_, err = driver.CreateOnly(ctx, r.provider.transport,
		func(ctx context.Context) ([]*sdk.Hook, error) {
			c, err := r.provider.client(ctx)
			if err != nil {
				return nil, err
			}
			hooks, _, err := c.ListRepoHooks(r.owner, r.name, sdk.ListHooksOptions{})
			return hooks, err
		},
		func(context.Context) (*sdk.Hook, error) {
			hook, _, err := c.CreateRepoHook(r.owner, r.name, sdk.CreateHookOption{
				Type:   sdk.HookTypeGitea,
				Config: map[string]string{"url": r.provider.options.Hook, "content_type": "json", "secret": r.secret},
				Events: []string{"push", "pull_request", "issue_comment"},
				Active: true,
			})
			return hook, err
		})
	if err != nil {
		return fmt.Errorf("creating its webhook: %w", err)
	}
	return nil
}

// find looks for the repository that create asks for.
func (r *repository) find(ctx context.Context) (*sdk.Repository, bool, error) {
	c, err := r.provider.client(ctx)
	if err != nil {
		return nil, false, err
	}
	repo, reply, err := c.GetRepo(r.owner, r.name)
	if err != nil {
		return nil, false, unlessMissing(reply, err)
	}
	return repo, repo.Description == r.description, nil
}

// Access implements provider.Repository.
func (r *repository) Access() provider.Access {
	o := r.provider.options
	return provider.Access{URL: r.url, API: o.API, Type: Type, Token: o.Token, Webhook: r.secret}
}

// Push implements provider.Repository.
func (r *repository) Push(ctx context.Context, files map[string]string, message string) (string, error) {
	return r.commit(ctx, provider.Branch, files, message)
}

// OpenPullRequest implements provider.Repository.
func (r *repository) OpenPullRequest(ctx context.Context, branch string, files map[string]string, title string) (string, error) {
	sha, err := r.commit(ctx, branch, files, title)
	if err != nil {
		return "", err
	}
	_, err = driver.Create(ctx, r.provider.transport,
		func(ctx context.Context) (*sdk.PullRequest, bool, error) {
			c, err := r.provider.client(ctx)
			if err != nil {
				return nil, false, err
			}
			pull, reply, err := c.GetPullRequestByBaseHead(r.owner, r.name, provider.Branch, branch)
			return pull, err == nil, unlessMissing(reply, err)
		},
		func(ctx context.Context) (*sdk.PullRequest, error) {
			c, err := r.provider.client(ctx)
			if err != nil {
				return nil, err
			}
			pull, _, err := c.CreatePullRequest(r.owner, r.name,
				sdk.CreatePullRequestOption{Head: branch, Base: provider.Branch, Title: title})
			return pull, err
		})
	if err != nil {
		return "", fmt.Errorf("opening a pull request in %s/%s on Gitea: %w", r.owner, r.name, err)
	}
	return sha, nil
}

// commit adds a commit that holds exactly these files, on top of provider.Branch, to that branch or
// to a new one.
func (r *repository) commit(ctx context.Context, branch string, files map[string]string, message string) (sha string, err error) {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("pushing to %s/%s on Gitea: %w", r.owner, r.name, err)
		}
	}()
	if len(files) == 0 {
		return "", driver.ErrNoFiles
	}
	c, err := r.provider.client(ctx)
	if err != nil {
		return "", err
	}
	head, _, err := c.GetRepoBranch(r.owner, r.name, provider.Branch)
	if err != nil {
		return "", err
	}
	parent := head.Commit.ID
	old, err := r.tree(c, parent)
	if err != nil {
		return "", err
	}
	commit := sdk.ChangeFilesOptions{Files: operations(old, files), Message: message, Branch: provider.Branch}
	if branch != provider.Branch {
		commit.NewBranch = branch
	}
	return driver.Create(ctx, r.provider.transport,
		func(ctx context.Context) (string, bool, error) { return r.findCommit(ctx, branch, parent) },
		func(context.Context) (string, error) {
			pushed, _, err := c.ChangeFiles(r.owner, r.name, commit)
			if err != nil {
				return "", err
			}
			return pushed.Commit.SHA, nil
		})
}

// findCommit looks for a commit on top of parent. Only the caller can have made it: it holds the
// lock, and its test is the only one that pushes to the repository.
func (r *repository) findCommit(ctx context.Context, branch, parent string) (string, bool, error) {
	c, err := r.provider.client(ctx)
	if err != nil {
		return "", false, err
	}
	head, reply, err := c.GetRepoBranch(r.owner, r.name, branch)
	if err != nil {
		return "", false, unlessMissing(reply, err)
	}
	commit, _, err := c.GetSingleCommit(r.owner, r.name, head.Commit.ID)
	if err != nil {
		return "", false, err
	}
	return commit.SHA, len(commit.Parents) == 1 && commit.Parents[0].SHA == parent, nil
}

// tree returns the hashes of the files in a commit, by path.
func (r *repository) tree(c *sdk.Client, sha string) (map[string]string, error) {
	files := map[string]string{}
	for page := 1; ; page++ {
		tree, _, err := c.GetTrees(r.owner, r.name,
			sdk.ListTreeOptions{ListOptions: sdk.ListOptions{Page: page}, Ref: sha, Recursive: true})
		if err != nil {
			return nil, err
		}
		for _, entry := range tree.Entries {
			if entry.Type == "blob" {
				files[entry.Path] = entry.SHA
			}
		}
		if !tree.Truncated || len(tree.Entries) == 0 {
			return files, nil
		}
	}
}

// operations turns files with these hashes into those with these contents.
func operations(old, files map[string]string) []*sdk.ChangeFileOperation {
	var operations []*sdk.ChangeFileOperation
	for _, c := range driver.Changes(old, files) {
		operations = append(operations, &sdk.ChangeFileOperation{
			Operation: c.Operation, Path: c.Path, Content: c.Content, SHA: old[c.Path],
		})
	}
	return operations
}

// Statuses implements provider.Repository.
func (r *repository) Statuses(ctx context.Context, sha string) ([]provider.Status, error) {
	c, err := r.provider.client(ctx)
	if err != nil {
		return nil, err
	}
	var reports []driver.Report
	for page := 1; ; page++ {
		statuses, _, err := c.ListStatuses(r.owner, r.name, sha,
			sdk.ListStatusesOption{ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize}})
		if err != nil {
			return nil, fmt.Errorf("reading the statuses of %s in %s/%s on Gitea: %w", sha, r.owner, r.name, err)
		}
		if len(statuses) == 0 { // a page shorter than requested need not be the last one
			return driver.Newest(reports), nil
		}
		for _, s := range statuses {
			reports = append(reports, driver.Report{
				Status: provider.Status{Context: s.Context, State: state(s.State), Link: s.TargetURL}, At: s.Created, ID: s.ID,
			})
		}
	}
}

func state(s sdk.StatusState) provider.State {
	switch s {
	case sdk.StatusPending:
		return provider.Pending
	case sdk.StatusSuccess:
		return provider.Success
	}
	return provider.Failure
}

// Delete implements provider.Repository.
func (r *repository) Delete(ctx context.Context) error {
	c, err := r.provider.client(ctx)
	if err != nil {
		return err
	}
	if reply, err := c.DeleteRepo(r.owner, r.name); unlessMissing(reply, err) != nil {
		return fmt.Errorf("deleting the Gitea repository %s/%s: %w", r.owner, r.name, err)
	}
	return nil
}

// unlessMissing returns the error, or nil if the reply is that the object does not exist.
func unlessMissing(reply *sdk.Response, err error) error {
	if err != nil && reply != nil && reply.Response != nil && reply.StatusCode == http.StatusNotFound {
		return nil
	}
	return err
}
