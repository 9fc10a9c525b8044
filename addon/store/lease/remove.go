package lease

import (
	"context"
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// Client is what [RemoveAll] needs of a client of Kubernetes.
type Client interface {
	CoordinationV1() coordinationclient.CoordinationV1Interface
}

// RemoveAll deletes the Leases of all slots in the namespaces, each as it was seen: one that is a
// new Lease by then stays.
func RemoveAll(ctx context.Context, client Client, namespaces ...string) error {
	var slots []coordinationv1.Lease
	for _, namespace := range namespaces {
		leases, err := client.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{LabelSelector: Selector})
		if err != nil {
			return fmt.Errorf("list slots: %w", err)
		}
		slots = append(slots, leases.Items...)
	}
	var errs []error
	for _, l := range slots {
		if _, _, slot := Decode(&l); !slot {
			continue
		}
		uid := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.UID}}
		err := client.CoordinationV1().Leases(l.Namespace).Delete(ctx, l.Name, uid)
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove slot %s/%s: %w", l.Namespace, l.Name, err))
		}
	}
	return errors.Join(errs...)
}
