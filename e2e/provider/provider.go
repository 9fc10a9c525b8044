// Package provider defines what the end-to-end suite needs from a Git provider: a repository whose
// events reach PAC, commits in it, and the statuses PAC reports for them. The packages below it are
// the drivers, one per provider, and providertest, the contract that all of them keep.
package provider

import (
	"context"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Branch is the branch of a new repository.
const Branch = "main"

// Provider is an account on a Git provider.
type Provider interface {
	// Name is PAC's name for the provider in spec.git_provider.type: gitea, github or gitlab.
	Name() string
	// NewRepository creates a repository with a first commit on Branch and a webhook to PAC for
	// pushes, pull requests and their comments. On a provider shared with others the driver extends
	// the name to make it unique. If a later step fails, NewRepository deletes what it has created
	// before it returns, even if the context has ended.
	NewRepository(ctx context.Context, name string) (Repository, error)
}

// Repository is a Git repository, created for one test.
type Repository interface {
	// Access returns how PAC reaches the repository.
	Access() Access
	// Push adds one commit to Branch, after which the branch holds exactly these files (path to
	// content, at least one), and returns the hash of the commit. It causes one push event.
	// Concurrent pushes take turns.
	Push(ctx context.Context, files map[string]string, message string) (sha string, err error)
	// OpenPullRequest creates a branch that holds exactly these files, in one commit on top of
	// Branch, and opens a pull request for it. It returns the hash of the commit. It causes a push
	// event and a pull request event, in either order.
	OpenPullRequest(ctx context.Context, branch string, files map[string]string, title string) (sha string, err error)
	// Statuses returns the newest status of each context reported for a commit, ordered by context.
	// PAC ends a context with "/ " and the name of the run's definition.
	Statuses(ctx context.Context, sha string) ([]Status, error)
	// Delete deletes the repository and everything in it. Deleting it twice is no error.
	Delete(ctx context.Context) error
}

// Access is how PAC reaches a Git repository.
type Access struct {
	URL     string // of the repository, as its events name it
	API     string // of the provider, as PAC reaches it; empty for the public one
	Type    string // Provider.Name
	User    string // some providers need it next to the token
	Token   string
	Webhook string // the secret that signs events
}

// State is the state of a status, in words that all providers share.
type State string

// The states.
const (
	Pending State = "pending" // queued, or running
	Success State = "success"
	Failure State = "failure" // ended in any other way: failed, cancelled, skipped, in error
)

// Status is PAC's report about one run of a commit.
type Status struct {
	Context string // e.g. "Pipelines as Code CI / run-01"
	State   State
	// Link is where its details lead.
	Link string
}

// Keys of the Secret that Access.Repository returns.
const (
	tokenKey   = "token"
	webhookKey = "webhook"
)

// Repository returns the objects that connect a Git repository to PAC: a Repository of that name
// and the Secret it refers to, which belongs in the same namespace. Without a limit (nil) its runs
// do not queue.
func (a Access) Repository(name string, limit *int) (*corev1.Secret, *v1alpha1.Repository) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-git"},
		StringData: map[string]string{tokenKey: a.Token, webhookKey: a.Webhook},
	}
	return secret, &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.RepositorySpec{
			URL:              a.URL,
			ConcurrencyLimit: limit,
			GitProvider: &v1alpha1.GitProvider{
				Type:          a.Type,
				URL:           a.API,
				User:          a.User,
				Secret:        &v1alpha1.Secret{Name: secret.Name, Key: tokenKey},
				WebhookSecret: &v1alpha1.Secret{Name: secret.Name, Key: webhookKey},
			},
		},
	}
}
