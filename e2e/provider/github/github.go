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
	// branchDeadline is how long GitHub may take to show a new repository's branch.
	branchDeadline = 30 * time.Second
	// pushes is how often a push is tried that GitHub says is not on top of the
	// branch: what it tells of a branch may be a moment old.
	pushes = 5
)

// Options say which account, and who asks.
type Options struct {
	API   string // empty means that of github.com; else e.g. https://github.example.com
	Token string // with the rights to make and delete repositories of Owner
	Owner string // the token's user, or an organisation
	Hook  string // where webhooks go

	Driver driver.Options // for tests
}

// Provider is an account on GitHub.
type Provider struct {
	options   Options
	transport *driver.Transport
	client    *sdk.Client
}

// New returns a Provider. Nothing is asked of GitHub yet.
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
	client.DisableRateLimitCheck = true // the transport waits instead
	return &Provider{options: o, transport: transport, client: client}, nil
}

// Name implements provider.Provider.
func (p *Provider) Name() string { return Type }

// NewRepository implements provider.Provider. It is private, and its name ends in
// something unique.
func (p *Provider) NewRepository(ctx context.Context, name string) (provider.Repository, error) {
	r := &repository{
		provider: p, owner: p.options.Owner, name: driver.UniqueName(name),
		description: driver.NewDescription(), secret: rand.Text(),
	}
	if err := r.create(ctx); err != nil {
		return nil, driver.Discard(ctx, fmt.Errorf("creating the GitHub repository %s/%s: %w", r.owner, r.name, err), r.discard)
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
	asked       bool // for it to be made

	pushing sync.Mutex
}

func (r *repository) client() *sdk.Client { return r.provider.client }

// create makes the repository, its branch and its webhook.
func (r *repository) create(ctx context.Context) error {
	user, _, err := r.client().Users.Get(ctx, "")
	if err != nil {
		return fmt.Errorf("asking whose the token is: %w", err)
	}
	organisation := ""
	if !strings.EqualFold(user.GetLogin(), r.owner) {
		organisation = r.owner
	}
	r.asked = true
	made, err := driver.Create(ctx, r.provider.transport, r.find, func(ctx context.Context) (*sdk.Repository, error) {
		repo, _, err := r.client().Repositories.Create(ctx, organisation, &sdk.Repository{
			Name: &r.name, Description: &r.description, Private: sdk.Ptr(true), AutoInit: sdk.Ptr(true),
		})
		return repo, err
	})
	if err != nil {
		return r.notAllowed(err, user.GetLogin())
	}
	r.url = made.GetHTMLURL()
	if err := r.nameBranch(ctx, made.GetDefaultBranch()); err != nil {
		return err
	}
	if r.provider.options.Hook == "" {
		return nil
	}
	if _, err := driver.Create(ctx, r.provider.transport, r.findHook, func(ctx context.Context) (*sdk.Hook, error) {
		hook, _, err := r.client().Repositories.CreateHook(ctx, r.owner, r.name, &sdk.Hook{
			Config: &sdk.HookConfig{
				URL: &r.provider.options.Hook, ContentType: sdk.Ptr("json"), Secret: &r.secret, InsecureSSL: sdk.Ptr("0"),
			},
			Events: []string{"push", "pull_request", "issue_comment"},
			Active: sdk.Ptr(true),
		})
		return hook, err
	}); err != nil {
		return fmt.Errorf("creating its webhook: %w", err)
	}
	return nil
}

// notAllowed explains why a repository could not be created, if that was for want
// of rights.
func (r *repository) notAllowed(err error, user string) error {
	switch status(err) {
	case http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("the token of %s may not create repositories of %s: the owner has to be %s or an organisation where %s may create them, "+
			"and the token needs the scopes repo, admin:repo_hook and delete_repo, or, if fine-grained, the permissions "+
			"Administration, Contents, Pull requests, Webhooks and Commit statuses (read and write) on all repositories of %s: %w",
			user, r.owner, user, user, r.owner, err)
	}
	return err
}

// nameBranch waits for the first commit and sees to it that the branch with it is
// called provider.Branch, whatever the account's default is.
func (r *repository) nameBranch(ctx context.Context, branch string) error {
	if err := r.awaitBranch(ctx, branch); err != nil || branch == provider.Branch {
		return err
	}
	_, _, err := r.client().Repositories.RenameBranch(driver.Repeatable(ctx), r.owner, r.name, branch, provider.Branch)
	if err != nil && status(err) != http.StatusNotFound { // not found: an earlier attempt has renamed it
		return fmt.Errorf("renaming its branch %s: %w", branch, err)
	}
	return r.awaitBranch(ctx, provider.Branch)
}

func (r *repository) awaitBranch(ctx context.Context, branch string) error {
	err := driver.Until(ctx, r.provider.transport, branchDeadline, func(ctx context.Context) (bool, error) {
		_, err := r.head(ctx, branch)
		switch status(err) {
		case http.StatusNotFound, http.StatusConflict: // Conflict: "Git Repository is empty."
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("its branch %s: %w", branch, err)
	}
	return nil
}

// find looks for the repository that create asked for.
func (r *repository) find(ctx context.Context) (*sdk.Repository, bool, error) {
	repo, _, err := r.client().Repositories.Get(ctx, r.owner, r.name)
	if err != nil {
		return nil, false, unlessMissing(err)
	}
	return repo, repo.GetDescription() == r.description, nil
}

// findHook looks for the only webhook that the repository can have.
func (r *repository) findHook(ctx context.Context) (*sdk.Hook, bool, error) {
	hooks, _, err := r.client().Repositories.ListHooks(ctx, r.owner, r.name, nil)
	if err != nil || len(hooks) == 0 {
		return nil, false, err
	}
	return hooks[0], true, nil
}

// discard deletes the repository if it is the one that create asked for, if it
// did.
func (r *repository) discard(ctx context.Context) error {
	if !r.asked {
		return nil
	}
	if _, ours, err := r.find(ctx); err != nil || !ours {
		return err
	}
	return r.Delete(ctx)
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
		// Setting a branch to where it is already is nothing: no event, no error.
		_, _, err = r.client().Git.UpdateRef(driver.Repeatable(ctx), r.owner, r.name, "heads/"+provider.Branch, sdk.UpdateRef{SHA: sha, Force: sdk.Ptr(false)})
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
	_, err = driver.Create(ctx, r.provider.transport,
		func(ctx context.Context) (*sdk.PullRequest, bool, error) {
			pulls, _, err := r.client().PullRequests.List(ctx, r.owner, r.name, &sdk.PullRequestListOptions{State: "all", Head: r.owner + ":" + branch})
			if err != nil || len(pulls) == 0 {
				return nil, false, err
			}
			return pulls[0], true, nil
		},
		func(ctx context.Context) (*sdk.PullRequest, error) {
			pull, _, err := r.client().PullRequests.Create(ctx, r.owner, r.name, &sdk.NewPullRequest{Title: &title, Head: &branch, Base: sdk.Ptr(provider.Branch)})
			return pull, err
		})
	return sha, err
}

// head returns the hash of a branch's commit.
func (r *repository) head(ctx context.Context, branch string) (string, error) {
	ref, _, err := r.client().Git.GetRef(ctx, r.owner, r.name, "heads/"+branch)
	if err != nil {
		return "", err
	}
	return ref.GetObject().GetSHA(), nil
}

// tree makes a tree of files and returns its hash. Text goes along with the tree:
// GitHub allows few requests a minute that make something.
func (r *repository) tree(ctx context.Context, files map[string]string) (string, error) {
	if len(files) == 0 {
		return "", driver.ErrNoFiles
	}
	ctx = driver.Repeatable(ctx) // blobs and trees are named by their contents
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

// commit makes a commit on top of provider.Branch, which no branch has yet, and
// returns its hash.
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

// status is that of the reply which an error stands for, or zero.
func status(err error) int {
	var reply *sdk.ErrorResponse
	if errors.As(err, &reply) && reply.Response != nil {
		return reply.Response.StatusCode
	}
	return 0
}

// unlessMissing is the error, unless it says that something is not there.
func unlessMissing(err error) error {
	if status(err) == http.StatusNotFound {
		return nil
	}
	return err
}
