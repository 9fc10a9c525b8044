package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

// electionTimeout bounds the preparation of leader election, which a replica starts with.
const electionTimeout = 10 * time.Second

// ElectionLease names the Lease by which the replicas elect the leader of one part of the queues.
func ElectionLease(part, of uint32) string {
	return fmt.Sprintf("%s.queues.%02d-of-%02d", config.Component, part, of)
}

// identitySeparator is in no name of a pod.
const identitySeparator = "_"

// ElectionIdentity is what a replica calls itself in leader election: its name, which its writes
// carry as well, and something that no other process has.
func ElectionIdentity(replica string) string {
	return replica + identitySeparator + string(uuid.NewUUID())
}

// PrepareElection makes the Leases of leader election belong to the ConfigMap of the installation,
// so that the garbage collector removes them with the release. They are not in the chart because
// tools that compare a release with the cluster trip over Leases, which change every few seconds.
// Leader election itself makes a Lease that is missing, but without an owner.
func PrepareElection(ctx context.Context, kube kubernetes.Interface, env config.Environment, parts uint32) error {
	ctx, cancel := context.WithTimeout(ctx, electionTimeout)
	defer cancel()
	cm, err := kube.CoreV1().ConfigMaps(env.Namespace).Get(ctx, env.ConfigMap, metav1.GetOptions{})
	if err != nil {
		return err
	}
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: cm.Name, UID: cm.UID}
	for part := range parts {
		if err := own(ctx, kube, env.Namespace, ElectionLease(part, parts), owner); err != nil {
			return err
		}
	}
	return nil
}

// own makes a Lease with the owner, or gives it to an existing one. The label
// app.kubernetes.io/managed-by stays free, because it would make the Lease a slot.
func own(ctx context.Context, kube kubernetes.Interface, namespace, name string, owner metav1.OwnerReference) error {
	leases := kube.CoordinationV1().Leases(namespace)
	_, err := leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{config.SelectorLabel: config.Component}, OwnerReferences: []metav1.OwnerReference{owner},
	}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	// The holder renews the Lease meanwhile.
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		l, err := leases.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(l.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == owner.UID }) {
			return nil
		}
		l.OwnerReferences = []metav1.OwnerReference{owner}
		_, err = leases.Update(ctx, l, metav1.UpdateOptions{})
		return err
	})
}
