package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
)

// apiServer answers reviews: a token is good if it is the name of a user, and a user may see the
// namespaces that begin with that name.
type apiServer struct {
	*httptest.Server
	tokens, rights atomic.Int32 // reviews so far
	down           atomic.Bool
}

const operator, developer = "operator", "shop"

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		s.tokens.Add(1)
		answer(t, w, r, &authenticationv1.TokenReview{}, func(is *authenticationv1.TokenReview) {
			if is.Status.Authenticated = slices.Contains([]string{operator, developer}, is.Spec.Token); is.Status.Authenticated {
				is.Status.User.Username = is.Spec.Token
			} else {
				is.Status.Error = "[invalid bearer token, unknown]"
			}
		})
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		s.rights.Add(1)
		answer(t, w, r, &authorizationv1.SubjectAccessReview{}, func(is *authorizationv1.SubjectAccessReview) {
			namespace := is.Spec.ResourceAttributes.Namespace
			is.Status.Allowed = is.Spec.User == operator || namespace != "" && strings.HasPrefix(namespace, is.Spec.User)
		})
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func answer[T any](t *testing.T, w http.ResponseWriter, r *http.Request, review *T, decide func(*T)) {
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		t.Error(err)
	}
	decide(review)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

func newKubernetes(t *testing.T, s *apiServer) (*access.Kubernetes, *clocktesting.FakePassiveClock) {
	t.Helper()
	clk := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	k, err := access.NewKubernetes(&rest.Config{Host: s.URL}, clk)
	if err != nil {
		t.Fatal(err)
	}
	return k, clk
}

func request(from string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = from + ":1"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func bearer(from, token string) *http.Request { return request(from, "Authorization", "Bearer "+token) }

// TestReader: a token is found wherever a proxy puts it, and asked about once a minute.
func TestReader(t *testing.T) {
	s := newAPIServer(t)
	k, _ := newKubernetes(t, s)
	for what, tc := range map[string]struct {
		headers []string
		want    error
	}{
		"none":                   {nil, access.ErrUnknown},
		"a bearer token":         {[]string{"Authorization", "bearer  " + developer}, nil},
		"a forwarded token":      {[]string{"X-Forwarded-Access-Token", developer}, nil},
		"one beside a basic one": {[]string{"X-Forwarded-Access-Token", developer, "Authorization", "Basic eDp5"}, nil},
		"a basic one alone":      {[]string{"Authorization", "Basic eDp5"}, access.ErrUnknown},
		"a wrong one":            {[]string{"Authorization", "Bearer nobody"}, access.ErrUnknown},
		"a wrong one beside a good one": {
			[]string{"Authorization", "Bearer nobody", "X-Forwarded-Access-Token", developer}, access.ErrUnknown,
		},
		"one that is too long": {[]string{"Authorization", "Bearer " + strings.Repeat("x", 17<<10)}, access.ErrUnknown},
	} {
		if _, err := k.Reader(request("10.0.0.1", tc.headers...)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
	s.tokens.Store(0)
	for range 100 {
		if _, err := k.Reader(bearer("10.0.0.1", developer)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.tokens.Load(); n > 1 {
		t.Errorf("a good token is asked about %d times", n)
	}
}

// TestWrongTokens: an address that shows one wrong token after the other is refused without a
// question, and nobody else is.
func TestWrongTokens(t *testing.T) {
	s := newAPIServer(t)
	k, clk := newKubernetes(t, s)
	refused := 0
	for i := range 200 {
		if _, err := k.Reader(bearer("10.0.0.1", fmt.Sprint("wrong-", i))); errors.Is(err, access.ErrTooMany) {
			refused++
		}
	}
	if n := s.tokens.Load(); n > 20 || refused < 180 {
		t.Errorf("the API server is asked about %d of 200 wrong tokens, %d are refused", n, refused)
	}
	if _, err := k.Reader(bearer("10.0.0.2", developer)); err != nil {
		t.Errorf("another address: %v", err)
	}
	clk.SetTime(clk.Now().Add(time.Minute))
	if _, err := k.Reader(bearer("10.0.0.1", developer)); err != nil {
		t.Errorf("the address after a minute: %v", err)
	}
}

// TestUnanswered: a reader is not taken for unknown because the API server does not answer.
func TestUnanswered(t *testing.T) {
	s := newAPIServer(t)
	k, _ := newKubernetes(t, s)
	known, err := k.Reader(bearer("10.0.0.1", developer))
	if err != nil {
		t.Fatal(err)
	}
	s.down.Store(true)
	if _, err := k.Reader(bearer("10.0.0.1", operator)); !errors.Is(err, access.ErrUnanswered) {
		t.Errorf("of an operator: %v", err)
	}
	if _, err := known.Sees(t.Context(), "shop-1"); !errors.Is(err, access.ErrUnanswered) {
		t.Errorf("of a namespace: %v", err)
	}
	if _, err := known.SeesOf(t.Context(), []string{"shop-1"}); !errors.Is(err, access.ErrUnanswered) {
		t.Errorf("of some namespaces: %v", err)
	}
}

// TestSees: a reader sees what the API server says, which is asked once about each namespace, and
// not at all about each if the reader may see all.
func TestSees(t *testing.T) {
	s := newAPIServer(t)
	k, _ := newKubernetes(t, s)
	var namespaces []string
	for i := range 1100 {
		namespaces = append(namespaces, fmt.Sprintf("%s-%04d", []string{"bank", developer}[i%2], i/2))
	}
	slices.Sort(namespaces)
	one, err := k.Reader(bearer("10.0.0.1", developer))
	if err != nil {
		t.Fatal(err)
	}
	some := namespaces[540:560] // of both
	for range 3 {
		seen, err := one.SeesOf(t.Context(), some)
		if err != nil || seen.Has("bank-0549") || !seen.Has("shop-0000") || seen.Unknown != 0 {
			t.Errorf("a developer sees %v, %v", seen, err)
		}
	}
	if n := s.rights.Load(); int(n) != len(some)+1 {
		t.Errorf("%d questions about %d namespaces", n, len(some))
	}
	for namespace, want := range map[string]bool{"bank-0549": false, "shop-0000": true} {
		if sees, err := one.Sees(t.Context(), namespace); err != nil || sees != want {
			t.Errorf("a developer sees %s: %t, %v", namespace, sees, err)
		}
	}
	s.rights.Store(0)
	all, err := k.Reader(bearer("10.0.0.1", operator))
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := all.SeesOf(t.Context(), namespaces); err != nil || seen.String() != "*" || seen.Unknown != 0 {
		t.Errorf("an operator sees %v, %v", seen, err)
	}
	if n := s.rights.Load(); n != 1 {
		t.Errorf("%d questions about one who may see all", n)
	}
}

// TestTooManyNamespaces: what is not asked about is said.
func TestTooManyNamespaces(t *testing.T) {
	s := newAPIServer(t)
	k, _ := newKubernetes(t, s)
	reader, err := k.Reader(bearer("10.0.0.1", developer))
	if err != nil {
		t.Fatal(err)
	}
	namespaces := make([]string, 1100)
	for i := range namespaces {
		namespaces[i] = fmt.Sprintf("shop-%04d", i)
	}
	seen, err := reader.SeesOf(t.Context(), namespaces)
	if err != nil || seen.Unknown != 100 || !seen.Has("shop-0999") || seen.Has("shop-1000") {
		t.Errorf("sees the first: %t, the last: %t; %d unknown, %v", seen.Has("shop-0999"), seen.Has("shop-1000"), seen.Unknown, err)
	}
}
