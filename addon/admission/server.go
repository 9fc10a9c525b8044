package admission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"knative.dev/pkg/controller"
	secretfactory "knative.dev/pkg/injection/clients/namespacedkube/informers/factory"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/system"
	"knative.dev/pkg/webhook"
	"knative.dev/pkg/webhook/certificates/resources"
)

const (
	// quiet is how long no request may have come in before a replica that was told
	// to end stops serving: until then it may still be sent some.
	quiet = 5 * time.Second

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
	secrets corelisters.SecretNamespaceLister
	over    chan struct{}
	err     error
}

// Start serves the hold until the context is over, and from then on for as long as
// requests come in. Wait returns when that is over too.
func Start(ctx context.Context, kube kubernetes.Interface, o Options) (*Server, error) {
	secrets := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(system.Namespace()), only(o.Secret))
	configurations := informers.NewSharedInformerFactoryWithOptions(kube, 0, only(o.Configuration))
	k := &keeper{
		options:        o,
		kube:           kube,
		secrets:        secrets.Core().V1().Secrets().Lister().Secrets(system.Namespace()),
		configurations: configurations.Admissionregistration().V1().MutatingWebhookConfigurations().Lister(),
		clock:          clock.RealClock{},
		renewBefore:    renewBefore(),
		logger:         logging.FromContext(ctx),
	}
	quietly := k.logger.WithOptions(zap.IncreaseLevel(zap.WarnLevel)) // knative tells of every request and every look
	keeping := controller.NewContext(ctx, k, controller.ControllerOptions{
		WorkQueueName: "hold-webhook",
		Logger:        quietly,
		Concurrency:   1,
		RateLimiter:   workqueue.NewTypedItemExponentialFailureRateLimiter[any](retryMin, retryMax),
	})
	wake := controller.HandleAll(func(any) { keeping.EnqueueKey(k.key()) })
	watched := []cache.SharedIndexInformer{
		secrets.Core().V1().Secrets().Informer(),
		configurations.Admissionregistration().V1().MutatingWebhookConfigurations().Informer(),
	}
	for _, informer := range watched {
		if _, err := informer.AddEventHandler(wake); err != nil {
			return nil, fmt.Errorf("watch the webhook's objects: %w", err)
		}
	}
	// knative's server finds its certificate through the factory in the context; the
	// one that injection puts there would watch every Secret of the namespace.
	serving := context.WithValue(logging.WithLogger(ctx, quietly), secretfactory.Key{}, secrets)
	server, err := webhook.New(webhook.WithOptions(serving, webhook.Options{
		ServiceName: o.Service, SecretName: o.Secret, Port: o.Port, GracePeriod: quiet,
	}), []any{hold{}})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	secrets.Start(ctx.Done())
	configurations.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), watched[0].HasSynced, watched[1].HasSynced) {
		return nil, errors.New("stopped before the webhook's Secret and configuration were read")
	}
	keeping.EnqueueKey(k.key()) // there may be neither
	go func() { _ = keeping.RunContext(ctx, 1) }()
	s := &Server{options: o, secrets: k.secrets, over: make(chan struct{})}
	go func() {
		defer close(s.over)
		s.err = server.Run(ctx.Done())
	}()
	return s, nil
}

// only selects one object by its name.
func only(name string) informers.SharedInformerOption {
	return informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name })
}

// Wait returns when the hold is no longer served, and why, if that was not asked for.
func (s *Server) Wait() error {
	<-s.over
	return s.err
}

// Ready says what keeps the API server from being served here, by calling as it does.
func (s *Server) Ready(ctx context.Context) error {
	secret, err := s.secrets.Get(s.options.Secret)
	if err != nil {
		return fmt.Errorf("the webhook has no certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(secret.Data[resources.CACert]) {
		return fmt.Errorf("the webhook has no certificate: Secret %s is not filled in yet", s.options.Secret)
	}
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: s.options.serverName(), MinVersion: tls.VersionTLS13}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(s.options.Port)))
	if err != nil {
		return fmt.Errorf("the webhook is not served: %w", err)
	}
	return conn.Close()
}
