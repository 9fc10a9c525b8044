// Package provider is what the end-to-end suite needs of a Git provider: a
// repository whose events reach PAC, commits in it, and what PAC reports about
// them. The packages below it are the drivers, one per provider; providertest is
// the contract that all of them keep.
package provider

import (
	"context"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Branch is the branch of a new repository.
const Branch = "main"

// Provider is a Git provider, and an account on it.
type Provider interface {
	// Name is what PAC calls the provider in spec.git_provider.type: gitea, github, gitlab.
	Name() string
	// NewRepository makes a repository with a first commit on Branch and a webhook
	// to PAC for pushes, pull requests and their comments. The name is a wish: a
	// provider shared with others makes it unique. If a later step fails, what was
	// made is deleted before NewRepository returns, even if the context has ended.
	NewRepository(ctx context.Context, name string) (Repository, error)
}

// Repository is a Git repository, made for one test.
type Repository interface {
	// Access is what PAC needs to know.
	Access() Access
	// Push makes one commit on Branch, after which the branch holds exactly these
	// files (path to content, one at least), and returns its hash. It causes one
	// push event. Pushes at the same time come one after the other.
	Push(ctx context.Context, files map[string]string, message string) (sha string, err error)
	// OpenPullRequest makes a new branch that holds exactly these files, in one
	// commit on top of Branch, and asks for it to be merged. It returns the hash of
	// the commit. Events of both come, in no particular order: a push to the branch
	// and a new pull request.
	OpenPullRequest(ctx context.Context, branch string, files map[string]string, title string) (sha string, err error)
	// Statuses returns the newest status of each context reported for a commit,
	// ordered by context. Contexts are PAC's: they end with "/ " and the name of a
	// run's definition.
	Statuses(ctx context.Context, sha string) ([]Status, error)
	// Delete deletes the repository and everything in it. It is no error if it is
	// gone already.
	Delete(ctx context.Context) error
}

// Access is what PAC's Repository says of a Git repository.
type Access struct {
	URL     string // of the repository, as its events name it
	API     string // of the provider, as PAC reaches it; empty for the provider's public one
	Type    string // as Provider.Name
	User    string // needed by some providers with a token
	Token   string
	Webhook string // the secret that signs events
}

// State of a status, in words that all providers share.
type State string

// The states.
const (
	Pending State = "pending" // queued, or running
	Success State = "success"
	Failure State = "failure" // ended in any other way: failed, cancelled, skipped, in error
)

// Status is what PAC reported about one run of a commit.
type Status struct {
	Context string // e.g. "Pipelines as Code CI / run-01"
	State   State
}

// Names of the keys of the Secret that Access.Repository makes.
const (
	tokenKey   = "token"
	webhookKey = "webhook"
)

// Repository is what ties a repository to PAC: a Repository of that name, and the
// Secret that it refers to, which is to be in the same namespace. Without a limit
// (nil) its runs do not queue.
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
