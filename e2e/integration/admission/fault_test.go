package admission_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"knative.dev/pkg/webhook/certificates/resources"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

const (
	secretName        = "pac-lease-queue-webhook-certs"
	configurationName = "pac-lease-queue-hold"
)

// order asks for one order to be written; an error is that it was not held.
func order(ctx context.Context) error {
	run, err := create(ctx, byWebhook, newRun("asking", map[string]string{keys.ExecutionOrder: "ns/a"}), metav1.DryRunAll)
	if err != nil {
		return err
	}
	if run.Annotations[pac.HeldOrder] != "ns/a" || run.Annotations[keys.ExecutionOrder] != "" {
		return fmt.Errorf("an order went through: %v", run.Annotations)
	}
	return nil
}

// ordering has orders written one after the other until it is stopped, which tells
// how many were, and what went wrong.
func ordering(t *testing.T) (stop func() (int, []error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		done sync.WaitGroup
		held int
		errs []error
	)
	done.Go(func() {
		for ctx.Err() == nil {
			if err := order(t.Context()); err != nil {
				errs = append(errs, fmt.Errorf("%s %w", time.Now().Format("15:04:05.000"), err))
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

func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, deadline, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func needsCluster(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server")
	}
}

// What is done on purpose must not be felt.
func TestOrdersGoOnWhileReplicasComeAndGo(t *testing.T) {
	needsCluster(t)
	stop := ordering(t)
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

// What is done by force costs no more than what was under way.
func TestReplicaKilled(t *testing.T) {
	needsCluster(t)
	for _, r := range addon.Replicas() {
		stop := ordering(t)
		if err := r.Kill(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			_ = order(t.Context())
		}
		if held, errs := stop(); len(errs) > 1 || held < 10 {
			t.Errorf("%s killed: %d held, %d not: %v", r.Name(), held, len(errs), errs)
		}
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNobodyThereToHold(t *testing.T) {
	needsCluster(t)
	for _, r := range addon.Replicas() {
		if err := r.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := order(t.Context()); !apierrors.IsInternalError(err) {
		t.Errorf("an order meets %v, want it to fail", err)
	}
	if _, err := create(t.Context(), byWebhook, newRun("none", nil), metav1.DryRunAll); err != nil {
		t.Errorf("a run without one meets %v, want it let through", err)
	}
	for _, r := range addon.Replicas() {
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := order(t.Context()); err != nil { // from the moment that it is ready
			t.Error(err)
		}
	}
}

func TestSecretDeletedByHand(t *testing.T) {
	needsCluster(t)
	secrets := cluster.Kubernetes().CoreV1().Secrets(addon.Namespace())
	before, err := secrets.Get(t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stop := ordering(t)
	began := time.Now()
	if err := secrets.Delete(t.Context(), secretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another certificate", func(ctx context.Context) (bool, error) {
		s, err := secrets.Get(ctx, secretName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && s.UID != before.UID && len(s.Data[resources.ServerKey]) > 0, err
	})
	held, errs := stop()
	for _, err := range errs {
		t.Errorf("not held: %v", err)
	}
	t.Logf("there again after %s, %d orders held meanwhile", time.Since(began).Round(time.Millisecond), held)
	for _, r := range addon.Replicas() {
		eventually(t, r.Name()+" is ready", func(ctx context.Context) (bool, error) { return r.Ready(ctx) == nil, nil })
	}
	eventually(t, "orders are held", func(ctx context.Context) (bool, error) { return order(ctx) == nil, nil })
	for range 20 {
		if err := order(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestBundleTakenOutByHand(t *testing.T) {
	needsCluster(t)
	configurations := cluster.Kubernetes().AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := configurations.Patch(t.Context(), configurationName, types.JSONPatchType,
		[]byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there again", func(ctx context.Context) (bool, error) {
		c, err := configurations.Get(ctx, configurationName, metav1.GetOptions{})
		return err == nil && len(c.Webhooks[0].ClientConfig.CABundle) > 0, err
	})
	eventually(t, "orders are held", func(ctx context.Context) (bool, error) { return order(ctx) == nil, nil })
}
