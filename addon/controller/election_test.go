package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

// Election Leases go with the release, no matter who made them, and keep their holder.
func TestElectionLeasesBelongToTheRelease(t *testing.T) {
	const uid = "uid-of-config"
	lease := func(name string, spec coordinationv1.LeaseSpec, owners ...metav1.OwnerReference) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: tools, Name: name, OwnerReferences: owners}, Spec: spec}
	}
	held := coordinationv1.LeaseSpec{HolderIdentity: new("pod-0")}
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: configName, UID: uid}
	gone := owner
	gone.UID = "uid-before-reinstallation"
	kube := fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: tools, Name: configName, UID: uid}},
		lease("pac-lease-queue.queues.00-of-04", held),
		lease("pac-lease-queue.queues.01-of-04", held, owner),
		lease("pac-lease-queue.queues.02-of-04", held, gone),
		lease("another-leader", held),
	)
	conflicts := 2 // the holder renews at the same time
	kube.PrependReactor("update", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
		conflicts--
		if conflicts < 0 {
			return false, nil, nil
		}
		return true, nil, apierrors.NewConflict(a.GetResource().GroupResource(), "", nil)
	})
	env := config.Environment{Namespace: tools, ConfigMap: configName}
	if err := PrepareElection(t.Context(), kube, env, 4); err != nil {
		t.Fatal(err)
	}
	list, err := kube.CoordinationV1().Leases(tools).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owners, holders := map[string]any{}, map[string]any{}
	for _, l := range list.Items {
		owners[l.Name] = l.OwnerReferences
		holders[l.Name] = l.Spec.HolderIdentity
	}
	ours := []metav1.OwnerReference{owner}
	if diff := cmp.Diff(map[string]any{
		"another-leader":                  []metav1.OwnerReference(nil),
		"pac-lease-queue.queues.00-of-04": ours, "pac-lease-queue.queues.01-of-04": ours,
		"pac-lease-queue.queues.02-of-04": ours, "pac-lease-queue.queues.03-of-04": ours,
	}, owners); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	held0 := new("pod-0")
	if diff := cmp.Diff(map[string]any{
		"another-leader":                  held0,
		"pac-lease-queue.queues.00-of-04": held0, "pac-lease-queue.queues.01-of-04": held0,
		"pac-lease-queue.queues.02-of-04": held0, "pac-lease-queue.queues.03-of-04": (*string)(nil),
	}, holders); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
}
