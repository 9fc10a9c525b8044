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
	// farewell is how long a replica that was told to end goes on serving: until all
	// nodes have heard that it is not ready any more, it may still be sent requests.
	farewell = 5 * time.Second
	// lastAnswer is how long it then waits for what it is still answering. No request
	// takes that long.
	lastAnswer = 5 * time.Second

	headerTimeout = 10 * time.Second

	// Pauses before what failed is tried again.
	retryMin, retryMax = 100 * time.Millisecond, 10 * time.Second
)

// Options name what the hold consists of in the cluster. All but the configuration
// are in the namespace of the process (SYSTEM_NAMESPACE).
type Options struct {
	// Configuration is the MutatingWebhookConfiguration by which the API server asks.
	Configuration string
	// Service is where it asks; certificates are made out to its name.
	Service string
	// Secret holds the certificate that every replica shows.
	Secret string
	// Port is the one listened on.
	Port int
}

// serverName is how the API server calls whom it asks.
func (o Options) serverName() string { return o.Service + "." + system.Namespace() + ".svc" }

// Server serves the hold.
type Server struct {
	options Options
	shown   *shown
	over    chan struct{}
	err     error
}

// Start serves the hold until some time after the context is over. Wait returns when
// that is over too.
func Start(ctx context.Context, kube kubernetes.Interface, o Options) (*Server, error) {
	logger := logging.FromContext(ctx)
	quiet := logger.WithOptions(zap.IncreaseLevel(zap.WarnLevel)) // knative tells of every request and every look
	handler, err := webhook.New(webhook.WithOptions(logging.WithLogger(ctx, quiet), webhook.Options{}), []any{hold{}})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	complaints, err := zap.NewStdLogAt(quiet.Desugar(), zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(o.Port))
	if err != nil {
		return nil, fmt.Errorf("serve the webhook: %w", err)
	}
	k, err := keep(ctx, kube, o, logger, quiet)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{options: o, shown: &shown{secrets: k.secrets, name: o.Secret}, over: make(chan struct{})}
	server := &http.Server{
		Handler:           leaving(ctx, handler),
		TLSConfig:         &tls.Config{GetCertificate: s.shown.certificate, MinVersion: tls.VersionTLS13},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // the API server speaks HTTP/1.1 to webhooks
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          complaints,
	}
	go func() {
		defer close(s.over)
		s.err = serve(ctx, server, listener, k.asked)
	}()
	return s, nil
}

// keep starts the keeper and returns when it knows what is there.
func keep(ctx context.Context, kube kubernetes.Interface, o Options, logger, quiet *zap.SugaredLogger) (*keeper, error) {
	namespaced := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(system.Namespace()), only(o.Secret))
	clustered := informers.NewSharedInformerFactoryWithOptions(kube, 0, only(o.Configuration))
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
			return nil, fmt.Errorf("watch what the webhook consists of: %w", err)
		}
	}
	namespaced.Start(ctx.Done())
	clustered.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), secrets.Informer().HasSynced, configurations.Informer().HasSynced) {
		return nil, errors.New("stopped before the webhook's Secret and configuration were read")
	}
	impl.EnqueueKey(k.key()) // there may be neither
	go func() { _ = impl.Run(ctx) }()
	return k, nil
}

// only selects one object by its name.
func only(name string) informers.SharedInformerOption {
	return informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name })
}

// leaving has the API server look for another replica once this one is told to end.
// It keeps its connections open and would go on to use them, as long as there is
// something to ask.
func leaving(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// serve returns when the server has said farewell, or cannot serve. Who is not asked
// any more need not wait for questions.
func serve(ctx context.Context, server *http.Server, listener net.Listener, asked func() bool) error {
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if asked() {
		select {
		case err := <-failed:
			return err
		case <-time.After(farewell):
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswer)
	defer cancel()
	return server.Shutdown(ctx)
}

// Wait returns when the hold is no longer served, and why, if that was not asked for.
func (s *Server) Wait() error {
	<-s.over
	return s.err
}

// Ready says what keeps the API server from being served here, by calling as it does.
func (s *Server) Ready(ctx context.Context) error {
	last, err := s.shown.last()
	if err != nil {
		return fmt.Errorf("the webhook has no certificate yet: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(last.authority)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: s.options.serverName(), MinVersion: tls.VersionTLS13}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(s.options.Port)))
	if err != nil {
		return fmt.Errorf("the webhook is not served: %w", err)
	}
	return conn.Close()
}
