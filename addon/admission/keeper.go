package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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

// fieldManager is the name under which the API server notes who filled in what.
const fieldManager = "pac-lease-queue"

// renewBefore is how long before its end (knative gives it a week) a certificate is
// renewed. Every replica has a time of its own, so that one of them is done with it
// when the others come to look.
func renewBefore() time.Duration {
	return 24*time.Hour + rand.N(12*time.Hour)
}

// keeper sees to it that there is a certificate and that the API server trusts it.
// Where another replica was faster the API server answers 409, and it looks again.
type keeper struct {
	options        Options
	kube           kubernetes.Interface
	secrets        corelisters.SecretNamespaceLister
	configurations admissionlisters.MutatingWebhookConfigurationLister
	clock          clock.PassiveClock
	renewBefore    time.Duration
	logger         *zap.SugaredLogger
}

func (k *keeper) key() types.NamespacedName {
	return types.NamespacedName{Namespace: system.Namespace(), Name: k.options.Secret}
}

// Reconcile implements controller.Reconciler.
func (k *keeper) Reconcile(ctx context.Context, _ string) error {
	secret, err := k.secrets.Get(k.options.Secret)
	if apierrors.IsNotFound(err) {
		secret, err = &corev1.Secret{}, nil
	}
	if err != nil {
		return err
	}
	end, unusable := k.validUntil(secret.Data)
	if left := end.Add(-k.renewBefore).Sub(k.clock.Now()); unusable == nil && left > 0 {
		if err := k.publish(ctx, secret.Data[resources.CACert]); err != nil {
			return err
		}
		return controller.NewRequeueAfter(left)
	}
	made, err := resources.MakeSecret(ctx, k.options.Secret, system.Namespace(), k.options.Service)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	// Trust comes first: from the moment that the certificate is in the Secret it is
	// the one that is shown. The old one may still be shown for a moment, by those
	// that have not heard of the new.
	trusted := made.Data[resources.CACert]
	if unusable == nil {
		trusted = bytes.Join([][]byte{trusted, secret.Data[resources.CACert]}, nil)
	}
	if err := k.publish(ctx, trusted); err != nil {
		return err
	}
	return k.write(ctx, secret, made.Data, unusable)
}

// validUntil is when the certificate in a Secret ends, or what is wrong with it.
func (k *keeper) validUntil(data map[string][]byte) (time.Time, error) {
	pair, err := tls.X509KeyPair(data[resources.ServerCert], data[resources.ServerKey])
	if err != nil {
		return time.Time{}, err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return time.Time{}, err
	}
	now := k.clock.Now()
	if now.Before(leaf.NotBefore) {
		now = leaf.NotBefore // made by a replica whose clock is ahead: no reason to make another
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data[resources.CACert])
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: k.options.serverName(), CurrentTime: now}); err != nil {
		return time.Time{}, err
	}
	return leaf.NotAfter, nil
}

// publish has the API server trust these authorities, unless it already does. What
// it trusted before is replaced. Without a configuration nobody asks: that is how
// the hold is taken out while the process goes on.
func (k *keeper) publish(ctx context.Context, authorities []byte) error {
	configuration, err := k.configurations.Get(k.options.Configuration)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var webhooks []any
	for _, w := range configuration.Webhooks {
		if !bytes.Contains(w.ClientConfig.CABundle, authorities) {
			webhooks = append(webhooks, map[string]any{"name": w.Name, "clientConfig": map[string]any{"caBundle": authorities}})
		}
	}
	if len(webhooks) == 0 {
		return nil
	}
	// Everything else in it is the chart's; the version in it has a patch that was
	// decided on something older refused.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": configuration.ResourceVersion, "uid": configuration.UID},
		"webhooks": webhooks,
	})
	if err != nil {
		return err
	}
	_, err = k.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(ctx, configuration.Name,
		types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("have the API server trust the webhook's certificate: %w", err)
	}
	return nil
}

// write puts a new certificate into the Secret. A Secret that is there must be the
// one that was looked at. One that is not comes into being by an apply: RBAC can
// allow that for a single name, which for a create it cannot.
func (k *keeper) write(ctx context.Context, old *corev1.Secret, data map[string][]byte, why error) error {
	secret := applycorev1.Secret(k.options.Secret, system.Namespace()).WithData(data)
	if old.ResourceVersion != "" {
		secret = secret.WithResourceVersion(old.ResourceVersion).WithUID(old.UID)
	}
	_, err := k.kube.CoreV1().Secrets(system.Namespace()).Apply(ctx, secret, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("write the webhook's certificate: %w", err)
	}
	if why == nil {
		why = errors.New("the last one ends soon")
	}
	k.logger.Infow("The webhook has a new certificate", "reason", why)
	return nil
}
