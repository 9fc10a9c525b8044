package admission

import (
	"bytes"
	"encoding/json"
	"errors"
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

// bench has one keeper look at a cluster that nobody else writes to. Its requests
// are recorded and refused if they are none that a keeper sends.
type bench struct {
	*testing.T
	keeper         *keeper
	clock          *testingclock.FakePassiveClock
	secrets        cache.Indexer
	configurations cache.Indexer
	sent           []string // the resources written to, in order
	fail           map[string]error
}

func newBench(t *testing.T) *bench {
	t.Setenv("SYSTEM_NAMESPACE", testNamespace)
	indexers := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	b := &bench{
		T: t, clock: testingclock.NewFakePassiveClock(time.Now()), fail: map[string]error{},
		secrets:        cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers),
		configurations: cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers),
	}
	kube := fake.NewClientset()
	kube.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		patch, ok := a.(clienttesting.PatchAction)
		if !ok {
			t.Fatalf("an unexpected request: %s %s", a.GetVerb(), a.GetResource().Resource)
		}
		resource := a.GetResource().Resource
		b.sent = append(b.sent, resource)
		if err := b.fail[resource]; err != nil {
			return true, nil, err
		}
		b.apply(resource, patch.GetPatch())
		return true, nil, nil
	})
	b.keeper = &keeper{
		options:        Options{Configuration: "hold", Service: "webhook", Secret: "certs", Port: 8443},
		kube:           kube,
		secrets:        corelisters.NewSecretLister(b.secrets).Secrets(testNamespace),
		configurations: admissionlisters.NewMutatingWebhookConfigurationLister(b.configurations),
		clock:          b.clock,
		logger:         zap.NewNop().Sugar(),
	}
	return b
}

// apply is the API server and the watch: versions are compared, and what was written
// is seen.
func (b *bench) apply(resource string, patch []byte) {
	b.Helper()
	var body struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Data     map[string][]byte `json:"data"`
		Webhooks []struct {
			Name         string          `json:"name"`
			ClientConfig json.RawMessage `json:"clientConfig"`
		} `json:"webhooks"`
	}
	if err := json.Unmarshal(patch, &body); err != nil {
		b.Fatal(err)
	}
	switch resource {
	case "secrets":
		if there, err := b.keeper.secrets.Get("certs"); err == nil && there.ResourceVersion != body.Metadata.ResourceVersion {
			b.Errorf("the Secret was written as of version %q, want %q", body.Metadata.ResourceVersion, there.ResourceVersion)
		}
		b.secret("2", body.Data)
	case "mutatingwebhookconfigurations":
		there := b.configuration()
		if body.Metadata.ResourceVersion != there.ResourceVersion {
			b.Errorf("the configuration was written as of version %q, want %q", body.Metadata.ResourceVersion, there.ResourceVersion)
		}
		there = there.DeepCopy()
		for i, w := range body.Webhooks {
			var fields map[string][]byte
			if err := json.Unmarshal(w.ClientConfig, &fields); err != nil || len(fields) != 1 || w.Name != there.Webhooks[i].Name {
				b.Errorf("more than the caBundle of the hold is written: %s", patch)
			}
			there.Webhooks[i].ClientConfig.CABundle = fields["caBundle"]
		}
		there.ResourceVersion += "1"
		_ = b.configurations.Update(there)
	}
}

// configured puts the chart's objects there.
func (b *bench) configured() {
	service := &admissionregistrationv1.ServiceReference{Namespace: testNamespace, Name: "webhook"}
	_ = b.configurations.Add(&admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hold", ResourceVersion: "1"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "hold.pac-lease-queue.dev", ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: service},
		}},
	})
	b.secret("1", nil)
}

func (b *bench) secret(version string, data map[string][]byte) {
	_ = b.secrets.Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "certs", ResourceVersion: version}, Data: data})
}

func (b *bench) configuration() *admissionregistrationv1.MutatingWebhookConfiguration {
	b.Helper()
	c, err := b.keeper.configurations.Get("hold")
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (b *bench) authority() []byte {
	b.Helper()
	s, err := b.keeper.secrets.Get("certs")
	if err != nil {
		b.Fatal(err)
	}
	return s.Data[resources.CACert]
}

func (b *bench) bundle() []byte {
	b.Helper()
	return b.configuration().Webhooks[0].ClientConfig.CABundle
}

// look has the keeper look once and says what it wrote to.
func (b *bench) look() ([]string, error) {
	b.sent = nil
	err := b.keeper.Reconcile(b.Context(), "")
	return b.sent, err
}

// wrote is look, when there is nothing wrong.
func (b *bench) wrote(want ...string) {
	b.Helper()
	got, err := b.look()
	if requeue, _ := controller.IsRequeueKey(err); err != nil && !requeue {
		b.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("written (-want +got):\n%s", diff)
	}
}

// replaced is look, for as long as it takes to replace the certificate: trust comes
// first, and has a head start.
func (b *bench) replaced() {
	b.Helper()
	b.wrote(aConfiguration)
	b.wrote()
	b.clock.SetTime(b.clock.Now().Add(headStart))
	b.wrote(aSecret)
}

const (
	aConfiguration = "mutatingwebhookconfigurations"
	aSecret        = "secrets"
)

func TestCertificateIsMadeAndTrusted(t *testing.T) {
	b := newBench(t)
	b.configured()
	b.replaced()
	if !bytes.Equal(b.bundle(), b.authority()) {
		t.Error("the authority in the configuration is not that in the Secret")
	}
	b.clock.SetTime(time.Now().Add(settled))
	_, err := b.look()
	if requeue, after := controller.IsRequeueKey(err); !requeue || after.Round(time.Hour) != 6*24*time.Hour {
		t.Errorf("looks again after %s, want a day before the week is over", after)
	}
	if len(b.sent) > 0 {
		t.Errorf("wrote %v though all was well", b.sent)
	}
}

// Whoever still shows the old certificate for a moment, or still expects it, is to
// be trusted and served; after that it is of no use to anybody.
func TestOldAuthorityIsTrustedUntilTheNewOneHasSettled(t *testing.T) {
	for name, lose := range map[string]func(*bench){
		"renewed": func(b *bench) { b.clock.SetTime(time.Now().Add(6*24*time.Hour + time.Minute)) },
		"deleted": func(b *bench) { _ = b.secrets.Replace(nil, "") },
		"emptied": func(b *bench) { b.secret("3", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.configured()
			b.replaced()
			b.wrote()
			old := b.authority()
			lose(b)
			b.replaced()
			made := b.authority()
			if bytes.Equal(old, made) {
				t.Fatal("the certificate is still the old one")
			}
			b.clock.SetTime(time.Now()) // the new one was made by the real clock
			b.wrote()
			if !bytes.Contains(b.bundle(), old) || !bytes.Contains(b.bundle(), made) {
				t.Error("the configuration does not have both authorities")
			}
			b.clock.SetTime(time.Now().Add(settled))
			b.wrote(aConfiguration)
			if !bytes.Equal(b.bundle(), made) {
				t.Error("the old authority is still trusted")
			}
			b.wrote()
		})
	}
}

func TestLastCertificateIsShownUntilThereIsAnother(t *testing.T) {
	b := newBench(t)
	s := &shown{secrets: b.keeper.secrets, name: "certs"}
	if _, err := s.certificate(nil); err == nil {
		t.Error("a certificate out of nothing")
	}
	data := foreign(t, "webhook").Data
	b.secret("1", data)
	first, err := s.certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	shows := func(want []byte) {
		t.Helper()
		got, err := s.certificate(nil)
		if err != nil || !bytes.Equal(got.Certificate[0], want) {
			t.Errorf("another certificate is shown, or %v", err)
		}
	}
	b.secret("2", nil)
	shows(first.Certificate[0])
	_ = b.secrets.Replace(nil, "")
	shows(first.Certificate[0])
	data = foreign(t, "webhook").Data
	b.secret("3", data)
	next, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	shows(next.Certificate.Certificate[0])
}

func TestUnusableCertificatesAreReplaced(t *testing.T) {
	for name, spoil := range map[string]func(data map[string][]byte){
		"no key":                  func(data map[string][]byte) { delete(data, resources.ServerKey) },
		"no authority":            func(data map[string][]byte) { delete(data, resources.CACert) },
		"rubbish":                 func(data map[string][]byte) { data[resources.ServerCert] = []byte("rubbish") },
		"of another authority":    func(data map[string][]byte) { data[resources.CACert] = foreign(t, "webhook").Data[resources.CACert] },
		"made out to another one": func(data map[string][]byte) { copyInto(data, foreign(t, "else").Data) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.configured()
			data := foreign(t, "webhook").Data
			b.secret("1", data)
			b.wrote(aConfiguration) // good as it is
			spoil(data)
			b.replaced()
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

func copyInto(to, from map[string][]byte) {
	for key, value := range from {
		to[key] = value
	}
}

func TestWithoutConfigurationTheCertificateIsKeptAllTheSame(t *testing.T) {
	b := newBench(t)
	b.secret("1", nil)
	b.wrote(aSecret)
	b.wrote()
}

func TestNothingComesBackWhenTheHoldIsRemoved(t *testing.T) {
	b := newBench(t)
	b.configured()
	b.replaced()
	_ = b.configurations.Replace(nil, "")
	b.wrote()
	_ = b.secrets.Replace(nil, "")
	b.wrote()
}

func TestBundleTakenOutByHandComesBack(t *testing.T) {
	b := newBench(t)
	b.configured()
	b.replaced()
	edited := b.configuration().DeepCopy()
	edited.Webhooks[0].ClientConfig.CABundle = nil
	_ = b.configurations.Update(edited)
	b.wrote(aConfiguration)
}

// A certificate that nobody trusts is not to be shown.
func TestNothingIsWrittenToTheSecretBeforeItIsTrusted(t *testing.T) {
	b := newBench(t)
	b.configured()
	b.fail[aConfiguration] = apierrors.NewForbidden(admissionregistrationv1.Resource(aConfiguration), "hold", errors.New("no"))
	sent, err := b.look()
	if err == nil || !apierrors.IsForbidden(err) {
		t.Errorf("%v, want that it is forbidden", err)
	}
	if diff := cmp.Diff([]string{aConfiguration}, sent); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	b.fail[aConfiguration] = apierrors.NewConflict(admissionregistrationv1.Resource(aConfiguration), "hold", errors.New("modified"))
	if _, err := b.look(); !apierrors.IsConflict(err) { // which knative has tried again without a word
		t.Errorf("%v, want the conflict", err)
	}
	delete(b.fail, aConfiguration)
	b.replaced()
}

// Every failure with a new authority would fill the configuration.
func TestFailuresDoNotPileUpAuthorities(t *testing.T) {
	b := newBench(t)
	b.configured()
	b.fail[aSecret] = apierrors.NewForbidden(corev1.Resource(aSecret), "certs", errors.New("no"))
	b.wrote(aConfiguration)
	b.clock.SetTime(b.clock.Now().Add(headStart))
	for i := range 3 {
		sent, err := b.look()
		if !apierrors.IsForbidden(err) || len(sent) != 1 {
			t.Errorf("try %d: %v, written to %v", i, err, sent)
		}
	}
	delete(b.fail, aSecret)
	b.wrote(aSecret)
	if !bytes.Equal(b.bundle(), b.authority()) {
		t.Error("more than one authority is trusted")
	}
}
