// Package github drives GitHub, and GitHub Enterprise Server.
package github

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	sdk "github.com/google/go-github/v84/github"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// Type is what PAC calls GitHub.
const Type = "github"

const (
	pageSize = 100
	// pushes bounds the attempts of a push that GitHub refuses because its commit is not on top of
	// the branch: GitHub may show a branch as it was a moment ago.
	pushes = 5
)

// Options name an account on GitHub.
type Options struct {
	API   string // e.g. https://github.example.com; empty means github.com
	Token string // allowed to create and delete repositories of Owner
	Owner string // the user of the token, or an organisation
	Hook  string // where webhooks go; empty means that repositories have none

	Driver driver.Options // for tests
}

// Provider is an account on GitHub.
type Provider struct {
	options   Options
	transport *driver.Transport
	client    *sdk.Client
}

// New returns a Provider. It sends no request yet.
func New(o Options) (*Provider, error) {
	where := o.API
	if where == "" {
		where = "https://api.github.com"
	}
	check := "check that it was copied whole, has not expired or been revoked and belongs to " + where
	transport := driver.NewTransport("GitHub", check, o.Driver)
	client := sdk.NewClient(&http.Client{Transport: transport}).WithAuthToken(o.Token)
	if o.API != "" {
		var err error
		if client, err = client.WithEnterpriseURLs(o.API, o.API); err != nil { // as PAC does
			return nil, fmt.Errorf("the address of GitHub's API: %w", err)
		}
	}
	client.DisableRateLimitCheck = true // the transport waits
	return &Provider{options: o, transport: transport, client: client}, nil
}

// Name implements provider.Provider.
func (p *Provider) Name() string { return Type }

// NewRepository implements provider.Provider. The repository is private, and a unique suffix is
// added to its name.
func (p *Provider) NewRepository(ctx context.Context, name string) (provider.Repository, error) {
	r := &repository{
		provider: p, owner: p.options.Owner, name: driver.UniqueName(name),
		description: driver.NewDescription(), secret: rand.Text(),
	}
	creating := func(err error) error {
		return fmt.Errorf("creating the GitHub repository %s/%s: %w", r.owner, r.name, err)
	}
	user, _, err := p.client.Users.Get(ctx, "")
	if err != nil {
		return nil, creating(fmt.Errorf("looking up the user of the token: %w", err))
	}
	if err := r.create(ctx, user.GetLogin()); err != nil {
		return nil, driver.Discard(ctx, creating(err), r.find, r.Delete)
	}
	return r, nil
}

// repository is a repository on GitHub.
type repository struct {
	provider    *Provider
	owner, name string
	description string
	url         string
	secret      string

	pushing sync.Mutex
}

func (r *repository) client() *sdk.Client { return r.provider.client }

// create creates the repository, its branch and its webhook.
func (r *repository) create(ctx context.Context, user string) error {
	organisation := ""
	if !strings.EqualFold(user, r.owner) {
		organisation = r.owner
	}
	made, err := driver.Create(ctx, r.provider.transport, r.find, func(ctx context.Context) (*sdk.Repository, error) {
		repo, _, err := r.client().Repositories.Create(ctx, organisation, &sdk.Repository{
			Name: &r.name, Description: &r.description, Private: sdk.Ptr(true), AutoInit: sdk.Ptr(true),
		})
		return repo, err
	})
	if err != nil {
		return r.explain(err, user)
	}
	r.url = made.GetHTMLURL()
	if err := r.nameBranch(ctx, made.GetDefaultBranch()); err != nil {
		return err
	}
	if r.provider.options.Hook == "" {
		return nil
	}
	_, err = driver.CreateOnly(ctx, r.provider.transport,
		func(ctx context.Context) ([]*sdk.Hook, error) {
			hooks, _, err := r.client().Repositories.ListHooks(ctx, r.owner, r.name, nil)
			return hooks, err
		},
		func(ctx context.Context) (*sdk.Hook, error) {
			hook, _, err := r.client().Repositories.CreateHook(ctx, r.owner, r.name, &sdk.Hook{
				Config: &sdk.HookConfig{
					URL: &r.provider.options.Hook, ContentType: sdk.Ptr("json"), Secret: &r.secret, InsecureSSL: sdk.Ptr("0"),
				},
				Events: []string{"push", "pull_request", "issue_comment"},
				Active: sdk.Ptr(true),
			})
			return hook, err
		})
	if err != nil {
		return fmt.Errorf("creating its webhook: %w", err)
	}
	return nil
}

// explain adds to an error for want of rights which rights the creation of a repository needs.
func (r *repository) explain(err error, user string) error {
	switch status(err) {
	case http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("the token of %s may not create repositories of %s: the owner must be %s or an organisation "+
			"in which %s may create repositories, and the token needs the scopes repo, admin:repo_hook and delete_repo, "+
			"or, if it is fine-grained, the permissions Administration, Contents, Pull requests, Webhooks and "+
			"Commit statuses (read and write) on all repositories of %s: %w",
			user, r.owner, user, user, r.owner, err)
	}
	return err
}

// nameBranch waits for the first commit and renames its branch to provider.Branch if the account
// has another default.
func (r *repository) nameBranch(ctx context.Context, branch string) error {
	if err := r.awaitBranch(ctx, branch); err != nil || branch == provider.Branch {
		return err
	}
	_, _, err := r.client().Repositories.RenameBranch(driver.Repeatable(ctx), r.owner, r.name, branch, provider.Branch)
	if err != nil && status(err) != http.StatusNotFound { // it is not found if an earlier attempt renamed it
		return fmt.Errorf("renaming its branch %s: %w", branch, err)
	}
	return r.awaitBranch(ctx, provider.Branch)
}

func (r *repository) awaitBranch(ctx context.Context, branch string) error {
	return driver.AwaitBranch(ctx, r.provider.transport, branch, func(ctx context.Context) (bool, error) {
		_, err := r.head(ctx, branch)
		switch status(err) {
		case http.StatusNotFound, http.StatusConflict: // a conflict says "Git Repository is empty."
			return false, nil
		}
		return err == nil, err
	})
}

// find looks for the repository that create asks for.
func (r *repository) find(ctx context.Context) (*sdk.Repository, bool, error) {
	repo, _, err := r.client().Repositories.Get(ctx, r.owner, r.name)
	if err != nil {
		return nil, false, unlessMissing(err)
	}
	return repo, repo.GetDescription() == r.description, nil
}

// Access implements provider.Repository.
func (r *repository) Access() provider.Access {
	o := r.provider.options
	return provider.Access{URL: r.url, API: o.API, Type: Type, Token: o.Token, Webhook: r.secret}
}

// Push implements provider.Repository.
func (r *repository) Push(ctx context.Context, files map[string]string, message string) (string, error) {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	sha, err := r.push(ctx, files, message)
	if err != nil {
		return "", fmt.Errorf("pushing to %s/%s on GitHub: %w", r.owner, r.name, err)
	}
	return sha, nil
}

func (r *repository) push(ctx context.Context, files map[string]string, message string) (string, error) {
	tree, err := r.tree(ctx, files)
	if err != nil {
		return "", err
	}
	for try := 1; ; try++ {
		sha, err := r.commit(ctx, tree, message)
		if err != nil {
			return "", err
		}
		// Setting a branch to the commit it is at already causes neither an event nor an error.
		_, _, err = r.client().Git.UpdateRef(driver.Repeatable(ctx), r.owner, r.name, "heads/"+provider.Branch,
			sdk.UpdateRef{SHA: sha, Force: sdk.Ptr(false)})
		switch {
		case err == nil:
			return sha, nil
		case try == pushes || status(err) != http.StatusUnprocessableEntity:
			return "", err
		}
		if err := r.provider.transport.Sleep(ctx, time.Second); err != nil {
			return "", err
		}
	}
}

// OpenPullRequest implements provider.Repository.
func (r *repository) OpenPullRequest(ctx context.Context, branch string, files map[string]string, title string) (string, error) {
	sha, err := r.openPullRequest(ctx, branch, files, title)
	if err != nil {
		return "", fmt.Errorf("opening a pull request in %s/%s on GitHub: %w", r.owner, r.name, err)
	}
	return sha, nil
}

func (r *repository) openPullRequest(ctx context.Context, branch string, files map[string]string, title string) (string, error) {
	tree, err := r.tree(ctx, files)
	if err != nil {
		return "", err
	}
	sha, err := r.commit(ctx, tree, title)
	if err != nil {
		return "", err
	}
	if _, err := driver.Create(ctx, r.provider.transport,
		func(ctx context.Context) (string, bool, error) {
			head, err := r.head(ctx, branch)
			return head, head == sha, unlessMissing(err)
		},
		func(ctx context.Context) (string, error) {
			_, _, err := r.client().Git.CreateRef(ctx, r.owner, r.name, sdk.CreateRef{Ref: "refs/heads/" + branch, SHA: sha})
			return sha, err
		}); err != nil {
		return "", err
	}
	_, err = driver.CreateOnly(ctx, r.provider.transport,
		func(ctx context.Context) ([]*sdk.PullRequest, error) {
			pulls, _, err := r.client().PullRequests.List(ctx, r.owner, r.name,
				&sdk.PullRequestListOptions{State: "all", Head: r.owner + ":" + branch})
			return pulls, err
		},
		func(ctx context.Context) (*sdk.PullRequest, error) {
			pull, _, err := r.client().PullRequests.Create(ctx, r.owner, r.name,
				&sdk.NewPullRequest{Title: &title, Head: &branch, Base: sdk.Ptr(provider.Branch)})
			return pull, err
		})
	return sha, err
}

// head returns the hash of the newest commit of a branch.
func (r *repository) head(ctx context.Context, branch string) (string, error) {
	ref, _, err := r.client().Git.GetRef(ctx, r.owner, r.name, "heads/"+branch)
	if err != nil {
		return "", err
	}
	return ref.GetObject().GetSHA(), nil
}

// tree creates a tree of files and returns its hash. Text goes into the same request as the tree,
// because GitHub allows few requests per minute that create something.
func (r *repository) tree(ctx context.Context, files map[string]string) (string, error) {
	if len(files) == 0 {
		return "", driver.ErrNoFiles
	}
	ctx = driver.Repeatable(ctx) // the name of a blob or a tree is the hash of its content
	var entries []*sdk.TreeEntry
	for _, path := range slices.Sorted(maps.Keys(files)) {
		content := files[path]
		entry := &sdk.TreeEntry{Path: &path, Mode: sdk.Ptr("100644"), Type: sdk.Ptr("blob"), Content: &content}
		if !utf8.ValidString(content) {
			blob, _, err := r.client().Git.CreateBlob(ctx, r.owner, r.name, sdk.Blob{
				Content: sdk.Ptr(base64.StdEncoding.EncodeToString([]byte(content))), Encoding: sdk.Ptr("base64"),
			})
			if err != nil {
				return "", fmt.Errorf("%s: %w", path, err)
			}
			entry.Content, entry.SHA = nil, blob.SHA
		}
		entries = append(entries, entry)
	}
	tree, _, err := r.client().Git.CreateTree(ctx, r.owner, r.name, "", entries)
	if err != nil {
		return "", err
	}
	return tree.GetSHA(), nil
}

// commit creates a commit on top of provider.Branch, which is on no branch yet, and returns its
// hash.
func (r *repository) commit(ctx context.Context, tree, message string) (string, error) {
	parent, err := r.head(ctx, provider.Branch)
	if err != nil {
		return "", err
	}
	commit, _, err := r.client().Git.CreateCommit(driver.Repeatable(ctx), r.owner, r.name, sdk.Commit{
		Message: &message, Tree: &sdk.Tree{SHA: &tree}, Parents: []*sdk.Commit{{SHA: &parent}},
	}, nil)
	if err != nil {
		return "", err
	}
	return commit.GetSHA(), nil
}

// Delete implements provider.Repository.
func (r *repository) Delete(ctx context.Context) error {
	_, err := r.client().Repositories.Delete(ctx, r.owner, r.name)
	if unlessMissing(err) != nil {
		return fmt.Errorf("deleting the GitHub repository %s/%s: %w", r.owner, r.name, err)
	}
	return nil
}

// status returns the HTTP status that an error stands for, or zero.
func status(err error) int {
	var reply *sdk.ErrorResponse
	if errors.As(err, &reply) && reply.Response != nil {
		return reply.Response.StatusCode
	}
	return 0
}

// unlessMissing returns the error, or nil if it is that the object does not exist.
func unlessMissing(err error) error {
	if status(err) == http.StatusNotFound {
		return nil
	}
	return err
}
