// Package scrape serves metrics over TLS, to clients that the API server lets read them.
//
// A client shows a bearer token. The API server says whose it is (TokenReview) and whether that
// user may get the path (SubjectAccessReview); its answers are kept for a while. The load that
// clients without the right can cause is bounded: the number of connections, the size of headers,
// the time that a request takes, and the rate of questions to the API server.
package scrape

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/net/netutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/pac-lease-queue/pac-lease-queue/addon/delegated"
)

// Path is where metrics are served, and the nonResourceURL that a client must have the right to
// get.
const Path = "/metrics"

const (
	// maxConnections bounds memory; a connection serves one request at a time. Others wait in the
	// kernel's queue.
	maxConnections = 32
	maxHeaderBytes = 32 << 10 // of which a token takes a few KiB

	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	// idleTimeout is shorter than the interval between scrapes: an idle client must not keep its
	// connection from another.
	idleTimeout = 5 * time.Second
)

// Options say how metrics are served.
type Options struct {
	// Port is the port to listen on, on every interface.
	Port int
	// Certificate is a directory with tls.crt and tls.key, which are read again when they change.
	// If it is empty, the process signs a certificate itself and keeps it in memory.
	Certificate string
	// Host is the name that such a certificate is for.
	Host string
	// Log hears of connections that fail.
	Log *log.Logger
}

// Server serves metrics.
type Server struct {
	http     *http.Server
	listener net.Listener
}

// New listens, and returns a server that asks the given cluster about its clients. The certificate
// is kept up to date until the context ends.
func New(ctx context.Context, cluster *rest.Config, metrics http.Handler, o Options) (*Server, error) {
	guarded, err := guard(cluster, metrics)
	if err != nil {
		return nil, fmt.Errorf("serve metrics over TLS: %w", err)
	}
	config, err := certified(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the metrics: %w", err)
	}
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(o.Port))
	if err != nil {
		return nil, fmt.Errorf("serve metrics over TLS: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, guarded)
	return &Server{
		http: &http.Server{
			Handler:        mux,
			TLSConfig:      config,
			TLSNextProto:   map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2: one request per connection
			ReadTimeout:    readTimeout,
			WriteTimeout:   writeTimeout,
			IdleTimeout:    idleTimeout,
			MaxHeaderBytes: maxHeaderBytes,
			ErrorLog:       o.Log,
		},
		listener: netutil.LimitListener(listener, maxConnections),
	}, nil
}

// Serve serves until Close is called, and then returns [http.ErrServerClosed].
func (s *Server) Serve() error { return s.http.ServeTLS(s.listener, "", "") }

// Close ends all connections.
func (s *Server) Close() error { return s.http.Close() }

// reviews are few: Prometheus has one token.
var reviews = delegated.Options{PerSecond: 20, RefusalsKept: 10 * time.Second}

// guard has the handler serve only clients that the cluster's API server lets get the path.
func guard(cluster *rest.Config, next http.Handler) (http.Handler, error) {
	asked, err := delegated.New(cluster, reviews)
	if err != nil {
		return nil, err
	}
	return &guarded{asked, next}, nil
}

type guarded struct {
	*delegated.Reviews
	next http.Handler
}

// ServeHTTP implements http.Handler.
func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), delegated.Timeout) // shorter than that of a scrape
	defer cancel()
	client, ok, err := g.AuthenticateRequest(r.WithContext(ctx))
	if err != nil || !ok { // a token that is unknown is an error, too
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "send a bearer token that the API server accepts", http.StatusUnauthorized)
		return
	}
	decision, _, err := g.Authorize(ctx, authorizer.AttributesRecord{User: client.User, Verb: "get", Path: Path})
	switch {
	case err != nil:
		http.Error(w, "the API server does not say who may read metrics", http.StatusServiceUnavailable)
	case decision != authorizer.DecisionAllow:
		http.Error(w, fmt.Sprintf("%q may not get the nonResourceURL %s: bind it to a ClusterRole that allows that",
			client.User.GetName(), Path), http.StatusForbidden)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// certified returns a configuration with the certificate as it is at each handshake.
func certified(ctx context.Context, o Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	serve := func(pair dynamiccertificates.CertKeyContentProvider) (*dynamiccertificates.DynamicServingCertificateController, error) {
		current := dynamiccertificates.NewDynamicServingCertificateController(config, nil, pair, nil, nil)
		return current, current.RunOnce()
	}
	if o.Certificate == "" {
		certificate, key, err := cert.GenerateSelfSignedCertKey(o.Host, nil, nil)
		if err != nil {
			return nil, err
		}
		pair, err := dynamiccertificates.NewStaticCertKeyContent("self-signed", certificate, key)
		if err != nil {
			return nil, err
		}
		current, err := serve(pair)
		config.GetConfigForClient = current.GetConfigForClient
		return config, err
	}
	files, err := dynamiccertificates.NewDynamicServingContentFromFiles("metrics",
		filepath.Join(o.Certificate, corev1.TLSCertKey), filepath.Join(o.Certificate, corev1.TLSPrivateKeyKey))
	if err != nil {
		return nil, err
	}
	current, err := serve(files)
	if err != nil {
		return nil, err
	}
	files.AddListener(current)
	go files.Run(ctx, 1)
	go current.Run(1, ctx.Done())
	config.GetConfigForClient = current.GetConfigForClient
	return config, nil
}
