package access

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/rates"
	"github.com/pac-lease-queue/pac-lease-queue/addon/delegated"
)

const (
	// mostToken bounds a token, in bytes.
	mostToken = 16 << 10
	// atATime is how many questions one reader asks at a time, and mostNamespaces about how many
	// namespaces, if not about all.
	atATime, mostNamespaces = 16, 1000
	// mistakes is how many tokens that are none an address may show per second: each is a question.
	mistakes = 1
)

var reviews = delegated.Options{PerSecond: 200, RefusalsKept: time.Minute}

// Kubernetes has the API server tell who a reader is, by the bearer token of the request, and
// whether that user may list the PipelineRuns of a namespace.
type Kubernetes struct {
	reviews  *delegated.Reviews
	clock    clock.PassiveClock
	mistaken *rates.ByAddress
}

// NewKubernetes asks the API server of a cluster.
func NewKubernetes(cluster *rest.Config, clock clock.PassiveClock) (*Kubernetes, error) {
	reviews, err := delegated.New(cluster, reviews)
	if err != nil {
		return nil, fmt.Errorf("ask the API server about readers: %w", err)
	}
	return &Kubernetes{reviews: reviews, clock: clock, mistaken: rates.New(mistakes, 20*mistakes)}, nil
}

// Headers in which a proxy passes on the token of a user who has signed in: as a bearer token, or
// as OpenShift's proxy and oauth2-proxy do, beside whatever else is in the first.
const (
	authorization  = "Authorization"
	bearer         = "Bearer "
	forwardedToken = "X-Forwarded-Access-Token"
)

// Reader implements Access.
func (k *Kubernetes) Reader(r *http.Request) (Reader, error) {
	token := tokenOf(r)
	if token == "" || len(token) > mostToken {
		return nil, ErrUnknown
	}
	tokens := k.mistaken.Of(rates.Host(r.RemoteAddr))
	if tokens.TokensAt(k.clock.Now()) < 1 {
		return nil, ErrTooMany
	}
	ctx, cancel := context.WithTimeout(r.Context(), delegated.Timeout)
	defer cancel()
	asked := r.Clone(ctx) // the authenticator takes the token out of it
	asked.Header.Set(authorization, bearer+token)
	answer, known, err := k.reviews.AuthenticateRequest(asked)
	switch {
	case known:
		return reader{k.reviews, answer.User}, nil
	case delegated.Unanswered(err):
		return nil, fmt.Errorf("%w: %w", ErrUnanswered, err)
	default:
		tokens.AllowN(k.clock.Now(), 1)
		return nil, ErrUnknown
	}
}

// tokenOf is the token of a request; empty for none.
func tokenOf(r *http.Request) string {
	if scheme, token, _ := strings.Cut(r.Header.Get(authorization), " "); strings.EqualFold(scheme+" ", bearer) {
		return strings.TrimSpace(token)
	}
	return r.Header.Get(forwardedToken)
}

// reader is a user whom the API server knows.
type reader struct {
	authorizer.Authorizer
	user user.Info
}

// Sees implements Reader.
func (r reader) Sees(ctx context.Context, namespace string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, delegated.Timeout)
	defer cancel()
	if all, err := r.may(ctx, metav1.NamespaceAll); err != nil || all {
		return all, err
	}
	return r.may(ctx, namespace)
}

// SeesOf implements Reader. It asks about the first of very many namespaces only.
func (r reader) SeesOf(ctx context.Context, namespaces []string) (Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*delegated.Timeout)
	defer cancel()
	if all, err := r.may(ctx, metav1.NamespaceAll); err != nil || all {
		return Seen{}, err
	}
	asked := namespaces[:min(len(namespaces), mostNamespaces)]
	sees := make([]bool, len(asked))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	for i, namespace := range asked {
		group.Go(func() (err error) {
			sees[i], err = r.may(ctx, namespace)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Seen{}, err
	}
	var seen []string
	for i, namespace := range asked {
		if sees[i] {
			seen = append(seen, namespace)
		}
	}
	is := Only(seen)
	is.Unknown = len(namespaces) - len(asked)
	return is, nil
}

// may asks whether the user may list the PipelineRuns of a namespace, or of all.
func (r reader) may(ctx context.Context, namespace string) (bool, error) {
	decision, _, err := r.Authorize(ctx, authorizer.AttributesRecord{
		User: r.user, Verb: "list", Namespace: namespace, APIGroup: "tekton.dev", APIVersion: "v1", Resource: "pipelineruns",
		ResourceRequest: true,
	})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	return decision == authorizer.DecisionAllow, nil
}
