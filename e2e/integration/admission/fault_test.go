package admission_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/webhook/certificates/resources"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

const (
	secretName        = "pac-lease-queue-webhook-certs"
	configurationName = "pac-lease-queue-hold"
)

// order writes one order. It fails unless the webhook holds it.
func order(ctx context.Context) error {
	run, err := create(ctx, byWebhook, newRun("ordered", map[string]string{keys.ExecutionOrder: "ns/a"}), metav1.DryRunAll)
	if err != nil {
		return err
	}
	if run.Annotations[pac.HeldOrder] != "ns/a" || run.Annotations[keys.ExecutionOrder] != "" {
		return fmt.Errorf("the order was not held: %v", run.Annotations)
	}
	return nil
}

// failedOrder is why an order was not held.
type failedOrder struct {
	began time.Time
	error
}

func (f failedOrder) Error() string {
	return fmt.Sprintf("%s %v", f.began.Format("15:04:05.000"), f.error)
}

// keepOrdering writes orders one after the other until stop is called, which returns how many were
// held and the errors of the others.
func keepOrdering(t *testing.T) (stop func() (held int, errs []error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		done sync.WaitGroup
		held int
		errs []error
	)
	done.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			if err := order(t.Context()); err != nil {
				errs = append(errs, failedOrder{began, err})
			} else {
				held++
			}
		}
	})
	return func() (int, []error) {
		cancel()
		done.Wait()
		return held, errs
	}
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	fixture.Eventually(t, deadline, what, check)
}

func needsCluster(t *testing.T) {
	t.Helper()
	if cluster == nil {
		t.Skip("needs a real API server")
	}
}

// A planned change of replicas lets no order fail.
func TestOrdersAreHeldWhileReplicasComeAndGo(t *testing.T) {
	needsCluster(t)
	stop := keepOrdering(t)
	for _, value := range []string{"replicaCount=1", "replicaCount=3", "podAnnotations.rolled=yes", "replicaCount=2"} {
		if err := addon.Upgrade(t.Context(), value); err != nil {
			t.Error(err)
		}
	}
	held, errs := stop()
	for _, err := range errs {
		t.Errorf("not held: %v", err)
	}
	t.Logf("%d orders held meanwhile", held)
}

// The death of a replica costs at most the requests that reach it until it is dead.
func TestReplicaKilled(t *testing.T) {
	needsCluster(t)
	for _, r := range addon.Replicas() {
		stop := keepOrdering(t)
		fixture.Must(t, r.Kill())
		dead := time.Now()
		for range 20 {
			_ = order(t.Context())
		}
		held, errs := stop()
		late := slices.ContainsFunc(errs, func(err error) bool {
			var failed failedOrder
			return errors.As(err, &failed) && failed.began.After(dead)
		})
		if late || held < 10 {
			t.Errorf("after %s was killed, %d orders were held and %d not: %v", r.Name(), held, len(errs), errs)
		}
		fixture.Must(t, r.Restart(t.Context()))
	}
}

// Without replicas orders fail, and runs without an order are admitted. A replica that is ready
// holds orders at once.
func TestNoReplicas(t *testing.T) {
	needsCluster(t)
	for _, r := range addon.Replicas() {
		fixture.Must(t, r.Kill())
	}
	if err := order(t.Context()); !apierrors.IsInternalError(err) {
		t.Errorf("an order without replicas: %v, want an internal error", err)
	}
	if _, err := create(t.Context(), byWebhook, newRun("none", nil), metav1.DryRunAll); err != nil {
		t.Errorf("a run without an order is refused: %v", err)
	}
	for _, r := range addon.Replicas() {
		fixture.Must(t, r.Restart(t.Context()))
		if err := order(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestSecretDeletedByHand(t *testing.T) {
	needsCluster(t)
	secrets := cluster.Kubernetes().CoreV1().Secrets(addon.Namespace())
	before, err := secrets.Get(t.Context(), secretName, metav1.GetOptions{})
	fixture.Must(t, err)
	stop := keepOrdering(t)
	began := time.Now()
	fixture.Must(t, secrets.Delete(t.Context(), secretName, metav1.DeleteOptions{}))
	eventually(t, "the certificate is created anew", func() error {
		s, err := secrets.Get(t.Context(), secretName, metav1.GetOptions{})
		if err == nil && (s.UID == before.UID || len(s.Data[resources.ServerKey]) == 0) {
			err = fmt.Errorf("Secret %s is not complete yet", secretName)
		}
		return err
	})
	held, errs := stop()
	for _, err := range errs {
		t.Errorf("not held: %v", err)
	}
	t.Logf("the certificate was back after %s, %d orders held meanwhile", time.Since(began).Round(time.Millisecond), held)
	for _, r := range addon.Replicas() {
		eventually(t, r.Name()+" is ready", func() error { return r.Ready(t.Context()) })
	}
	eventually(t, "orders are held", func() error { return order(t.Context()) })
	for range 20 {
		if err := order(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestBundleRemovedByHand(t *testing.T) {
	needsCluster(t)
	configurations := cluster.Kubernetes().AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := configurations.Patch(t.Context(), configurationName, types.JSONPatchType,
		[]byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`), metav1.PatchOptions{})
	fixture.Must(t, err)
	eventually(t, "the CA bundle is restored", func() error {
		c, err := configurations.Get(t.Context(), configurationName, metav1.GetOptions{})
		if err == nil && len(c.Webhooks[0].ClientConfig.CABundle) == 0 {
			err = errors.New("the configuration contains no CA bundle")
		}
		return err
	})
	eventually(t, "orders are held", func() error { return order(t.Context()) })
}
