// Package delegated has the API server say who the sender of a request is, by its bearer token, and
// what that user may do. Its answers are kept for a while, and the rate of questions is bounded.
package delegated

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

// Timeout bounds the questions about one request together. The context of the request has to end
// by then.
const Timeout = 5 * time.Second

// answersKept is how long the API server's answers are kept, except that a token is unknown: the
// rate bounds those.
const answersKept = time.Minute

// Options say how much is asked.
type Options struct {
	// PerSecond is how many questions are asked per second; two seconds' worth can be saved up.
	PerSecond int
	// RefusalsKept is how long it is kept that a user may not do something.
	RefusalsKept time.Duration
}

// Reviews are TokenReviews and SubjectAccessReviews, which the product's account must be allowed to
// create. A token that is unknown is an error of the authenticator's, too: see [Unanswered].
type Reviews struct {
	authenticator.Request
	authorizer.Authorizer
}

// New returns the Reviews of a cluster.
func New(cluster *rest.Config, o Options) (*Reviews, error) {
	// Not the rate of the queues: a flood of tokens must not become one of requests.
	cluster = rest.CopyConfig(cluster)
	cluster.RateLimiter, cluster.QPS = nil, -1
	limiter := rate.NewLimiter(rate.Limit(o.PerSecond), 2*o.PerSecond)
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper { return paced{limiter, next} })
	tokens, err := authenticationclient.NewForConfig(cluster)
	if err != nil {
		return nil, err
	}
	access, err := authorizationclient.NewForConfig(cluster)
	if err != nil {
		return nil, err
	}
	once := &wait.Backoff{Steps: 1} // the next request is soon enough
	authenticate, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		TokenAccessReviewClient:  tokens,
		TokenAccessReviewTimeout: Timeout,
		WebhookRetryBackoff:      once,
		CacheTTL:                 answersKept,
	}.New()
	if err != nil {
		return nil, err
	}
	authorize, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: access,
		AllowCacheTTL:             answersKept,
		DenyCacheTTL:              o.RefusalsKept,
		WebhookRetryBackoff:       once,
	}.New()
	if err != nil {
		return nil, err
	}
	return &Reviews{authenticate, authorize}, nil
}

// paced sends requests no faster than it may.
type paced struct {
	*rate.Limiter
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (p paced) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := p.Wait(r.Context()); err != nil {
		return nil, err
	}
	return p.next.RoundTrip(r)
}

// Unanswered says that an error of a review means that the API server has not answered, and not
// that it does not know a token.
func Unanswered(err error) bool {
	var several utilerrors.Aggregate
	if errors.As(err, &several) {
		return slices.ContainsFunc(several.Errors(), Unanswered)
	}
	var refused apierrors.APIStatus
	var failed net.Error
	return errors.As(err, &refused) || errors.As(err, &failed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
