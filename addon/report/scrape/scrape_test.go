package scrape

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
)

// apiServer knows the tokens "reader" and "stranger", each of the user of that name, and lets the
// reader get /metrics. It counts what it is asked.
type apiServer struct {
	tokens, rights atomic.Int32
	failing        atomic.Bool // the question who may do what
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/apis/authentication.k8s.io/v1/tokenreviews":
		a.tokens.Add(1)
		review(w, r, func(t *authenticationv1.TokenReview) {
			t.Status.User.Username = t.Spec.Token
			if t.Status.Authenticated = t.Spec.Token == "reader" || t.Spec.Token == "stranger"; !t.Status.Authenticated {
				t.Status.Error = "invalid bearer token"
			}
		})
	case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
		a.rights.Add(1)
		if a.failing.Load() {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		review(w, r, func(s *authorizationv1.SubjectAccessReview) {
			asked := s.Spec.NonResourceAttributes
			s.Status.Allowed = s.Spec.User == "reader" && asked != nil && asked.Verb == "get" && asked.Path == "/metrics"
		})
	default:
		http.NotFound(w, r)
	}
}

func review[T any](w http.ResponseWriter, r *http.Request, decide func(*T)) {
	var object T
	if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	decide(&object)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(object)
}

const metrics = "the metrics"

// start serves metrics and returns the address.
func start(t *testing.T, a *apiServer, certificate string) string {
	t.Helper()
	cluster := httptest.NewServer(a)
	t.Cleanup(cluster.Close)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, metrics) })
	config := &rest.Config{Host: cluster.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	s, err := New(t.Context(), config, handler, Options{Certificate: certificate, Host: "here", Log: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// get returns the status and the body of an answer.
func get(t *testing.T, address, path, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	answer, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(body)
}

func TestOnlyReadersScrape(t *testing.T) {
	a := &apiServer{}
	address := start(t, a, "")
	want := func(path, token string, status int, words string) {
		t.Helper()
		if got, body := get(t, address, path, token); got != status || !strings.Contains(body, words) {
			t.Errorf("%s with token %.20q: %d %q, want %d and %q", path, token, got, body, status, words)
		}
	}
	want(Path, "", http.StatusUnauthorized, "send a bearer token")
	if a.tokens.Load() != 0 {
		t.Error("the API server is asked about no token")
	}
	want(Path, "forged", http.StatusUnauthorized, "send a bearer token")
	want(Path, "stranger", http.StatusForbidden, `"stranger" may not get the nonResourceURL /metrics`)
	want(Path, "reader", http.StatusOK, metrics)
	want("/debug/queues", "reader", http.StatusNotFound, "")
	want(Path, strings.Repeat("x", 2*maxHeaderBytes), http.StatusRequestHeaderFieldsTooLarge, "")
}

// An answer of the API server serves many scrapes.
func TestAnswersAreKept(t *testing.T) {
	a := &apiServer{}
	address := start(t, a, "")
	for range 20 {
		get(t, address, Path, "reader")
		get(t, address, Path, "stranger")
	}
	if tokens, rights := a.tokens.Load(), a.rights.Load(); tokens != 2 || rights != 2 {
		t.Errorf("40 scrapes of two users: %d questions about tokens, %d about rights, want 2 of each", tokens, rights)
	}
}

func TestNoScrapeWithoutTheAPIServer(t *testing.T) {
	a := &apiServer{}
	a.failing.Store(true)
	address := start(t, a, "")
	if status, body := get(t, address, Path, "reader"); status != http.StatusServiceUnavailable || strings.Contains(body, metrics) {
		t.Errorf("while the API server fails: %d %q", status, body)
	}
	a.failing.Store(false)
	if status, _ := get(t, address, Path, "reader"); status != http.StatusOK {
		t.Errorf("when it is back: %d", status)
	}
}

// Tokens that are unknown are not remembered, so a flood of them is bounded by its rate.
func TestFloodOfTokens(t *testing.T) {
	a := &apiServer{}
	address := start(t, a, "")
	const clients = 16
	var (
		flood    sync.WaitGroup
		requests atomic.Int32
		began    = time.Now()
	)
	for c := range clients {
		flood.Go(func() {
			for n := 0; time.Since(began) < time.Second; n++ {
				get(t, address, Path, fmt.Sprintf("forged-%d-%d", c, n))
				requests.Add(1)
			}
		})
	}
	flood.Wait()
	most := int32(float64(reviews.PerSecond)*(2+time.Since(began).Seconds())) + 1
	if asked := a.tokens.Load(); asked > most {
		t.Errorf("%d scrapes in %s: %d questions to the API server, want at most %d", requests.Load(), time.Since(began), asked, most)
	}
	if status, _ := get(t, address, Path, "reader"); status != http.StatusOK {
		t.Errorf("after the flood a reader gets %d", status)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	address := start(t, &apiServer{}, "")
	shake := func(within time.Duration) (*tls.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn.(*tls.Conn), nil
	}
	var first *tls.Conn
	for n := range maxConnections {
		conn, err := shake(readTimeout)
		if err != nil {
			t.Fatalf("connection %d: %v", n+1, err)
		}
		if n == 0 {
			first = conn
		}
	}
	if _, err := shake(time.Second); err == nil {
		t.Errorf("connection %d is served", maxConnections+1)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := shake(readTimeout); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

// A certificate that is replaced, as the kubelet replaces it, is presented without a restart.
func TestCertificateIsReplaced(t *testing.T) {
	dir := t.TempDir()
	mount := func(name string) {
		t.Helper()
		certificate, key, err := cert.GenerateSelfSignedCertKey(name, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		data := filepath.Join(dir, ".."+name)
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key} {
			if err := os.WriteFile(filepath.Join(data, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(data, filepath.Join(dir, "..new")); err != nil {
			t.Fatal(err)
		}
		old, _ := os.Readlink(filepath.Join(dir, "..data")) // none at first
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(old); err != nil {
			t.Fatal(err)
		}
	}
	mount("before")
	for _, file := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	address := start(t, &apiServer{}, dir)
	presents := func(name string) bool {
		t.Helper()
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].VerifyHostname(name) == nil
	}
	if !presents("before") {
		t.Fatal("another certificate than the mounted one is presented")
	}
	mount("after")
	for began := time.Now(); !presents("after"); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the old certificate is still presented")
		}
	}
}

func TestNoCertificate(t *testing.T) {
	_, err := New(t.Context(), &rest.Config{}, http.NotFoundHandler(), Options{Certificate: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "the certificate of the metrics") {
		t.Errorf("the error is %v", err)
	}
}
