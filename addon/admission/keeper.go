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
	// fieldManager is the name under which the API server notes who filled in what.
	fieldManager = "pac-lease-queue"
	// lifetime is how long a certificate is good for, as knative has it, and
	// renewBefore how long before its end it is replaced.
	lifetime, renewBefore = 7 * 24 * time.Hour, 24 * time.Hour
	// headStart is how long an authority is trusted before anybody shows a certificate
	// of its: API servers hear of it by a watch, like the replicas of the certificate.
	headStart = time.Second
	// settled is how old a certificate is when all replicas and API servers have long
	// heard of it. The authorities of earlier ones are trusted until then.
	settled = time.Minute
)

// keeper sees to it that there is a certificate and that the API server trusts it.
// Every replica has one. Where another was faster the API server answers 409, and it
// looks again.
type keeper struct {
	options        Options
	kube           kubernetes.Interface
	secrets        corelisters.SecretNamespaceLister
	configurations admissionlisters.MutatingWebhookConfigurationLister
	clock          clock.PassiveClock
	logger         *zap.SugaredLogger

	// made is a certificate that is not in the Secret yet. It is kept over failures:
	// another one for every try would be another authority to be trusted.
	made map[string][]byte
	// published is when its authority was last made known.
	published time.Time
}

func (k *keeper) key() types.NamespacedName {
	return types.NamespacedName{Namespace: system.Namespace(), Name: k.options.Secret}
}

// asked says whether there is a configuration by which the API server asks.
func (k *keeper) asked() bool {
	_, err := k.configurations.Get(k.options.Configuration)
	return err == nil // a lister has no other errors
}

// Reconcile implements controller.Reconciler.
func (k *keeper) Reconcile(ctx context.Context, _ string) error {
	secret, err := k.secrets.Get(k.options.Secret)
	if apierrors.IsNotFound(err) {
		if !k.asked() {
			return nil // the hold is being removed, and what was made now would stay
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
	k.made = nil
	now := k.clock.Now()
	if left := current.Leaf.NotBefore.Add(settled).Sub(now); left > 0 {
		if _, err := k.publish(ctx, also(current.authority)); err != nil {
			return err
		}
		return controller.NewRequeueAfter(left)
	}
	if _, err := k.publish(ctx, nothingBut(current.authority)); err != nil {
		return err
	}
	return controller.NewRequeueAfter(current.Leaf.NotAfter.Add(-renewBefore).Sub(now))
}

// check reads the certificate in a Secret and says why it is to be replaced.
func (k *keeper) check(data map[string][]byte) (*pair, error) {
	p, err := read(data)
	if err != nil {
		return nil, err
	}
	at := k.clock.Now().Add(renewBefore)
	if at.Before(p.Leaf.NotBefore) {
		at = p.Leaf.NotBefore // made by a replica whose clock is ahead: no reason to make another
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority)
	if _, err := p.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: k.options.serverName(), CurrentTime: at}); err != nil {
		return nil, fmt.Errorf("until %s: %w", at.Format(time.RFC3339), err)
	}
	return p, nil
}

// replace puts another certificate into the Secret. Trust comes first: from the
// moment that it is there it is the one that is shown.
func (k *keeper) replace(ctx context.Context, secret *corev1.Secret, reason error) error {
	if _, err := k.check(k.made); err != nil {
		key, certificate, authority, err := resources.CreateCerts(ctx, k.options.Service, system.Namespace(), k.clock.Now().Add(lifetime))
		if err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
		k.made = map[string][]byte{resources.ServerKey: key, resources.ServerCert: certificate, resources.CACert: authority}
	}
	news, err := k.publish(ctx, also(k.made[resources.CACert]))
	if err != nil {
		return err
	}
	if news {
		k.published = k.clock.Now()
	}
	if left := k.published.Add(headStart).Sub(k.clock.Now()); left > 0 {
		return controller.NewRequeueAfter(left)
	}
	// A Secret that is there must be the one that was looked at. One that is not comes
	// into being by an apply: RBAC can allow that for a single name, which for a create
	// it cannot. Two replicas may do so at once; the later one's is it then.
	apply := applycorev1.Secret(k.options.Secret, system.Namespace()).WithData(k.made)
	if secret.ResourceVersion != "" {
		apply = apply.WithResourceVersion(secret.ResourceVersion).WithUID(secret.UID)
	}
	if _, err := k.kube.CoreV1().Secrets(system.Namespace()).Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("write the webhook's certificate: %w", err)
	}
	k.logger.Infow("The webhook has a new certificate", "reason", reason)
	return nil
}

// Which authorities are to be trusted, given those that are.
type trust func(trusted []byte) []byte

func also(authority []byte) trust {
	return func(trusted []byte) []byte {
		if bytes.Contains(trusted, authority) {
			return trusted
		}
		return bytes.Join([][]byte{authority, trusted}, nil)
	}
}

func nothingBut(authority []byte) trust { return func([]byte) []byte { return authority } }

// publish has the API server trust these authorities and says whether that is news.
// Without a configuration nobody asks: that is how the hold is taken out while the
// process goes on.
func (k *keeper) publish(ctx context.Context, want trust) (news bool, err error) {
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
	// Everything else in it is the chart's; the version has a patch that was decided
	// on something older refused.
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
