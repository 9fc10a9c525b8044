package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	admissionlisters "k8s.io/client-go/listers/admissionregistration/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	testingclock "k8s.io/utils/clock/testing"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/webhook/certificates/resources"
)

const testNamespace = "queue-system"

// fixture is one keeper on a cluster without other writers. Its requests are recorded; one that a
// keeper never sends fails the test.
type fixture struct {
	*testing.T
	keeper         *keeper
	clock          *testingclock.FakePassiveClock
	secrets        cache.Indexer
	configurations cache.Indexer
	sent           []string // the resources written to, in order
	fail           map[string]error
}

func newFixture(t *testing.T) *fixture {
	t.Setenv("SYSTEM_NAMESPACE", testNamespace)
	indexers := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	f := &fixture{
		T: t, clock: testingclock.NewFakePassiveClock(time.Now()), fail: map[string]error{},
		secrets:        cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers),
		configurations: cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers),
	}
	kube := fake.NewClientset()
	kube.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		patch, ok := a.(clienttesting.PatchAction)
		if !ok {
			t.Fatalf("unexpected request: %s %s", a.GetVerb(), a.GetResource().Resource)
		}
		resource := a.GetResource().Resource
		f.sent = append(f.sent, resource)
		if err := f.fail[resource]; err != nil {
			return true, nil, err
		}
		f.apply(resource, patch.GetPatch())
		return true, nil, nil
	})
	f.keeper = &keeper{
		options:        Options{Configuration: "hold", Service: "webhook", Secret: "certs", Port: 8443},
		kube:           kube,
		secrets:        corelisters.NewSecretLister(f.secrets).Secrets(testNamespace),
		configurations: admissionlisters.NewMutatingWebhookConfigurationLister(f.configurations),
		clock:          f.clock,
		logger:         zap.NewNop().Sugar(),
	}
	return f
}

// apply stands in for the API server and the watch: it compares versions and makes writes visible.
func (f *fixture) apply(resource string, patch []byte) {
	f.Helper()
	var body struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Data     map[string][]byte `json:"data"`
		Webhooks []struct {
			Name         string          `json:"name"`
			ClientConfig json.RawMessage `json:"clientConfig"`
		} `json:"webhooks"`
	}
	if err := json.Unmarshal(patch, &body); err != nil {
		f.Fatal(err)
	}
	switch resource {
	case "secrets":
		if stored, err := f.keeper.secrets.Get("certs"); err == nil && stored.ResourceVersion != body.Metadata.ResourceVersion {
			f.Errorf("the Secret was written at version %q, want %q", body.Metadata.ResourceVersion, stored.ResourceVersion)
		}
		f.secret("2", body.Data)
	case "mutatingwebhookconfigurations":
		stored := f.configuration()
		if body.Metadata.ResourceVersion != stored.ResourceVersion {
			f.Errorf("the configuration was written at version %q, want %q", body.Metadata.ResourceVersion, stored.ResourceVersion)
		}
		stored = stored.DeepCopy()
		for i, w := range body.Webhooks {
			var fields map[string][]byte
			if err := json.Unmarshal(w.ClientConfig, &fields); err != nil || len(fields) != 1 || w.Name != stored.Webhooks[i].Name {
				f.Errorf("the patch writes more than the caBundle: %s", patch)
			}
			stored.Webhooks[i].ClientConfig.CABundle = fields["caBundle"]
		}
		stored.ResourceVersion += "1"
		_ = f.configurations.Update(stored)
	}
}

// configured creates the chart's objects.
func (f *fixture) configured() {
	service := &admissionregistrationv1.ServiceReference{Namespace: testNamespace, Name: "webhook"}
	_ = f.configurations.Add(&admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hold", ResourceVersion: "1"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "hold.pac-lease-queue.dev", ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: service},
		}},
	})
	f.secret("1", nil)
}

func (f *fixture) secret(version string, data map[string][]byte) {
	_ = f.secrets.Add(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "certs", ResourceVersion: version},
		Data:       data,
	})
}

func (f *fixture) configuration() *admissionregistrationv1.MutatingWebhookConfiguration {
	f.Helper()
	c, err := f.keeper.configurations.Get("hold")
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func (f *fixture) authority() []byte {
	f.Helper()
	s, err := f.keeper.secrets.Get("certs")
	if err != nil {
		f.Fatal(err)
	}
	return s.Data[resources.CACert]
}

func (f *fixture) bundle() []byte {
	f.Helper()
	return f.configuration().Webhooks[0].ClientConfig.CABundle
}

// look reconciles once and returns the resources written to.
func (f *fixture) look() ([]string, error) {
	f.sent = nil
	err := f.keeper.Reconcile(f.Context(), "")
	return f.sent, err
}

// wrote reconciles once, without an error, and compares the resources written to.
func (f *fixture) wrote(want ...string) {
	f.Helper()
	got, err := f.look()
	if requeue, _ := controller.IsRequeueKey(err); err != nil && !requeue {
		f.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("written (-want +got):\n%s", diff)
	}
}

// replaced reconciles until the certificate is replaced: trust comes first, with a head start.
func (f *fixture) replaced() {
	f.Helper()
	f.wrote(aConfiguration)
	f.wrote()
	f.clock.SetTime(f.clock.Now().Add(headStart))
	f.wrote(aSecret)
}

const (
	aConfiguration = "mutatingwebhookconfigurations"
	aSecret        = "secrets"
)

func TestCertificateIsMadeAndTrusted(t *testing.T) {
	f := newFixture(t)
	f.configured()
	f.replaced()
	if !bytes.Equal(f.bundle(), f.authority()) {
		t.Error("the configuration and the Secret have different authorities")
	}
	f.clock.SetTime(time.Now().Add(settled))
	_, err := f.look()
	if requeue, after := controller.IsRequeueKey(err); !requeue || after.Round(time.Hour) != 6*24*time.Hour {
		t.Errorf("looks again after %s, want a day before the week ends", after)
	}
	if len(f.sent) > 0 {
		t.Errorf("wrote %v, want nothing: the certificate is good", f.sent)
	}
}

// For a moment, some replicas still present the old certificate and some API servers still expect
// it; both must work. After that the old authority is useless.
func TestOldAuthorityIsTrustedUntilTheNewOneHasSettled(t *testing.T) {
	for name, lose := range map[string]func(*fixture){
		"renewed": func(f *fixture) { f.clock.SetTime(time.Now().Add(6*24*time.Hour + time.Minute)) },
		"deleted": func(f *fixture) { _ = f.secrets.Replace(nil, "") },
		"emptied": func(f *fixture) { f.secret("3", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.configured()
			f.replaced()
			f.wrote()
			old := f.authority()
			lose(f)
			f.replaced()
			made := f.authority()
			if bytes.Equal(old, made) {
				t.Fatal("the certificate was not replaced")
			}
			f.clock.SetTime(time.Now()) // resources.CreateCerts uses the real clock
			f.wrote()
			if !bytes.Contains(f.bundle(), old) || !bytes.Contains(f.bundle(), made) {
				t.Error("the configuration does not have both authorities")
			}
			f.clock.SetTime(time.Now().Add(settled))
			f.wrote(aConfiguration)
			if !bytes.Equal(f.bundle(), made) {
				t.Error("the old authority is still trusted")
			}
			f.wrote()
		})
	}
}

func TestLastCertificateIsPresentedUntilItIsReplaced(t *testing.T) {
	f := newFixture(t)
	p := &presented{secrets: f.keeper.secrets, name: "certs"}
	if _, err := p.certificate(nil); err == nil {
		t.Error("there is a certificate before there is a Secret")
	}
	data := foreign(t, "webhook").Data
	f.secret("1", data)
	first, err := p.certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	presents := func(want []byte) {
		t.Helper()
		got, err := p.certificate(nil)
		if err != nil || !bytes.Equal(got.Certificate[0], want) {
			t.Errorf("a different certificate is presented, or %v", err)
		}
	}
	f.secret("2", nil)
	presents(first.Certificate[0])
	_ = f.secrets.Replace(nil, "")
	presents(first.Certificate[0])
	data = foreign(t, "webhook").Data
	f.secret("3", data)
	next, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	presents(next.Certificate.Certificate[0])
}

func TestUnusableCertificatesAreReplaced(t *testing.T) {
	for name, spoil := range map[string]func(data map[string][]byte){
		"no key":                 func(data map[string][]byte) { delete(data, resources.ServerKey) },
		"no authority":           func(data map[string][]byte) { delete(data, resources.CACert) },
		"garbage":                func(data map[string][]byte) { data[resources.ServerCert] = []byte("garbage") },
		"another authority":      func(data map[string][]byte) { data[resources.CACert] = foreign(t, "webhook").Data[resources.CACert] },
		"another service's name": func(data map[string][]byte) { maps.Copy(data, foreign(t, "else").Data) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.configured()
			data := foreign(t, "webhook").Data
			f.secret("1", data)
			f.wrote(aConfiguration) // it is usable
			spoil(data)
			f.replaced()
		})
	}
}

func foreign(t *testing.T, service string) *corev1.Secret {
	t.Helper()
	s, err := resources.MakeSecret(t.Context(), "certs", testNamespace, service)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCertificateIsMadeWithoutAConfiguration(t *testing.T) {
	f := newFixture(t)
	f.secret("1", nil)
	f.wrote(aSecret)
	f.wrote()
}

func TestRemovedHoldStaysRemoved(t *testing.T) {
	f := newFixture(t)
	f.configured()
	f.replaced()
	_ = f.configurations.Replace(nil, "")
	f.wrote()
	_ = f.secrets.Replace(nil, "")
	f.wrote()
}

func TestBundleRemovedByHandIsRestored(t *testing.T) {
	f := newFixture(t)
	f.configured()
	f.replaced()
	edited := f.configuration().DeepCopy()
	edited.Webhooks[0].ClientConfig.CABundle = nil
	_ = f.configurations.Update(edited)
	f.wrote(aConfiguration)
}

// A certificate must not be presented before it is trusted.
func TestCertificateIsWrittenOnlyOnceItIsTrusted(t *testing.T) {
	f := newFixture(t)
	f.configured()
	f.fail[aConfiguration] = apierrors.NewForbidden(admissionregistrationv1.Resource(aConfiguration), "hold", errors.New("no"))
	sent, err := f.look()
	if err == nil || !apierrors.IsForbidden(err) {
		t.Errorf("%v, want a Forbidden error", err)
	}
	if diff := cmp.Diff([]string{aConfiguration}, sent); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	f.fail[aConfiguration] = apierrors.NewConflict(admissionregistrationv1.Resource(aConfiguration), "hold", errors.New("modified"))
	if _, err := f.look(); !apierrors.IsConflict(err) { // on which knative retries silently
		t.Errorf("%v, want a Conflict error", err)
	}
	delete(f.fail, aConfiguration)
	f.replaced()
}

// A new authority for every failure would fill up the configuration.
func TestFailuresDoNotAccumulateAuthorities(t *testing.T) {
	f := newFixture(t)
	f.configured()
	f.fail[aSecret] = apierrors.NewForbidden(corev1.Resource(aSecret), "certs", errors.New("no"))
	f.wrote(aConfiguration)
	f.clock.SetTime(f.clock.Now().Add(headStart))
	for i := range 3 {
		sent, err := f.look()
		if !apierrors.IsForbidden(err) || len(sent) != 1 {
			t.Errorf("attempt %d: %v, written to %v", i, err, sent)
		}
	}
	delete(f.fail, aSecret)
	f.wrote(aSecret)
	if !bytes.Equal(f.bundle(), f.authority()) {
		t.Error("more than one authority is trusted")
	}
}
