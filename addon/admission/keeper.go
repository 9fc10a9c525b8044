package admission

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	admissionlisters "k8s.io/client-go/listers/admissionregistration/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/clock"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/system"
	"knative.dev/pkg/webhook/certificates/resources"
)

const (
	// fieldManager identifies the keeper's writes in managedFields.
	fieldManager = "pac-lease-queue"
	// lifetime is how long a certificate is valid, as in knative.dev/pkg; it is replaced
	// renewBefore its end.
	lifetime, renewBefore = 7 * 24 * time.Hour, 24 * time.Hour
	// headStart is how long an authority is trusted before a replica presents a certificate that it
	// signed. API servers learn of the authority by a watch, as replicas learn of the certificate.
	headStart = time.Second
	// settled is the age at which every replica and API server has long learned of a certificate.
	// The authorities of earlier certificates stay trusted until then.
	settled = time.Minute
)

// keeper maintains a valid certificate and the API server's trust in it. Every replica runs one.
// When another replica writes first, the API server answers 409 Conflict and the keeper looks
// again.
type keeper struct {
	options        Options
	kube           kubernetes.Interface
	secrets        corelisters.SecretNamespaceLister
	configurations admissionlisters.MutatingWebhookConfigurationLister
	clock          clock.PassiveClock
	logger         *zap.SugaredLogger

	// next is a certificate that is not in the Secret yet. It survives failures: a new certificate
	// for every attempt would add a new authority to the configuration each time.
	next map[string][]byte
	// published is when next's authority was added to the configuration.
	published time.Time
}

func (k *keeper) key() types.NamespacedName {
	return types.NamespacedName{Namespace: system.Namespace(), Name: k.options.Secret}
}

// configured reports whether the webhook configuration exists, without which the API server does
// not call.
func (k *keeper) configured() bool {
	_, err := k.configurations.Get(k.options.Configuration)
	return err == nil // a lister's only error is NotFound
}

// Reconcile implements controller.Reconciler.
func (k *keeper) Reconcile(ctx context.Context, _ string) error {
	secret, err := k.secrets.Get(k.options.Secret)
	if apierrors.IsNotFound(err) {
		if !k.configured() {
			return nil // the hold is being removed, and a Secret made now would be left behind
		}
		secret, err = &corev1.Secret{}, nil
	}
	if err != nil {
		return err
	}
	current, reason := k.check(secret.Data)
	if reason != nil {
		return k.replace(ctx, secret, reason)
	}
	k.next = nil
	now := k.clock.Now()
	if left := current.Leaf.NotBefore.Add(settled).Sub(now); left > 0 {
		if _, err := k.publish(ctx, including(current.authority)); err != nil {
			return err
		}
		return controller.NewRequeueAfter(left)
	}
	if _, err := k.publish(ctx, exactly(current.authority)); err != nil {
		return err
	}
	return controller.NewRequeueAfter(current.Leaf.NotAfter.Add(-renewBefore).Sub(now))
}

// check parses the certificate in a Secret. Its error is the reason to replace the certificate.
func (k *keeper) check(data map[string][]byte) (*pair, error) {
	p, err := parse(data)
	if err != nil {
		return nil, err
	}
	at := k.clock.Now().Add(renewBefore)
	if at.Before(p.Leaf.NotBefore) {
		at = p.Leaf.NotBefore // another replica's clock is ahead, which is no reason to replace its certificate
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority)
	if _, err := p.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: k.options.serverName(), CurrentTime: at}); err != nil {
		return nil, fmt.Errorf("until %s: %w", at.Format(time.RFC3339), err)
	}
	return p, nil
}

// replace puts a new certificate into the Secret. Trust in it comes first, because replicas present
// the certificate as soon as it is in the Secret.
func (k *keeper) replace(ctx context.Context, secret *corev1.Secret, reason error) error {
	if _, err := k.check(k.next); err != nil {
		key, certificate, authority, err := resources.CreateCerts(ctx, k.options.Service, system.Namespace(), k.clock.Now().Add(lifetime))
		if err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
		k.next = map[string][]byte{resources.ServerKey: key, resources.ServerCert: certificate, resources.CACert: authority}
	}
	changed, err := k.publish(ctx, including(k.next[resources.CACert]))
	if err != nil {
		return err
	}
	if changed {
		k.published = k.clock.Now()
	}
	if left := k.published.Add(headStart).Sub(k.clock.Now()); left > 0 {
		return controller.NewRequeueAfter(left)
	}
	// A Secret that exists must still be the one that was judged. One that does not exist is
	// created by apply: RBAC can permit that for a single name, and cannot for create. When two
	// replicas apply at once, the later certificate wins.
	apply := applycorev1.Secret(k.options.Secret, system.Namespace()).WithData(k.next)
	if secret.ResourceVersion != "" {
		apply = apply.WithResourceVersion(secret.ResourceVersion).WithUID(secret.UID)
	}
	secrets := k.kube.CoreV1().Secrets(system.Namespace())
	if _, err := secrets.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("write the webhook's certificate: %w", err)
	}
	k.logger.Infow("The webhook has a new certificate", "reason", reason)
	return nil
}

// trust computes a caBundle from the current one.
type trust func(bundle []byte) []byte

// including trusts an authority besides those that are trusted already.
func including(authority []byte) trust {
	return func(bundle []byte) []byte {
		if bytes.Contains(bundle, authority) {
			return bundle
		}
		return bytes.Join([][]byte{authority, bundle}, nil)
	}
}

// exactly trusts one authority and no other.
func exactly(authority []byte) trust { return func([]byte) []byte { return authority } }

// publish writes the caBundle of the webhook configuration and reports whether that changed it.
// Without a configuration the API server does not call, and there is nothing to publish: deleting
// it is how the hold is removed while replicas run on.
func (k *keeper) publish(ctx context.Context, want trust) (changed bool, err error) {
	configuration, err := k.configurations.Get(k.options.Configuration)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var webhooks []any
	for _, w := range configuration.Webhooks {
		if bundle := want(w.ClientConfig.CABundle); !bytes.Equal(bundle, w.ClientConfig.CABundle) {
			webhooks = append(webhooks, map[string]any{"name": w.Name, "clientConfig": map[string]any{"caBundle": bundle}})
		}
	}
	if len(webhooks) == 0 {
		return false, nil
	}
	// The chart owns every other field. The version makes the API server refuse a patch that was
	// decided on an older configuration.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": configuration.ResourceVersion, "uid": configuration.UID},
		"webhooks": webhooks,
	})
	if err != nil {
		return false, err
	}
	_, err = k.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(ctx, configuration.Name,
		types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return false, fmt.Errorf("have the API server trust the webhook's certificate: %w", err)
	}
	return true, nil
}
