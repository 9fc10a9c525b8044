// Package gitlab drives GitLab.
package gitlab

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	sdk "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/time/rate"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// Type is what PAC calls GitLab.
const Type = "gitlab"

const (
	pageSize = 100
	// branchDeadline is how long GitLab may take to show a new project's branch.
	branchDeadline = 30 * time.Second
)

// Options say which group, and who asks.
type Options struct {
	API   string // empty means gitlab.com; else e.g. https://gitlab.example.com
	Token string // with the rights to make and delete projects in Group
	Group string // the full path of a group, or a user's name
	Hook  string // where webhooks go

	Driver driver.Options // for tests
}

// Server is the address of the API.
func (o Options) Server() string { return cmp.Or(o.API, "https://gitlab.com") }

// Provider is a group on GitLab.
type Provider struct {
	options   Options
	transport *driver.Transport
	client    *sdk.Client
}

// New returns a Provider. Nothing is asked of GitLab yet.
func New(o Options) (*Provider, error) {
	check := "check that it was copied whole, has not expired or been revoked and belongs to " + o.Server()
	transport := driver.NewTransport("GitLab", check, o.Driver)
	client, err := sdk.NewClient(o.Token, sdk.WithBaseURL(o.Server()), sdk.WithHTTPClient(&http.Client{Transport: transport}),
		// The transport repeats and waits instead.
		sdk.WithoutRetries(), sdk.WithCustomLimiter(rate.NewLimiter(rate.Inf, 0)))
	if err != nil {
		return nil, fmt.Errorf("the address of GitLab's API: %w", err)
	}
	return &Provider{options: o, transport: transport, client: client}, nil
}

// Name implements provider.Provider.
func (p *Provider) Name() string { return Type }

// NewRepository implements provider.Provider. It is private, and its name ends in
// something unique.
func (p *Provider) NewRepository(ctx context.Context, name string) (provider.Repository, error) {
	name = driver.UniqueName(name)
	r := &repository{
		provider: p, name: name, path: p.options.Group + "/" + name,
		description: driver.NewDescription(), secret: rand.Text(),
	}
	if err := r.create(ctx); err != nil {
		return nil, driver.Discard(ctx, fmt.Errorf("creating the GitLab project %s: %w", r.path, err), r.discard)
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
	asked       bool // for it to be made

	pushing sync.Mutex
}

func (r *repository) client() *sdk.Client { return r.provider.client }

// create makes the project and its webhook.
func (r *repository) create(ctx context.Context) error {
	group, _, err := r.client().Namespaces.GetNamespace(r.provider.options.Group, sdk.WithContext(ctx))
	if errors.Is(err, sdk.ErrNotFound) {
		return fmt.Errorf("there is no group %s that the token's user can see", r.provider.options.Group)
	}
	if err != nil {
		return fmt.Errorf("looking for the group %s: %w", r.provider.options.Group, err)
	}
	r.asked = true
	made, err := driver.Create(ctx, r.provider.transport, r.find, func(ctx context.Context) (*sdk.Project, error) {
		project, _, err := r.client().Projects.CreateProject(&sdk.CreateProjectOptions{
			Name: &r.name, Path: &r.name, NamespaceID: &group.ID, Description: &r.description,
			Visibility: sdk.Ptr(sdk.PrivateVisibility), DefaultBranch: sdk.Ptr(provider.Branch), InitializeWithReadme: sdk.Ptr(true),
			AutoDevopsEnabled: sdk.Ptr(false), // or GitLab adds pipelines of its own
		}, sdk.WithContext(ctx))
		return project, err
	})
	if err != nil {
		return r.notAllowed(err)
	}
	r.id, r.url = made.ID, made.WebURL
	if err := r.awaitBranch(ctx); err != nil {
		return err
	}
	if r.provider.options.Hook == "" {
		return nil
	}
	if _, err := driver.Create(ctx, r.provider.transport, r.findHook, func(ctx context.Context) (*sdk.ProjectHook, error) {
		hook, _, err := r.client().Projects.AddProjectHook(r.id, &sdk.AddProjectHookOptions{
			URL: &r.provider.options.Hook, Token: &r.secret, EnableSSLVerification: sdk.Ptr(true),
			PushEvents: sdk.Ptr(true), MergeRequestsEvents: sdk.Ptr(true), NoteEvents: sdk.Ptr(true),
		}, sdk.WithContext(ctx))
		return hook, err
	}); err != nil {
		return fmt.Errorf("creating its webhook: %w", err)
	}
	return nil
}

// notAllowed explains why a project could not be created, if that was for want of
// rights.
func (r *repository) notAllowed(err error) error {
	if status(err) == http.StatusForbidden {
		return fmt.Errorf("the token may not create projects in %s: it needs the scope api, and its user the role Maintainer or Owner there: %w",
			r.provider.options.Group, err)
	}
	return err
}

// awaitBranch waits for the first commit.
func (r *repository) awaitBranch(ctx context.Context) error {
	err := driver.Until(ctx, r.provider.transport, branchDeadline, func(ctx context.Context) (bool, error) {
		_, err := r.head(ctx, provider.Branch)
		return err == nil, unlessMissing(err)
	})
	if err != nil {
		return fmt.Errorf("its branch %s: %w", provider.Branch, err)
	}
	return nil
}

// find looks for the project that create asked for.
func (r *repository) find(ctx context.Context) (*sdk.Project, bool, error) {
	project, _, err := r.client().Projects.GetProject(r.path, nil, sdk.WithContext(ctx))
	if err != nil {
		return nil, false, unlessMissing(err)
	}
	return project, project.Description == r.description, nil
}

// findHook looks for the only webhook that the project can have.
func (r *repository) findHook(ctx context.Context) (*sdk.ProjectHook, bool, error) {
	hooks, _, err := r.client().Projects.ListProjectHooks(r.id, nil, sdk.WithContext(ctx))
	if err != nil || len(hooks) == 0 {
		return nil, false, err
	}
	return hooks[0], true, nil
}

// discard deletes the project if it is the one that create asked for, if it
// did.
func (r *repository) discard(ctx context.Context) error {
	if !r.asked {
		return nil
	}
	project, ours, err := r.find(ctx)
	if err != nil || !ours {
		return err
	}
	r.id = project.ID
	return r.Delete(ctx)
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
	_, err := driver.Create(ctx, r.provider.transport,
		func(ctx context.Context) (bool, bool, error) {
			requests, _, err := r.client().MergeRequests.ListProjectMergeRequests(r.id,
				&sdk.ListProjectMergeRequestsOptions{SourceBranch: &branch}, sdk.WithContext(ctx))
			return true, len(requests) > 0, err
		},
		func(ctx context.Context) (bool, error) {
			_, _, err := r.client().MergeRequests.CreateMergeRequest(r.id,
				&sdk.CreateMergeRequestOptions{Title: &title, SourceBranch: &branch, TargetBranch: sdk.Ptr(provider.Branch)}, sdk.WithContext(ctx))
			return true, err
		})
	return err
}

// commit makes a commit with exactly these files on top of provider.Branch, which
// goes to a branch, made if it is another one.
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
		// Who asks holds the lock, and nobody else pushes to a project made for one test.
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

// head returns a branch's commit.
func (r *repository) head(ctx context.Context, branch string) (*sdk.Commit, error) {
	b, _, err := r.client().Branches.GetBranch(r.id, branch, sdk.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return b.Commit, nil
}

// tree returns the paths of a commit's files.
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
	for path := range old {
		if _, stays := files[path]; !stays {
			actions = append(actions, &sdk.CommitActionOptions{Action: sdk.Ptr(sdk.FileDelete), FilePath: &path})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		action := sdk.FileCreate
		if old[path] {
			action = sdk.FileUpdate
		}
		actions = append(actions, &sdk.CommitActionOptions{
			Action: &action, FilePath: &path,
			Content: sdk.Ptr(base64.StdEncoding.EncodeToString([]byte(files[path]))), Encoding: sdk.Ptr("base64"),
		})
	}
	return actions
}

// Statuses implements provider.Repository. PAC reports them as those of an external
// pipeline; GitLab changes one in place.
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
		reports = append(reports, driver.Report{Status: provider.Status{Context: s.Name, State: state(s.Status)}, ID: s.ID})
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

// Delete implements provider.Repository. GitLab first marks a project and deletes
// it days later; where it may be deleted at once, as by default on servers other
// than gitlab.com, it is.
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
	case http.StatusBadRequest, http.StatusForbidden: // not at once here: it stays marked
		return nil
	}
	return unlessMissing(err)
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
	if errors.Is(err, sdk.ErrNotFound) {
		return nil
	}
	return err
}
