package lease

import (
	"context"
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
)

// Client is what [RemoveAll] needs of a client of Kubernetes.
type Client interface {
	CoordinationV1() coordinationclient.CoordinationV1Interface
}

// RemoveAll deletes the Leases of all slots in the namespaces, page by page, each as it was seen:
// one that is a new Lease by then stays.
func RemoveAll(ctx context.Context, client Client, namespaces ...string) error {
	var errs []error
	for _, namespace := range namespaces {
		err := paged.Each(ctx, nil, pages(client.CoordinationV1(), namespace), func(l *coordinationv1.Lease) {
			if _, _, slot := Decode(l); !slot {
				return
			}
			uid := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.UID}}
			err := client.CoordinationV1().Leases(l.Namespace).Delete(ctx, l.Name, uid)
			if err != nil && !apierrors.IsNotFound(err) && len(errs) < mostRemovalErrors {
				errs = append(errs, fmt.Errorf("remove slot %s/%s: %w", l.Namespace, l.Name, err))
			}
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("list slots: %w", err))
		}
	}
	return errors.Join(errs...)
}

// mostRemovalErrors bounds what is said of removals that fail.
const mostRemovalErrors = 5
