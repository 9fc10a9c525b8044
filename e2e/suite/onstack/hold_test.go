package onstack_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// With the webhook, the last request to the killed replica fails, and PAC cannot write that run's
// order. The run is queued all the same, without an order.
func TestReplicaKilledWhileAPushComesIn(t *testing.T) {
	s := newScene(t, 2, 2)
	s.Tolerated = suite.OthersWarnings // PAC warns if it could not write an order
	for i, doomed := range cluster.Addon().Replicas() {
		before := len(s.View().Runs)
		s.push(5, time.Second)
		s.wait("the first run of the push", suite.QueuedDeadline, func(v history.View) bool { return len(v.Runs) > before })
		s.must(doomed.Kill())
		s.done(5 * (i + 1))
		s.must(doomed.Restart(s.ctx))
	}
	s.finished(10)
	unordered := 0
	for _, r := range s.View().Runs {
		if r.Sequence() == nil {
			unordered++
		}
	}
	t.Logf("%d of 10 runs without an order", unordered)
}

// With auto the chart picks the policy where the API server serves its kind, and else the webhook.
func TestAutoPicksTheHold(t *testing.T) {
	if *hold != auto {
		t.Skip("the hold is chosen")
	}
	s := newScene(t, 1, 2)
	const group, kind, name = "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", "pac-lease-queue-hold"
	served, err := s.Kube.Discovery().ServerResourcesForGroupVersion(group)
	s.must(err)
	want := webhook
	if slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind }) {
		want = "policy"
		_, err = s.Kube.AdmissionregistrationV1().MutatingAdmissionPolicies().Get(s.ctx, name, metav1.GetOptions{})
		s.must(err)
	}
	_, err = s.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(s.ctx, name, metav1.GetOptions{})
	if (err == nil) != (want == webhook) {
		t.Errorf("the webhook is there: %t, want the %s", err == nil, want)
	}
	s.push(2, time.Second)
	v := s.queued(2)
	for _, r := range v.Runs {
		if !r.Held() {
			t.Errorf("%s is not held", r.Name)
		}
	}
	s.finished(2)
	t.Attr("hold", want)
}

func TestWebhookSecretDeletedWhileRunning(t *testing.T) {
	if *hold != webhook {
		t.Skip("the policy needs no Secret")
	}
	s := newScene(t, 1, 2)
	s.push(3, 2*time.Second)
	s.started(1)
	secrets := s.Kube.CoreV1().Secrets(cluster.Addon().Namespace())
	const name = "pac-lease-queue-webhook-certs"
	deleted, err := secrets.Get(s.ctx, name, metav1.GetOptions{})
	s.must(err)
	s.must(secrets.Delete(s.ctx, name, metav1.DeleteOptions{}))
	s.push(3, time.Second)
	s.wait("an order for the second push", suite.QueuedDeadline, func(v history.View) bool {
		ordered := 0
		for _, r := range v.Runs {
			if r.Sequence() != nil && r.Held() || r.Phase == queue.Done {
				ordered++
			}
		}
		return ordered == 6
	})
	s.eventually("a new Secret", suite.StepDeadline, func() error {
		now, err := secrets.Get(s.ctx, name, metav1.GetOptions{})
		if err == nil && now.UID == deleted.UID {
			return errors.New("it is still the old Secret")
		}
		return err
	})
	s.finished(6)
}
