// Package gitlab drives GitLab.
package gitlab

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	sdk "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/time/rate"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// Type is what PAC calls GitLab.
const Type = "gitlab"

const pageSize = 100

// Options name a group on GitLab and an account.
type Options struct {
	API   string // e.g. https://gitlab.example.com; empty means gitlab.com
	Token string // allowed to create and delete projects in Group
	Group string // the full path of a group, or the name of a user
	Hook  string // where webhooks go; empty means that projects have none

	Driver driver.Options // for tests
}

// Server returns the address of the API.
func (o Options) Server() string { return cmp.Or(o.API, "https://gitlab.com") }

// Provider is a group on GitLab.
type Provider struct {
	options   Options
	transport *driver.Transport
	client    *sdk.Client
}

// New returns a Provider. It sends no request yet.
func New(o Options) (*Provider, error) {
	check := "check that it was copied whole, has not expired or been revoked and belongs to " + o.Server()
	transport := driver.NewTransport("GitLab", check, o.Driver)
	client, err := sdk.NewClient(o.Token, sdk.WithBaseURL(o.Server()), sdk.WithHTTPClient(&http.Client{Transport: transport}),
		// The transport retries and waits.
		sdk.WithoutRetries(), sdk.WithCustomLimiter(rate.NewLimiter(rate.Inf, 0)))
	if err != nil {
		return nil, fmt.Errorf("the address of GitLab's API: %w", err)
	}
	return &Provider{options: o, transport: transport, client: client}, nil
}

// Name implements provider.Provider.
func (p *Provider) Name() string { return Type }

// NewRepository implements provider.Provider. The project is private, and a unique suffix is added
// to its name.
func (p *Provider) NewRepository(ctx context.Context, name string) (provider.Repository, error) {
	name = driver.UniqueName(name)
	r := &repository{
		provider: p, name: name, path: p.options.Group + "/" + name,
		description: driver.NewDescription(), secret: rand.Text(),
	}
	creating := func(err error) error { return fmt.Errorf("creating the GitLab project %s: %w", r.path, err) }
	group, _, err := p.client.Namespaces.GetNamespace(p.options.Group, sdk.WithContext(ctx))
	if errors.Is(err, sdk.ErrNotFound) {
		return nil, creating(fmt.Errorf("the user of the token sees no group %s", p.options.Group))
	}
	if err != nil {
		return nil, creating(fmt.Errorf("looking up the group %s: %w", p.options.Group, err))
	}
	if err := r.create(ctx, group.ID); err != nil {
		return nil, driver.Discard(ctx, creating(err), r.find, r.Delete)
	}
	return r, nil
}

// repository is a project on GitLab.
type repository struct {
	provider    *Provider
	name, path  string
	description string
	id          int64
	url         string
	secret      string

	pushing sync.Mutex
}

func (r *repository) client() *sdk.Client { return r.provider.client }

// create creates the project and its webhook.
func (r *repository) create(ctx context.Context, group int64) error {
	made, err := driver.Create(ctx, r.provider.transport, r.find, func(ctx context.Context) (*sdk.Project, error) {
		project, _, err := r.client().Projects.CreateProject(&sdk.CreateProjectOptions{
			Name: &r.name, Path: &r.name, NamespaceID: &group, Description: &r.description,
			Visibility: sdk.Ptr(sdk.PrivateVisibility), DefaultBranch: sdk.Ptr(provider.Branch),
			InitializeWithReadme: sdk.Ptr(true),
			AutoDevopsEnabled:    sdk.Ptr(false), // keeps GitLab from adding pipelines of its own
		}, sdk.WithContext(ctx))
		return project, err
	})
	if err != nil {
		return r.explain(err)
	}
	r.id, r.url = made.ID, made.WebURL
	if err := r.awaitBranch(ctx); err != nil {
		return err
	}
	if r.provider.options.Hook == "" {
		return nil
	}
	_, err = driver.CreateOnly(ctx, r.provider.transport,
		func(ctx context.Context) ([]*sdk.ProjectHook, error) {
			hooks, _, err := r.client().Projects.ListProjectHooks(r.id, nil, sdk.WithContext(ctx))
			return hooks, err
		},
		func(ctx context.Context) (*sdk.ProjectHook, error) {
			hook, _, err := r.client().Projects.AddProjectHook(r.id, &sdk.AddProjectHookOptions{
				URL: &r.provider.options.Hook, Token: &r.secret, EnableSSLVerification: sdk.Ptr(true),
				PushEvents: sdk.Ptr(true), MergeRequestsEvents: sdk.Ptr(true), NoteEvents: sdk.Ptr(true),
			}, sdk.WithContext(ctx))
			return hook, err
		})
	if err != nil {
		return fmt.Errorf("creating its webhook: %w", err)
	}
	return nil
}

// explain adds to an error for want of rights which rights the creation of a project needs.
func (r *repository) explain(err error) error {
	if status(err) == http.StatusForbidden {
		return fmt.Errorf("the token may not create projects in %s: it needs the scope api, "+
			"and its user needs the role Maintainer or Owner there: %w", r.provider.options.Group, err)
	}
	return err
}

// awaitBranch waits for the first commit.
func (r *repository) awaitBranch(ctx context.Context) error {
	return driver.AwaitBranch(ctx, r.provider.transport, provider.Branch, func(ctx context.Context) (bool, error) {
		_, err := r.head(ctx, provider.Branch)
		return err == nil, unlessMissing(err)
	})
}

// find looks for the project that create asks for, and keeps its ID, which Delete needs.
func (r *repository) find(ctx context.Context) (*sdk.Project, bool, error) {
	project, _, err := r.client().Projects.GetProject(r.path, nil, sdk.WithContext(ctx))
	if err != nil {
		return nil, false, unlessMissing(err)
	}
	ours := project.Description == r.description
	if ours {
		r.id = project.ID
	}
	return project, ours, nil
}

// Access implements provider.Repository.
func (r *repository) Access() provider.Access {
	o := r.provider.options
	return provider.Access{URL: r.url, API: o.API, Type: Type, Token: o.Token, Webhook: r.secret}
}

// Push implements provider.Repository.
func (r *repository) Push(ctx context.Context, files map[string]string, message string) (string, error) {
	sha, err := r.commit(ctx, provider.Branch, files, message)
	if err != nil {
		return "", fmt.Errorf("pushing to %s on GitLab: %w", r.path, err)
	}
	return sha, nil
}

// OpenPullRequest implements provider.Repository.
func (r *repository) OpenPullRequest(ctx context.Context, branch string, files map[string]string, title string) (string, error) {
	sha, err := r.commit(ctx, branch, files, title)
	if err == nil {
		err = r.openMergeRequest(ctx, branch, title)
	}
	if err != nil {
		return "", fmt.Errorf("opening a merge request in %s on GitLab: %w", r.path, err)
	}
	return sha, nil
}

func (r *repository) openMergeRequest(ctx context.Context, branch, title string) error {
	_, err := driver.CreateOnly(ctx, r.provider.transport,
		func(ctx context.Context) ([]*sdk.BasicMergeRequest, error) {
			requests, _, err := r.client().MergeRequests.ListProjectMergeRequests(r.id,
				&sdk.ListProjectMergeRequestsOptions{SourceBranch: &branch}, sdk.WithContext(ctx))
			return requests, err
		},
		func(ctx context.Context) (*sdk.BasicMergeRequest, error) {
			request, _, err := r.client().MergeRequests.CreateMergeRequest(r.id, &sdk.CreateMergeRequestOptions{
				Title: &title, SourceBranch: &branch, TargetBranch: sdk.Ptr(provider.Branch),
			}, sdk.WithContext(ctx))
			if err != nil {
				return nil, err
			}
			return &request.BasicMergeRequest, nil
		})
	return err
}

// commit adds a commit that holds exactly these files, on top of provider.Branch, to that branch or
// to a new one.
func (r *repository) commit(ctx context.Context, branch string, files map[string]string, message string) (string, error) {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	if len(files) == 0 {
		return "", driver.ErrNoFiles
	}
	head, err := r.head(ctx, provider.Branch)
	if err != nil {
		return "", err
	}
	old, err := r.tree(ctx, head.ID)
	if err != nil {
		return "", err
	}
	options := &sdk.CreateCommitOptions{Branch: &branch, CommitMessage: &message, Actions: actions(old, files)}
	if branch != provider.Branch {
		options.StartSHA = &head.ID
	}
	return driver.Create(ctx, r.provider.transport,
		// A commit on top of head is the caller's: it holds the lock, and its test is the only one
		// that pushes to the project.
		func(ctx context.Context) (string, bool, error) {
			now, err := r.head(ctx, branch)
			if err != nil {
				return "", false, unlessMissing(err)
			}
			return now.ID, slices.Equal(now.ParentIDs, []string{head.ID}), nil
		},
		func(ctx context.Context) (string, error) {
			commit, _, err := r.client().Commits.CreateCommit(r.id, options, sdk.WithContext(ctx))
			if err != nil {
				return "", err
			}
			return commit.ID, nil
		})
}

// head returns the newest commit of a branch.
func (r *repository) head(ctx context.Context, branch string) (*sdk.Commit, error) {
	b, _, err := r.client().Branches.GetBranch(r.id, branch, sdk.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return b.Commit, nil
}

// tree returns the paths of the files in a commit.
func (r *repository) tree(ctx context.Context, sha string) (map[string]bool, error) {
	nodes, err := sdk.ScanAndCollect(func(p sdk.PaginationOptionFunc) ([]*sdk.TreeNode, *sdk.Response, error) {
		return r.client().Repositories.ListTree(r.id, &sdk.ListTreeOptions{
			ListOptions: sdk.ListOptions{PerPage: pageSize, Pagination: "keyset"}, Ref: &sha, Recursive: sdk.Ptr(true),
		}, sdk.WithContext(ctx), p)
	})
	files := map[string]bool{}
	for _, node := range nodes {
		if node.Type == "blob" {
			files[node.Path] = true
		}
	}
	return files, err
}

// actions turns the old files into the new ones.
func actions(old map[string]bool, files map[string]string) []*sdk.CommitActionOptions {
	var actions []*sdk.CommitActionOptions
	for _, c := range driver.Changes(old, files) {
		action := &sdk.CommitActionOptions{Action: sdk.Ptr(sdk.FileActionValue(c.Operation)), FilePath: &c.Path}
		if *action.Action != sdk.FileDelete {
			action.Content, action.Encoding = &c.Content, sdk.Ptr("base64")
		}
		actions = append(actions, action)
	}
	return actions
}

// Statuses implements provider.Repository. PAC reports statuses as those of an external pipeline,
// and GitLab updates a status in place.
func (r *repository) Statuses(ctx context.Context, sha string) ([]provider.Status, error) {
	statuses, err := sdk.ScanAndCollect(func(p sdk.PaginationOptionFunc) ([]*sdk.CommitStatus, *sdk.Response, error) {
		return r.client().Commits.GetCommitStatuses(r.id, sha, &sdk.GetCommitStatusesOptions{
			ListOptions: sdk.ListOptions{PerPage: pageSize},
		}, sdk.WithContext(ctx), p)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the statuses of %s in %s on GitLab: %w", sha, r.path, err)
	}
	var reports []driver.Report
	for _, s := range statuses {
		status := provider.Status{Context: s.Name, State: state(s.Status), Link: s.TargetURL}
		reports = append(reports, driver.Report{Status: status, ID: s.ID})
	}
	return driver.Newest(reports), nil
}

func state(s string) provider.State {
	switch s {
	case "created", "waiting_for_resource", "preparing", "pending", "running", "scheduled", "manual", "canceling":
		return provider.Pending
	case "success":
		return provider.Success
	}
	return provider.Failure
}

// Delete implements provider.Repository. GitLab marks a project and deletes it days later, unless a
// second request asks for its immediate deletion, which servers other than gitlab.com allow by
// default.
func (r *repository) Delete(ctx context.Context) error {
	_, refused := r.client().Projects.DeleteProject(r.id, nil, sdk.WithContext(ctx))
	project, _, err := r.client().Projects.GetProject(r.id, nil, sdk.WithContext(ctx))
	switch {
	case errors.Is(err, sdk.ErrNotFound):
		return nil
	case err == nil && refused != nil && project.MarkedForDeletionOn == nil:
		err = refused
	}
	if err != nil {
		return fmt.Errorf("deleting the GitLab project %s: %w", r.path, err)
	}
	_, err = r.client().Projects.DeleteProject(r.id,
		&sdk.DeleteProjectOptions{PermanentlyRemove: sdk.Ptr(true), FullPath: &project.PathWithNamespace}, sdk.WithContext(ctx))
	switch status(err) {
	case http.StatusBadRequest, http.StatusForbidden: // not allowed here: the project stays marked
		return nil
	}
	return unlessMissing(err)
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
	if errors.Is(err, sdk.ErrNotFound) {
		return nil
	}
	return err
}
