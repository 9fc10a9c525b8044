package admission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/system"
	"knative.dev/pkg/webhook"
)

const (
	// lameDuck is how long a replica keeps serving after it is told to end. It may still be sent
	// requests until every node has learned that it is not ready any more.
	lameDuck = 5 * time.Second
	// shutdownTimeout bounds the requests that are still being answered after that. None takes this
	// long.
	shutdownTimeout = 5 * time.Second

	headerTimeout = 10 * time.Second

	// The keeper's back-off after a failure.
	retryMin, retryMax = 100 * time.Millisecond, 10 * time.Second
)

// Options name the objects that make up the webhook. All but the configuration are in the namespace
// of the process (SYSTEM_NAMESPACE).
type Options struct {
	// Configuration is the MutatingWebhookConfiguration that makes the API server call.
	Configuration string
	// Service is where the API server calls; certificates are issued for its name.
	Service string
	// Secret holds the certificate that every replica presents.
	Secret string
	// Port is the port to listen on.
	Port int
}

// serverName is the name by which the API server calls the webhook.
func (o Options) serverName() string { return o.Service + "." + system.Namespace() + ".svc" }

// Server serves the hold.
type Server struct {
	options   Options
	presented *presented
	done      chan struct{}
	err       error // set before done is closed
}

// Start serves the hold until some time after the context ends; Wait returns after that.
func Start(ctx context.Context, kube kubernetes.Interface, o Options) (*Server, error) {
	logger := logging.FromContext(ctx)
	quiet := logger.WithOptions(zap.IncreaseLevel(zap.WarnLevel)) // knative logs every request and every reconcile
	handler, err := webhook.New(webhook.WithOptions(logging.WithLogger(ctx, quiet), webhook.Options{}), holds())
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	errorLog, err := zap.NewStdLogAt(quiet.Desugar(), zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(o.Port))
	if err != nil {
		return nil, fmt.Errorf("serve the webhook: %w", err)
	}
	k, err := startKeeper(ctx, kube, o, logger, quiet)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{options: o, presented: &presented{secrets: k.secrets, name: o.Secret}, done: make(chan struct{})}
	server := &http.Server{
		Handler:           closeAfter(ctx, handler),
		TLSConfig:         &tls.Config{GetCertificate: s.presented.certificate, MinVersion: tls.VersionTLS13},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // the API server speaks HTTP/1.1 to webhooks
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          errorLog,
	}
	go func() {
		defer close(s.done)
		s.err = serve(ctx, server, listener, k.configured)
	}()
	return s, nil
}

// startKeeper starts the keeper and returns once its caches are filled.
func startKeeper(ctx context.Context, kube kubernetes.Interface, o Options, logger, quiet *zap.SugaredLogger) (*keeper, error) {
	namespaced := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(system.Namespace()), named(o.Secret))
	clustered := informers.NewSharedInformerFactoryWithOptions(kube, 0, named(o.Configuration))
	secrets := namespaced.Core().V1().Secrets()
	configurations := clustered.Admissionregistration().V1().MutatingWebhookConfigurations()
	k := &keeper{
		options:        o,
		kube:           kube,
		secrets:        secrets.Lister().Secrets(system.Namespace()),
		configurations: configurations.Lister(),
		clock:          clock.RealClock{},
		logger:         logger,
	}
	impl := controller.NewContext(ctx, k, controller.ControllerOptions{
		WorkQueueName: "hold-webhook",
		Logger:        quiet,
		Concurrency:   1,
		RateLimiter:   workqueue.NewTypedItemExponentialFailureRateLimiter[any](retryMin, retryMax),
	})
	for _, informer := range []cache.SharedIndexInformer{secrets.Informer(), configurations.Informer()} {
		if _, err := informer.AddEventHandler(controller.HandleAll(func(any) { impl.EnqueueKey(k.key()) })); err != nil {
			return nil, fmt.Errorf("watch the webhook's Secret and configuration: %w", err)
		}
	}
	namespaced.Start(ctx.Done())
	clustered.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), secrets.Informer().HasSynced, configurations.Informer().HasSynced) {
		return nil, errors.New("stopped before the webhook's Secret and configuration were read")
	}
	impl.EnqueueKey(k.key()) // no event comes if neither object exists
	go func() { _ = impl.Run(ctx) }()
	return k, nil
}

// named restricts informers to the object of one name.
func named(name string) informers.SharedInformerOption {
	return informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name })
}

// closeAfter closes connections once the context has ended, so that the API server opens its next
// one to another replica. It would otherwise reuse its open connections for as long as there are
// requests.
func closeAfter(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// serve returns once the server has shut down, or cannot serve. A webhook that is not configured
// gets no more requests and need not wait for any.
func serve(ctx context.Context, server *http.Server, listener net.Listener, configured func() bool) error {
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if configured() {
		select {
		case err := <-failed:
			return err
		case <-time.After(lameDuck):
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return server.Shutdown(ctx)
}

// Wait returns once the hold is no longer served, with the error that ended it, or nil if the
// context did.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Ready calls the webhook the way the API server does and returns the error that keeps it from
// being served.
func (s *Server) Ready(ctx context.Context) error {
	current, err := s.presented.current()
	if err != nil {
		return fmt.Errorf("the webhook has no certificate yet: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(current.authority)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: s.options.serverName(), MinVersion: tls.VersionTLS13}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(s.options.Port)))
	if err != nil {
		return fmt.Errorf("the webhook is not served: %w", err)
	}
	return conn.Close()
}
